"""Services: each is asked for itself, so that one that hangs does not hide the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from underlace import __version__
from underlace.drivers.linux.probes.base import NOT_ENDED, VTY, Arguments, Probe, Said, Step
from underlace.model.question import Row

DAEMONS = ("zebra", "bgpd", "staticd", "bfdd")
MANAGEMENT = "mgmtd"
INTEGRATED = 10
"""From this major release on `mgmtd` takes the configuration, before all others."""

PATIENCE = 0.8
"""Seconds in which a service that is asked for itself has to answer."""

_VERSION = re.compile(r"FRRouting (\d+)\.(\S+)")


def _steps(_asked: Arguments, _vrfs: Sequence[str]) -> Iterator[Step]:
    for daemon in (*DAEMONS, MANAGEMENT):
        yield Step((VTY, daemon, "show version"), may_fail=True, seconds=PATIENCE)
    yield Step(("lldpcli", "-f", "json0", "show", "chassis"), may_fail=True, seconds=PATIENCE)


def _rows(_asked: Arguments, said: Sequence[Said]) -> Iterator[Row]:
    *daemons, management, lldpd = said
    releases = [match for one in daemons if one.code == 0 and (match := _VERSION.search(one.output))]
    recent = any(int(match[1]) >= INTEGRATED for match in releases)
    for name, one in zip(DAEMONS, daemons, strict=True):
        yield _service(name, one, True)
    if recent or management.code == 0:
        yield _service(MANAGEMENT, management, recent)
    yield _service("lldpd", lldpd, False)
    yield {"service": "agent", "state": "up", "needed": True, "detail": __version__}


def _service(name: str, said: Said, needed: bool) -> Row:
    if said.code == 0:
        match = _VERSION.search(said.output)
        release = f"FRR {match[1]}.{match[2]}" if match else ""
        return {"service": name, "state": "up", "needed": needed, "detail": release}
    hangs = said.code == NOT_ENDED
    words = " ".join(said.output.split())[-200:]
    return {"service": name, "state": "hangs" if hangs else "down", "needed": needed, "detail": words}


PROBE = Probe("services", _steps, _rows, together=True)
