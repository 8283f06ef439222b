"""Benchmarks: each figure is a ratio to a peer or a floor measured in the same run on one PostgreSQL."""
