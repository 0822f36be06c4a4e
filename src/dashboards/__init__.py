"""Dashboards from one specification: store queries, Kibana's saved objects, documentation."""
