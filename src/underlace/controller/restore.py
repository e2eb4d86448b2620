"""Put a backup in the place of a store, without using any number twice.

A restored store does not know what was allocated after its backup, but devices may hold it. So a restore

    - lifts the counters of revisions and ids far beyond what can have been used, so that neither comes again;
    - puts every number that it does not know into quarantine (pool "*") until each device that it knows has
      confirmed what it should hold now: numbers given out meanwhile wait with their resources (law 8);
    - moves the cursors of device-bound pools on. These numbers do not wait: the device itself orders their use.

Devices that came after the backup are known only if the store that is replaced can still be read. That store is kept
under another name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from underlace.model.diagnostic import Refused
from underlace.store import backup, devices, ledger, numbers, pools
from underlace.store.devices import DeviceRow
from underlace.store.ledger import Counters, Revision
from underlace.store.store import Store

REVISION_LEAP = 1_000_000
ID_LEAP = 100_000
CURSOR_LEAP = 1_000


class _Known(NamedTuple):
    """What can be learnt from the store that is replaced."""

    counters: Counters = Counters()
    devices: tuple[DeviceRow, ...] = ()


def restore(source: Path, target: Path, now: datetime, actor: str = "restore", keep: str = ".before-restore") -> int:
    """Restore the backup `source` as the store `target`, which nobody has open; returns the new revision.

    All or nothing: a failure leaves the target as it was. keep: what the name of a store that was there is given at
    its end.
    """
    old = _look(target)
    new = target.with_name(f".{target.name}.restoring")
    new.unlink(missing_ok=True)
    try:
        backup.copy(source, new)
        revision = _prepare(new, source, lambda c: _leap(c, old, ledger.stamp(now), actor))
        if target.exists():
            backup.keep(target, target.with_name(target.name + keep))
        backup.put_in_place(new, target)
    finally:
        for name in (new, f"{new}-wal", f"{new}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(name)
    return revision


def _prepare(new: Path, source: Path, work: Callable[[Connection], int]) -> int:
    """Bring a copy of the backup up to this release, and let `work` write to it."""
    with backup.usable(source):
        store = Store.open(new)
        try:
            return store.write(work)
        finally:
            store.close()


def _look(target: Path) -> _Known:
    """A damaged store is no reason not to restore."""
    if not target.exists():
        return _Known()
    copied = target.with_name(f".{target.name}.replaced")
    try:
        backup.copy(target, copied)
        with backup.usable(target):
            store = Store.open(copied)
            try:
                with store.read() as c:
                    return _Known(ledger.counters(c), tuple(devices.every(c)))
            finally:
                store.close()
    except Refused:
        return _Known()
    finally:
        for name in (copied, f"{copied}-wal", f"{copied}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(name)


def _leap(c: Connection, old: _Known, at: str, actor: str) -> int:
    counters = ledger.counters(c)
    revision = max(counters.revision, old.counters.revision) + REVISION_LEAP
    next_id = max(counters.next_id, old.counters.next_id) + ID_LEAP
    ledger.set_counters(c, Counters(revision, next_id))
    ledger.write_revision(c, Revision(revision, at, actor, f"restored from a backup of revision {counters.revision}"))
    ledger.write_audit(c, at, actor, "restore", "", f"revision {counters.revision}")
    known = {row.name: row for row in old.devices} | {row.name: row for row in devices.every(c)}
    suspects = [row for row in known.values() if row.offered or _offered(old, row.name)]
    for row in suspects:
        devices.write(c, replace(row, desired=revision, confirmed=0, reported=0))
    numbers.enclose(c, {(numbers.ANY_POOL, 0): {row.name: revision for row in suspects}})
    pools.move_cursors(c, CURSOR_LEAP)
    return revision


def _offered(old: _Known, name: str) -> bool:
    return any(row.name == name and row.offered for row in old.devices)
