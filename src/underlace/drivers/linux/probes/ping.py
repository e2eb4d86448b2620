"""Echo requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step
from underlace.drivers.linux.probes.sent import ECHO, milliseconds, place, step, told
from underlace.model.question import Row

INTERVAL = 0.1
"""Seconds between two."""


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    count, size = arguments.whole(asked, "count", 1, 10, 3), arguments.whole(asked, "size", 64, 9_216, 84)
    return [step(ECHO, asked, sends=[(size, 64)] * count, interval=INTERVAL)]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    found = told(said)
    times = [milliseconds(one) for one in found if one["kind"] == "reply"]
    others = Counter(one.get("why") or f"{one['kind']} from {one['source']}" for one in found if _odd(one["kind"]))
    yield {
        **place(asked),
        "sent": len(found),
        "received": len(times),
        "loss_percent": round(100 * (len(found) - len(times)) / len(found)),
        "least_ms": min(times, default=0.0),
        "mean_ms": round(sum(times) / len(times), 3) if times else 0.0,
        "most_ms": max(times, default=0.0),
        "said": ", ".join(sorted(others)),
    }


def _odd(kind: str) -> bool:
    return kind not in ("", "reply")


PROBE = Probe("ping", _steps, _rows)
