"""The way of a packet, hop by hop: echo requests that live for one hop, two, and so on, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step
from underlace.drivers.linux.probes.sent import ECHO, milliseconds, place, step, told
from underlace.model.question import Row

SIZE = 84


def _steps(asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    hops = arguments.whole(asked, "hops", 1, 30, 12)
    return [step(ECHO, asked, sends=[(SIZE, hop) for hop in range(1, hops + 1)], interval=0.0)]


def _rows(asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    found = told(said)
    last = next((n for n, one in enumerate(found) if one["kind"] in ("reply", "unreachable", "refused")), None)
    for number, one in enumerate(found if last is None else found[: last + 1]):
        yield {
            **place(asked),
            "hop": number + 1,
            "address": one.get("source", ""),
            "ms": milliseconds(one),
            "said": one.get("why") or WORDS.get(one["kind"], one["kind"]),
        }


WORDS = {"": "nothing", "reply": "reached", "exceeded": "on the way"}

PROBE = Probe("traceroute", _steps, _rows)
