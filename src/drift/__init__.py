"""Drift: whether what the model is asked, and answers, is still distributed as it was in training."""
