"""Events as JSON lines on a stream, one object a line."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from underlace.model.diagnostic import Diagnostic, Severity

_encoder = msgspec.json.Encoder(enc_hook=str)


class Log:
    """Writes {"time", "level", "event", "device", ...}. A stream that is gone never stops the agent."""

    def __init__(self, device: str, stream: TextIO | None = None) -> None:
        self._device = device
        self._stream = stream if stream is not None else sys.stderr

    def event(self, event: str, *, level: str = "info", **fields: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": level, "event": event, "device": self._device, **fields}
        try:
            self._stream.write(_encoder.encode(line).decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # a closed journal is no reason to leave the device alone

    def finding(self, found: Diagnostic) -> None:
        level = "error" if found.severity is Severity.ERROR else "warning"
        self.event(found.code, level=level, summary=found.summary, detail=found.detail, remedy=found.remedy)
