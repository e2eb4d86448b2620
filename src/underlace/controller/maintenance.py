"""Backup, export, and the check that incremental equals full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from underlace.access import Actor, Use
from underlace.controller.devices import require
from underlace.controller.document import Document
from underlace.controller.run import Engine
from underlace.controller.whole import PARTS, Pieces, Progress, compile_all
from underlace.model.fact import FragmentKey
from underlace.store import backup, devices, fragments, numbers, rows
from underlace.store.rows import Stored

BATCH = 1_000
SOONER = {"vpc": 31, "allocation": 32, "subnet": 33}
"""Places of kinds in an export that differ from those in lists: a switch takes its loopback from a subnet."""


class Difference(msgspec.Struct, frozen=True):
    """A fragment whose stored hash is not that of a compile from nothing; None where there is none."""

    device: str
    scope: str
    stored: str | None
    compiled: str | None


def back_up(engine: Engine, actor: Actor, target: Path) -> None:
    """Write a consistent copy of the store while it is in use."""
    require(actor, Use.BACK_UP, "make a backup")
    backup.copy(engine.store.path, target)


def export(engine: Engine, actor: Actor) -> Iterator[Document]:
    """All intent with ids and allocated numbers: applied to an empty store it leads to the same bytes (law 3).

    As a stream: a batch is in memory, and one moment of the store is read to the end. What others stand on comes
    first, so that the documents can be applied in parts.
    """
    require(actor, Use.READ_FABRIC, "export all intent")
    return _documents(engine)


def _documents(engine: Engine) -> Iterator[Document]:
    kinds = sorted(engine.kinds.values(), key=lambda kind: (SOONER.get(kind.name, kind.order), kind.name))
    with engine.store.read() as c:
        for kind in kinds:
            after = ("", "")
            while part := rows.listing(c, kind.name, None, None, {}, after, BATCH):
                yield from _exported(c, part)
                after = (part[-1].ref.tenant, part[-1].ref.name)


def _exported(c: Connection, part: list[Stored]) -> Iterator[Document]:
    allocated = numbers.allocated(c, [row.id for row in part])
    for row in part:
        yield Document(
            row.ref,
            msgspec.json.decode(row.spec),
            msgspec.json.decode(row.labels),
            id=row.id,
            allocated=allocated.get(row.id, {}),
        )


def differences(engine: Engine, actor: Actor, progress: Progress = lambda _, __: None) -> list[Difference]:
    """Compile everything from nothing and compare with what is stored (law 7). Empty unless there is a bug, or this
    release compiles otherwise than the one that wrote the store."""
    require(actor, Use.READ_FABRIC, "check the fabric")
    found: list[Difference] = []
    with engine.store.read() as c, Pieces.on_disk() as pieces:
        compile_all(engine, c, pieces, progress)
        by_part: dict[int, list[str]] = {}
        for name in devices.names(c):
            by_part.setdefault(Pieces.part_of(name), []).append(name)
        for part in range(PARTS):
            found += _compared(fragments.every_key(c, by_part.get(part, ())), pieces.hashes(part))
    return sorted(found, key=lambda d: (d.device, d.scope))


def _compared(stored: dict[FragmentKey, str], compiled: dict[FragmentKey, str]) -> Iterator[Difference]:
    for key in stored.keys() | compiled.keys():
        if stored.get(key) != compiled.get(key):
            yield Difference(*key, stored.get(key), compiled.get(key))
