"""Quality: whether the answers turn out right, and whether they can be expected to."""
