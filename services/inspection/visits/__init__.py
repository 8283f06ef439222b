"""Visits that are no inspections (非检查类入企活动)."""
