"""Resources as they are read: spec, allocated numbers, and whether devices hold them (law 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from underlace.access import Actor, Verb, decide, missing, readable, refusal
from underlace.controller.run import Engine
from underlace.kinds.base import AnyKind
from underlace.model.diagnostic import Refused
from underlace.model.fact import FragmentKey
from underlace.model.ids import Ref
from underlace.model.resource import Resource
from underlace.store import devices, fragments, numbers, rows
from underlace.store.devices import DeviceRow
from underlace.store.slots import slot_device
from underlace.store.view import StoreView

Kinds = Mapping[str, AnyKind]

ACTIVE, PROVISIONING = "Active", "Provisioning"


class Waiting(msgspec.Struct, frozen=True, order=True):
    """A device whose word is missing, and why: "never-seen", "silent", "behind", "rejected", "reverted",
    "failed", or "quarantine": it has not confirmed that a number is gone which the resource asks for."""

    device: str
    reason: str


class Status(msgspec.Struct, frozen=True):
    """waiting_for: how many devices; waiting: which, for actors who may read devices. addresses: those that allocated
    numbers stand for, such as a leaf's on each port of a V-Net of routed links."""

    state: str
    allocated: dict[str, int]
    waiting_for: int = 0
    waiting: tuple[Waiting, ...] = ()
    addresses: Mapping[str, tuple[str, ...]] = {}


class Item(msgspec.Struct, frozen=True):
    """A resource with all that is known about it. spec: with every default said."""

    kind: str
    tenant: str
    name: str
    id: int
    revision: int
    labels: dict[str, str]
    spec: dict[str, Any]
    status: Status


class Page(msgspec.Struct, frozen=True):
    """next: where the following page begins, None at the end."""

    items: tuple[Item, ...]
    next: str | None = None


def get(engine: Engine, actor: Actor, ref: Ref) -> Item:
    with engine.store.read() as c:
        view = engine.view(c)
        return _item_of(c, engine, actor, find(engine, view, actor, ref))


def find(engine: Engine, view: StoreView, actor: Actor, ref: Ref) -> Resource[Any]:
    """The resource, if there is one that the actor may see."""
    kind = engine.kinds.get(ref.kind)
    resource = None if kind is None else view.get(ref)
    if kind is None or resource is None:
        raise Refused([missing(ref)])
    fault = refusal(decide(actor, Verb.READ, kind, ref, resource), actor, Verb.READ, ref)
    if fault is not None:
        raise Refused([fault])
    return resource


def page(
    engine: Engine,
    actor: Actor,
    kind: str,
    tenant: str | None = None,
    labels: Mapping[str, str] | None = None,
    after: str | None = None,
    limit: int = 500,
) -> Page:
    """Resources of a kind by tenant and name, at most `limit`; `after`: the `next` of the page before."""
    if kind not in engine.kinds:
        raise Refused([missing(Ref(kind, "-", "*"))])
    found: list[Resource[Any]] = []
    with engine.store.read() as c:
        view = engine.view(c)
        place = tuple((after or "/").split("/", 1))
        tenants = None if actor.sees_all or not engine.kinds[kind].tenanted else actor.tenants
        while len(found) <= limit:
            part = rows.listing(c, kind, tenant, tenants, labels or {}, (place[0], place[-1]), limit + 1)
            found += [r for r in map(view.parse, part) if readable(actor, engine.kinds[kind], r)]
            if len(part) <= limit:
                break
            place = (part[-1].ref.tenant, part[-1].ref.name)
        shown = found[:limit]
        following = f"{shown[-1].ref.tenant}/{shown[-1].ref.name}" if len(found) > limit else None
        return Page(tuple(items(c, engine, actor, shown)), following)


def items(c: Connection, engine: Engine, actor: Actor, resources: Sequence[Resource[Any]]) -> list[Item]:
    found = statuses(c, engine, actor, resources)
    return [
        Item(*r.ref, r.id, r.revision, dict(r.labels), r.spec.model_dump(mode="json"), found[r.id]) for r in resources
    ]


