"""Inspections of enterprises (涉企行政检查): roster, targets, plans, draws, inspections, other visits."""
