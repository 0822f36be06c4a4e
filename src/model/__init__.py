"""Models: features, package, runtime, batching, training."""
