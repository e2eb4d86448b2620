"""What is broken in a lab now: a file in its directory, so that any process can undo it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from underlace.lab.fault import LabError

FILE = "faults.json"
_LOCK = "faults.lock"


class Active(NamedTuple):
    """A fault that is in a lab.

    id: how it is undone. devices: whose agents would mend it; held: those that are kept from it. at: when, in seconds
    since 1970. proof: what showed it then.
    """

    id: str
    name: str
    target: str
    words: tuple[str, ...]
    kept: dict[str, Any]
    claims: tuple[str, ...]
    devices: tuple[str, ...]
    held: tuple[str, ...]
    at: float
    proof: str = ""


class Ledger:
    """The faults of a lab. Change it inside `locked` only."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self.active: dict[str, Active] = self._read()

    def _read(self) -> dict[str, Active]:
        try:
            found = json.loads(self._file.read_text())
            return {one["id"]: Active(**{**one, **_tuples(one)}) for one in found}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError) as damaged:
            remedy = f"Remove {self._file} and begin the lab anew: its faults are not known any more."
            raise LabError(f"{self._file} is no record of faults: {damaged}", remedy) from damaged

    def put(self, fault: Active) -> None:
        self.active[fault.id] = fault
        self._write()

    def drop(self, fault: Active) -> None:
        self.active.pop(fault.id, None)
        self._write()

    def held(self) -> frozenset[str]:
        """Devices whose agents shall not mend."""
        return frozenset(device for fault in self.active.values() for device in fault.held)

    def _write(self) -> None:
        whole = self._file.with_suffix(".new")
        whole.write_text(json.dumps([fault._asdict() for fault in self.active.values()], indent=1))
        whole.replace(self._file)


def _tuples(one: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(one[name]) for name in ("words", "claims", "devices", "held")}


@contextmanager
def locked(directory: Path) -> Iterator[Ledger]:
    """The ledger, while nobody else changes it."""
    descriptor = os.open(directory / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Ledger(directory)
    finally:
        os.close(descriptor)
