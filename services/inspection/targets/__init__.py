"""Targets (检查对象): whom departments inspect, what is known of them, their grade."""
