"""Whether the fabric is as intended, by the devices' own word (law 4)."""

from __future__ import annotations

import msgspec

from underlace.access import Actor, readable
from underlace.controller import devices as inventory
from underlace.controller.resources import ACTIVE, PROVISIONING, Item, items
from underlace.controller.run import Engine
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.store import devices, fragments, ledger, numbers, rows

SHOWN = 100
"""Most resources named in one answer."""


class FabricStatus(msgspec.Struct, frozen=True):
    """revision: the last one, or the one that was asked about. resources: those that wait, at most a hundred.
    devices: those whose word is missing, for actors who may read devices."""

    revision: int
    state: str
    simulated: bool
    resources: tuple[Item, ...]
    devices: tuple[inventory.Device, ...]
    in_sync: int
    total: int


def fabric_status(engine: Engine, actor: Actor, revision: int | None = None) -> FabricStatus:
    """Of the whole fabric, or of what one revision changed."""
    with engine.store.read() as c:
        newest = ledger.counters(c).revision
        if revision is not None and not 0 < revision <= newest:
            raise Refused([_no_revision(revision)])
        every = devices.every(c)
        missing = [d for d in every if inventory.state_of(d) != "in-sync"]
        if revision is None:
            found_waiting = fragments.waiting(c, [d.name for d in missing], SHOWN)
            waiting = list(dict.fromkeys((*found_waiting, *numbers.waiting_owners(c, SHOWN))))
        else:
            waiting = [v.id for v in ledger.changed_at(c, revision) if v.spec is not None]
        view = engine.view(c)
        resources = [
            r for r in map(view.parse, rows.by_id(c, waiting)) if readable(actor, engine.kinds[r.ref.kind], r)
        ]
        found = [i for i in items(c, engine.kinds, actor, resources[:SHOWN]) if i.status.state == PROVISIONING]
        simulated = ledger.facts(c).get("simulated") == "true"
    if revision is not None:
        # What a revision took away is gone when the devices that it changed have said so.
        missing = [d for d in missing if d.offered and d.desired >= revision and d.reported < revision]
    state = PROVISIONING if found or missing else ACTIVE
    shown = tuple(inventory.shown(d) for d in missing) if actor.sees_all else ()
    in_sync = sum(inventory.state_of(d) == "in-sync" for d in every)
    total = len(every) if actor.sees_all else 0
    return FabricStatus(
        newest if revision is None else revision,
        state,
        simulated,
        tuple(found),
        shown,
        in_sync if actor.sees_all else 0,
        total,
    )


def _no_revision(number: int) -> Diagnostic:
    return Diagnostic(
        Where(),
        "not-found",
        "The revision does not exist",
        f"There is no revision {number}.",
        "Ask about a revision that an apply returned.",
    )
