"""Penalty cases, from the clue to the last instalment."""
