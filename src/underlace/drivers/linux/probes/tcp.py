"""Whether a TCP port is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step
from underlace.drivers.linux.probes.sent import CONNECT, milliseconds, place, step, told
from underlace.model.question import Row

STATES = {"": "no answer", "refused-here": "not sent"}


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    return [step(CONNECT, asked, port=arguments.whole(asked, "port", 1, 65_535))]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    one = told(said)
    by = one.get("source", "")
    yield {
        **place(asked),
        "port": arguments.whole(asked, "port", 1, 65_535),
        "state": STATES.get(one["kind"], one["kind"]),
        "ms": milliseconds(one),
        "said": one.get("why") or (f"by {by}" if by and by != place(asked)["to"] else ""),
    }


PROBE = Probe("tcp", _steps, _rows)
