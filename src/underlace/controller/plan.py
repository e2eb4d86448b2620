"""What a change would do, as a value: to intent, to numbers, and to each device, against what the device holds.

The digest names what the change does to intent, numbers and desired fragments. What devices hold meanwhile may alter
the lines shown for a device, not the digest: the desired state that was agreed to is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import msgspec

from underlace.controller.devplan import DevicePlan, device_plans, upgrades_brought
from underlace.controller.run import Allocation, Edit, Run
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.resource import Resource


class FieldChange(msgspec.Struct, frozen=True):
    """A field before and after, None where it is not there. Of a list: the elements that go and those that come."""

    pointer: str
    before: Any
    after: Any


class ResourceChange(msgspec.Struct, frozen=True):
    """action: "create", "update" or "delete"."""

    action: str
    kind: str
    tenant: str
    name: str
    fields: tuple[FieldChange, ...]


class NumberChange(msgspec.Struct, frozen=True):
    """A number given out (value) or taken back (before alone). waiting: in quarantine, so its owner has to wait."""

    kind: str
    tenant: str
    name: str
    slot: str
    value: int | None
    before: int | None
    waiting: bool


class Plan(msgspec.Struct, frozen=True):
    """revision: the one that the plan stands on. devices: empty for actors who may not read devices."""

    digest: str
    revision: int
    resources: tuple[ResourceChange, ...]
    numbers: tuple[NumberChange, ...]
    devices: tuple[DevicePlan, ...]
    disruption: str
    warnings: tuple[Diagnostic, ...]


class Applied(msgspec.Struct, frozen=True):
    """What a change did. revision: the one it made, or the last one when nothing differed. devices: their names;
    plans: what it does to each, and disruption: the worst of that, if the request asked to be shown."""

    digest: str
    revision: int
    resources: tuple[ResourceChange, ...]
    numbers: tuple[NumberChange, ...]
    devices: tuple[str, ...]
    plans: tuple[DevicePlan, ...]
    disruption: str
    warnings: tuple[Diagnostic, ...]


_canonical = msgspec.json.Encoder(order="deterministic")


def plan(run: Run, native: Collection[str] | None = None) -> Plan:
    """The plan of a run that is about to be undone."""
    devices = _devices(run, native)
    return Plan(
        digest(run),
        run.counters.revision,
        resource_changes(run),
        _visible(run, number_changes(run)),
        devices,
        _worst(devices),
        (*_warnings(run), *upgrades_brought(run)),
    )


def applied(run: Run, show: bool = False, native: Collection[str] | None = None) -> Applied:
    """What a run did that is about to be kept; with `show`, as its plan would have said it."""
    plans = _devices(run, native) if show else ()
    return Applied(
        digest(run),
        run.revision if run.effective else run.counters.revision,
        resource_changes(run),
        _visible(run, number_changes(run)),
        tuple(sorted(run.devices)) if run.actor.sees_all else (),
        plans,
        _worst(plans),
        (*_warnings(run), *(upgrades_brought(run) if show else ())),
    )


def _devices(run: Run, native: Collection[str] | None) -> tuple[DevicePlan, ...]:
    return device_plans(run, native) if run.actor.sees_all else ()


def _worst(devices: tuple[DevicePlan, ...]) -> str:
    worst = max((d.worst for d in devices), default=None)
    return "" if worst is None else str(worst)


def _warnings(run: Run) -> tuple[Diagnostic, ...]:
    return tuple(sorted(set(run.found)))


def digest(run: Run) -> str:
    """What identifies a plan; "" for one that does nothing."""
    if not run.effective:
        return ""
    fragments = sorted((*key, *hashes) for key, hashes in run.fragments.items())
    body = _canonical.encode((resource_changes(run), number_changes(run), fragments))
    return hashlib.sha256(body).hexdigest()


def expect(run: Run, agreed: str) -> None:
    """Refuse when the change would do something else than what was agreed to."""
    if agreed and agreed != digest(run):
        raise Refused(
            [
                Diagnostic(
                    Where(),
                    "plan-changed",
                    "The change would now do something else than planned",
                    f"The plan that was agreed to is {agreed[:12]}; since revision {run.counters.revision} the same "
                    f"documents lead to {digest(run)[:12] or 'no change at all'}.",
                    "Plan again, read what is different, and apply that.",
                )
            ]
        )


def resource_changes(run: Run) -> tuple[ResourceChange, ...]:
    """Asked for by the answer and by its digest: of a thousand resources it takes a tenth of the change."""
    if run.described is None or run.described[0] is not run.changes:
        run.described = (run.changes, _described(run))
    described: tuple[ResourceChange, ...] = run.described[1]
    return described


def _described(run: Run) -> tuple[ResourceChange, ...]:
    return tuple(_resource_change(e) for e in sorted(run.changes, key=lambda e: e.ref))


def _resource_change(edit: Edit) -> ResourceChange:
    action = "create" if edit.before is None else "delete" if edit.after is None else "update"
    before, after = _plain(edit.before), _plain(edit.after)
    fields = tuple(field_changes("", before, after))
    return ResourceChange(action, *edit.ref, fields)


def _plain(r: Resource[Any] | None) -> dict[str, Any]:
    """What a person wrote: defaults are left out."""
    if r is None:
        return {}
    plain: dict[str, Any] = {"spec": r.spec.model_dump(mode="json", exclude_defaults=True)}
    return plain | ({"labels": dict(sorted(r.labels.items()))} if r.labels else {})


def field_changes(pointer: str, before: Any, after: Any) -> list[FieldChange]:
    """Field by field, in the order of names."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[FieldChange] = []
        for name in sorted(before.keys() | after.keys()):
            step = name.replace("~", "~0").replace("/", "~1")
            old, new = before.get(name), after.get(name)
            if (isinstance(old, dict) and new is None) or (isinstance(new, dict) and old is None):
                old, new = old or {}, new or {}
            found += field_changes(f"{pointer}/{step}", old, new)
        return found
    if isinstance(before, list) and isinstance(after, list):
        gone = [x for x in before if x not in after]
        come = [x for x in after if x not in before]
        if gone or come:
            return [FieldChange(pointer, gone, come)]
    return [FieldChange(pointer, before, after)]


def number_changes(run: Run) -> tuple[NumberChange, ...]:
    ordered = sorted(run.allocations, key=lambda a: (a.owner, a.slot, a.value is None, a.value or 0))
    return tuple(_number_change(a) for a in ordered)


def _number_change(a: Allocation) -> NumberChange:
    return NumberChange(*a.owner, a.slot, a.value, a.before, a.waiting)


def _visible(run: Run, changes: tuple[NumberChange, ...]) -> tuple[NumberChange, ...]:
    if run.actor.sees_all:
        return changes
    return tuple(c for c in changes if c.tenant in run.actor.tenants)
