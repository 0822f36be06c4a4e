"""The trace page's own parts: what is asked of API and store, and what is shown of it."""
