"""Vigie: observability-first inference and logging for tabular scikit-learn models."""
