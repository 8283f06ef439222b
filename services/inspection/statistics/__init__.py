"""Statistics of inspections: what was saved, what was found."""
