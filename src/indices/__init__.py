"""The indices: their names and mappings, and the connection to the store that has them."""
