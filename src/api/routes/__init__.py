"""The routes that FastAPI serves, and the twins of the hot endpoints that it documents."""
