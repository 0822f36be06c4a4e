"""The batch page's own parts: from an uploaded file to the answers for its rows."""
