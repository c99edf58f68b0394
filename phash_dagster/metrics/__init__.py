"""Metrics for Prometheus: what the pipeline did, and how it is."""
