"""Rectification (整改): problems of enterprises, from report to closure."""
