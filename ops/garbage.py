"""Garbage collection for processes that live long and read a log of millions of events."""

import gc


def settle() -> None:
    """Leave what start-up made out of every later collection, and collect less often.

    Once all is imported. A full collection would look at some 300,000 objects that never go away,
    and a page of the log makes more than the 700 that start a young one by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
