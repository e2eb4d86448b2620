"""Agents that wait for a change of their desired state, without a thread each.

controller thread: notify({"leaf1"}) ──► event loop: wake those who wait for leaf1
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Waiters:
    """Belongs to one event loop; `notify` and `stop` may be called from any thread, before the loop runs too."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether the server is going down: nobody should wait any more."""
        return self._stopped

    def bind(self) -> None:
        """Called in the event loop before anybody waits."""
        self._loop = asyncio.get_running_loop()

    def notify(self, devices: Iterable[str]) -> None:
        """Wake those who wait for any of these devices. A device that nobody waits for costs nothing."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, tuple(devices))

    def stop(self) -> None:
        """Wake all: the server is going down."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    @contextmanager
    def waiting(self, device: str) -> Iterator[asyncio.Event]:
        """An event that the next notification sets. Look at the state after entering: it may have changed before."""
        event = asyncio.Event()
        self._waiting.setdefault(device, set()).add(event)
        try:
            yield event
        finally:
            events = self._waiting[device]
            events.discard(event)
            if not events:
                del self._waiting[device]

    def _wake(self, devices: tuple[str, ...]) -> None:
        for device in devices:
            for event in self._waiting.get(device, ()):
                event.set()

    def _wake_all(self) -> None:
        self._wake(tuple(self._waiting))
