"""The page that an enterprise scans: a code, who may come and why, its rating, and the figures of a year."""
