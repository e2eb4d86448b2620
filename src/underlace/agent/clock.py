"""Time for the agent: deadlines on the monotonic clock, waits that a signal ends, and backoff with jitter."""

from __future__ import annotations

import os
import random
import select
import time
from contextlib import suppress
from typing import Protocol


class Clock(Protocol):
    """What the agent asks of time. Deadlines use `monotonic` alone: a jump of the wall clock reverts nothing."""

    def monotonic(self) -> float: ...

    def wall(self) -> float:
        """Seconds since the epoch; only certificates are judged by it."""

    def wait(self, seconds: float) -> None:
        """Pause; may return early when the agent is asked to stop."""


class SystemClock:
    """The machine's clocks. `interrupt` ends the wait in progress, or else the next one.

    It is called from signal handlers, where taking a lock could deadlock; writing to a pipe cannot.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def wait(self, seconds: float) -> None:
        ready, _, _ = select.select([self._reader], [], [], max(0.0, seconds))
        if ready:
            os.read(self._reader, 4096)

    def interrupt(self) -> None:
        with suppress(BlockingIOError):  # a full pipe already wakes the reader
            os.write(self._writer, b".")

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


class Backoff:
    """Pauses that double from `first` to `limit`, each spread over its upper half.

    Without the spread, all agents of a fabric would return in the same instant after a controller's restart.
    """

    def __init__(self, first: float, limit: float) -> None:
        self._first, self._limit = first, limit
        self._next = first

    def next(self) -> float:
        pause, self._next = self._next, min(self._limit, self._next * 2)
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._next = self._first
