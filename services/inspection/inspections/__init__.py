"""Inspections (行政检查): from merged tasks or a clue to what becomes of the findings."""
