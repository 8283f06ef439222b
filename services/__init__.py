"""The domains, each a gRPC service over its own aggregates, events and views."""
