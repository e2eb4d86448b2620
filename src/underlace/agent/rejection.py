"""The one manifest that this device gave up, and when it may be tried again."""

from __future__ import annotations

from underlace.agent.cache import Rejected
from underlace.agent.parts import Parts

RETRY_LIMIT = 3600.0
"""Longest pause in seconds before a rejected manifest is tried again; pauses double up to it."""


class Rejection:
    """A rejected digest is not tried again before its pause is over, the controller wants another one in between,
    or an operator says so (SIGHUP). The pause restarts with the agent: no wall clock is trusted with it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._held: Rejected | None = None
        self._retry_at = 0.0

    @property
    def digest(self) -> str:
        return self._held.digest if self._held else ""

    def load(self) -> None:
        """Take up what a former run of the agent rejected."""
        self._set(self._parts.cache.rejected())

    def add(self, digest: str) -> None:
        times = self._held.times + 1 if self._held and self._held.digest == digest else 1
        self._set(Rejected(digest, times))
        self._write()

    def clear(self) -> None:
        if self._held is not None:
            self._set(None)
            self._write()

    def retry_now(self) -> None:
        self._retry_at = 0.0

    def blocks(self, digest: str) -> bool:
        return self._held is not None and digest == self._held.digest and self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Until the rejected manifest may be tried; 0 when there is none or it may."""
        return max(0.0, self._retry_at - self._parts.clock.monotonic()) if self._held else 0.0

    def _set(self, rejected: Rejected | None) -> None:
        self._held = rejected
        self._parts.ledger.rejected = self.digest
        if rejected is not None:
            pause = min(RETRY_LIMIT, self._parts.config.retry_rejected * 2.0 ** min(rejected.times - 1, 16))
            self._retry_at = self._parts.clock.monotonic() + pause

    def _write(self) -> None:
        try:
            self._parts.cache.reject(self._held)
        except OSError as error:
            self._parts.tell(self._parts.disk_fault("note which manifest it rejected", error))
