"""The figures of GET /metrics: plain numbers, shared among worker processes, shown to Prometheus."""
