"""CPU seconds by phase. Imports nothing but the standard library: both sides of a comparison use it."""

from __future__ import annotations

from collections import defaultdict
from time import process_time


class Laps:
    """Adds the CPU time since the last lap to a phase; a phase may have many laps."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._last = process_time()

    def lap(self, phase: str) -> None:
        now = process_time()
        self._spent[phase] += now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return sum(self._spent.values())

    @property
    def phases(self) -> dict[str, float]:
        return {phase: round(seconds, 2) for phase, seconds in self._spent.items()}
