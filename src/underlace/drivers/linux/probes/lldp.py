"""Neighbours as lldpd sees them. All of it is what the other end says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from underlace.drivers.linux.probes.base import Arguments, Probe, Said, Step, entries, objects, text
from underlace.model.question import Row

_AGE = re.compile(r"(\d+) days?, (\d+):(\d+):(\d+)")


def _steps(_asked: Arguments, _vrfs: Sequence[str]) -> list[Step]:
    # json0 is the form that does not depend on how many there are of something.
    return [Step(("lldpcli", "-f", "json0", "show", "neighbors", "details"))]


def _rows(_asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    for answer in objects(said[0].output):
        for whole in entries(answer.get("lldp")):
            for interface in entries(whole.get("interface")):
                chassis = next(entries(interface.get("chassis")), {})
                port = next(entries(interface.get("port")), {})
                yield {
                    "port": text(interface.get("name")),
                    "system": _value(chassis, "name"),
                    "remote_port": _value(port, "id"),
                    "remote_description": _value(port, "descr"),
                    "chassis": _value(chassis, "id"),
                    "age_seconds": _seconds(text(interface.get("age"))),
                }


def _value(whole: dict[str, Any], name: str) -> str:
    return next((text(one.get("value")) for one in entries(whole.get(name))), "")


def _seconds(age: str) -> int:
    match = _AGE.fullmatch(age)
    if match is None:
        return 0
    days, hours, minutes, seconds = map(int, match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


PROBE = Probe("lldp", _steps, _rows)
