"""Whether the fabric is as intended, by the devices' own word (law 4)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from underlace.access import Actor, readable
from underlace.controller import devices as inventory
from underlace.controller.resources import ACTIVE, PROVISIONING, Item, items
from underlace.controller.run import Engine
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.store import devices, fragments, ledger, numbers, rows
from underlace.store.devices import DeviceRow

SHOWN = 100
"""Most resources named in one answer."""

SILENT = "Silent"
"""State of a fabric in which nothing waits, but some device is no longer heard: by its last word all was well."""


class FabricStatus(msgspec.Struct, frozen=True):
    """revision: the last one, or the one that was asked about. state: "Provisioning" while anything waits for a
    device's word; else "Silent" when a device was not heard for too long; else "Active". Of one revision, silence
    does not hold up what is confirmed. resources: those that wait, at most a hundred. devices: those whose word is
    missing or that are silent; warnings: what the others say goes on at the moment: both for actors who may read
    devices."""

    revision: int
    state: str
    simulated: bool
    resources: tuple[Item, ...]
    devices: tuple[inventory.Device, ...]
    in_sync: int
    total: int
    silent: int
    warnings: tuple[Diagnostic, ...] = ()


def fabric_status(engine: Engine, actor: Actor, revision: int | None = None) -> FabricStatus:
    """Of the whole fabric, or of what one revision changed."""
    with engine.store.read() as c:
        newest = ledger.counters(c).revision
        if revision is not None and not 0 < revision <= newest:
            raise Refused([_no_revision(revision)])
        every = devices.every(c)
        behind = [d for d in every if inventory.word_of(d) != inventory.IN_SYNC]
        found = _waiting(engine, c, actor, behind, revision)
        simulated = ledger.facts(c).get("simulated") == "true"
        if revision is not None:
            # What a revision took away is gone when the devices that it changed have said so.
            behind = [d for d in behind if d.offered and d.desired >= revision and d.reported < revision]
        silent = {d.name for d in every if engine.contacts.is_silent(d)}
        late = {d.name for d in behind} | (silent if revision is None else set())
        shown = inventory.shown(engine, c, [d for d in every if d.name in late]) if actor.sees_all else []
    state = PROVISIONING if found or behind else SILENT if late else ACTIVE
    answer = newest if revision is None else revision
    if not actor.sees_all:
        return FabricStatus(answer, state, simulated, found, (), 0, 0, 0)
    in_sync = sum(d.name not in silent and inventory.word_of(d) == inventory.IN_SYNC for d in every)
    warnings = tuple(w for d in every if d.name not in silent for w in inventory.lasting(d))
    return FabricStatus(answer, state, simulated, found, tuple(shown), in_sync, len(every), len(silent), warnings)


def _waiting(
    engine: Engine, c: Connection, actor: Actor, behind: Iterable[DeviceRow], revision: int | None
) -> tuple[Item, ...]:
    """The resources that wait, of those that the actor may see."""
    if revision is None:
        ids = fragments.waiting(c, [d.name for d in behind], SHOWN)
        ids = list(dict.fromkeys((*ids, *numbers.waiting_owners(c, SHOWN))))
    else:
        ids = [v.id for v in ledger.changed_at(c, revision) if v.spec is not None]
    view = engine.view(c)
    resources = [r for r in map(view.parse, rows.by_id(c, ids)) if readable(actor, engine.kinds[r.ref.kind], r)]
    return tuple(i for i in items(c, engine, actor, resources[:SHOWN]) if i.status.state == PROVISIONING)


def _no_revision(number: int) -> Diagnostic:
    return Diagnostic(
        Where(),
        "not-found",
        "The revision does not exist",
        f"There is no revision {number}.",
        "Ask about a revision that an apply returned.",
    )
