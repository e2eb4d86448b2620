"""Python's garbage collector, set for changes of many resources."""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 20, 20)


def relax() -> None:
    """Look for garbage less often. A change of a thousand resources makes some hundred thousand objects that all live
    until its end; to look through them again and again takes a quarter of its time and finds nothing."""
    gc.set_threshold(*THRESHOLDS)
