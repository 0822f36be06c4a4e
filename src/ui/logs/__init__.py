"""The log page's own parts: searching what is stored, following what comes in."""
