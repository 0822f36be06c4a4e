"""Collector → filter → indexer: from the stream to the indices, nothing lost, nothing twice."""
