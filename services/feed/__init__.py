"""Feed: the log, in order, for whoever builds on it."""
