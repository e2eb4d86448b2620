"""When devices were last heard, and which of them are silent.

    request of an agent ──► memory ──► store, for all devices together, at most every WRITE_EVERY seconds
                              └─ present while the request is under way: a long poll is a device that listens

So a poll costs no transaction, and a controller that starts anew knows nearly as much. Nobody is silent to a
controller that has not listened for long enough itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from underlace.store.devices import DeviceRow
from underlace.store.ledger import stamp

WRITE_EVERY = timedelta(seconds=10)


class Contacts:
    """What is kept is bounded by the devices that have a certificate."""

    def __init__(self, clock: Callable[[], datetime], silent_after: float) -> None:
        self._clock = clock
        self._silent_after = timedelta(seconds=silent_after)
        self._listening_since = self._latest = clock()
        self._lock = threading.Lock()
        self._heard: dict[str, datetime] = {}
        self._present: Counter[str] = Counter()
        self._unwritten: set[str] = set()
        self._written = self._listening_since - WRITE_EVERY

    @contextmanager
    def present(self, device: str) -> Iterator[None]:
        """The device asks, and waits for the answer. Never blocks."""
        with self._lock:
            self._heard[device] = self._time()
            self._unwritten.add(device)
            self._present[device] += 1
        try:
            yield
        finally:
            with self._lock:
                self._present[device] -= 1
                if not self._present[device]:
                    del self._present[device]

    def due(self) -> dict[str, str]:
        """What the caller is to write down now, if it is time: {device: moment}. Nobody else is given it."""
        with self._lock:
            now = self._time()
            # A clock that was set back must not keep us from writing.
            if not self._unwritten or timedelta() <= now - self._written < WRITE_EVERY:
                return {}
            found = {name: stamp(self._heard[name]) for name in self._unwritten}
            self._unwritten.clear()
            self._written = now
        return found

    def forget(self, device: str) -> None:
        with self._lock:
            self._heard.pop(device, None)
            self._unwritten.discard(device)

    def last(self, row: DeviceRow) -> str:
        """When the device was last heard, "" for never."""
        return max(self._moments(row))

    def is_silent(self, row: DeviceRow) -> bool:
        """Whether a device that was heard once should have been heard since."""
        moments = [m for m in self._moments(row) if m]
        if not moments or self._present[row.name]:
            return False
        with self._lock:
            now = self._time()
        # What was heard in the future was heard before the clock was set back: nobody knows how long ago. The clock
        # of another controller of the same store may be a little ahead.
        soon = stamp(now + self._silent_after)
        heard = [datetime.fromisoformat(m) for m in moments if m <= soon]
        return now - max([self._listening_since, *heard]) > self._silent_after

    def _moments(self, row: DeviceRow) -> tuple[str, str, str]:
        heard = self._heard.get(row.name)
        return row.last_seen, row.heard, "" if heard is None else stamp(heard)

    def _time(self) -> datetime:
        """The time, by who holds the lock. A clock that was set back begins anew: nobody is silent who had no chance
        to be heard since."""
        now = self._clock()
        if now < self._latest:
            self._listening_since = now
        self._latest = now
        return now