def _item_of(c: Connection, engine: Engine, actor: Actor, resource: Resource[Any]) -> Item:
    return items(c, engine, actor, [resource])[0]


def statuses(c: Connection, engine: Engine, actor: Actor, resources: Sequence[Resource[Any]]) -> dict[int, Status]:
    """By id. Active only on the word of every device that a resource touches."""
    ids = [r.id for r in resources]
    pending = fragments.pending(c, ids)
    for i, found in _placed(c, engine.kinds, resources).items():
        pending[i] = sorted({*pending.get(i, ()), *found})
    blocked = _blocked(c, engine.kinds, resources)
    confined = _confined(c, {owner for owners in blocked.values() for owner in owners})
    allocated = numbers.allocated(c, ids)
    known = devices.some(c, {d for found in pending.values() for d in found})
    result = {}
    for r in resources:
        i, own = r.id, allocated.get(r.id, {})
        waiting = {Waiting(d, _reason(engine, known.get(d))) for d in pending.get(i, ())}
        waiting |= {Waiting(d, "quarantine") for owner in blocked.get(i, ()) for d in confined.get(owner, ())}
        state = PROVISIONING if waiting or i in blocked else ACTIVE
        shown = tuple(sorted(waiting)) if actor.sees_all else ()
        addresses = engine.kinds[r.ref.kind].addresses(r, own)
        result[i] = Status(state, own, len({w.device for w in waiting}), shown, addresses)
    return result


def _blocked(c: Connection, kinds: Kinds, resources: Sequence[Resource[Any]]) -> dict[int, set[int]]:
    """Which of these wait for numbers in quarantine, and the owners of those numbers: they or what they refer to."""
    if not numbers.waiting_owners(c, 1):
        return {}
    targets = {r.id: [x.target for x in kinds[r.ref.kind].refs(r) if not x.soft] for r in resources}
    ids = rows.ids(c, {t for found in targets.values() for t in found})
    owners = {i: {i, *(ids[t] for t in found if t in ids)} for i, found in targets.items()}
    waiting = numbers.waiting(c, {o for found in owners.values() for o in found})
    return {i: found & waiting for i, found in owners.items() if found & waiting}


def _placed(c: Connection, kinds: Kinds, resources: Sequence[Resource[Any]]) -> dict[int, set[str]]:
    """Devices that do not yet hold a scope which is there for a resource's sake. It has a number on each of them."""
    scopes = {r.id: list(kinds[r.ref.kind].scopes(r)) for r in resources}
    owners = [i for i, found in scopes.items() if found]
    bound = (
        [(n.owner, device) for n in numbers.of_owners(c, owners) if (device := slot_device(n.slot))] if owners else []
    )
    keys = [(i, FragmentKey(device, scope)) for i, device in bound if i is not None for scope in scopes[i]]
    desired, held = fragments.hashes(c, [k for _, k in keys]), fragments.held(c, [k for _, k in keys])
    found: dict[int, set[str]] = {}
    for i, key in keys:
        if key in desired and desired[key] != held.get(key):
            found.setdefault(i, set()).add(key.device)
    return found


def _confined(c: Connection, owners: set[int]) -> dict[int, set[str]]:
    """For each owner the devices that keep one of its numbers in quarantine."""
    if not owners:
        return {}
    held = {(n.pool, n.value): n.owner for n in numbers.of_owners(c, owners) if n.waiting and n.owner is not None}
    found: dict[int, set[str]] = {}
    for at, by_device in numbers.quarantined(c, held).items():
        found.setdefault(held[at], set()).update(by_device)
    return found


def _reason(engine: Engine, row: DeviceRow | None) -> str:
    """Why a device does not hold what it should."""
    if row is not None and engine.contacts.is_silent(row):
        return "silent"
    if row is None or not row.outcome:
        return "never-seen"
    if row.outcome == "failed":
        return "failed"
    if row.rejected:
        return "rejected"
    return "reverted" if row.outcome == "reverted" else "behind"
