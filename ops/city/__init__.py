"""A synthetic city of Yangzhou (扬州), and what the mechanisms of the inspection service change in it.

docs/yangzhou.md has the assumptions and the result; `python -m ops.city` compares.
"""

from ops.city.comparison import compare

__all__ = ["compare"]
