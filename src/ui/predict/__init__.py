"""The first page's own parts: the form, the answer and what moved it, and its true outcome."""
