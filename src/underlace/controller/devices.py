"""Devices: what each should hold, what it said, and its configuration in its own words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection

from underlace.access import CONTROLLER, Actor, Use, decide_use, forbidden
from underlace.access.decision import Decision
from underlace.controller import settlement
from underlace.controller.rollout import record_resumed
from underlace.controller.run import Engine, Run
from underlace.drivers.protocol import Driver
from underlace.model.device import DeviceObject, decode_fragment
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.fact import FragmentKey
from underlace.model.ids import fabric
from underlace.model.wire import CANNOT, LASTING
from underlace.store import devices, fragments, ledger, numbers
from underlace.store.devices import DeviceRow
from underlace.store.view import StoreView

IN_SYNC, SILENT = "in-sync", "silent"

NEVER = 1 << 62
"""A revision that no store reaches: whatever a forgotten device had to confirm is done."""


class Device(msgspec.Struct, frozen=True):
    """state: "in-sync", "behind", "rejected", "reverted" or "failed", by its last word; "never-seen" before that;
    "silent" when nothing was heard of its agent for so long that its last word says little. last_seen: when its agent
    was last heard, if only that it waits; last_report: when it last said what it holds. os: by its last word, before
    that by intent; driver and os_version: by its last word.

    desired: revision of the last change of what it should hold; offered: the highest ever handed out to it; reported:
    of what it said that it holds; confirmed: up to which it has let go of what was taken away. pending: scopes that
    it does not hold as desired (only where a single device is asked for).
    """

    name: str
    state: str
    desired: int
    offered: int
    reported: int
    confirmed: int
    digest: str
    outcome: str
    last_seen: str
    last_report: str
    agent_version: str
    os: str
    driver: str
    os_version: str
    diagnostics: list[Any]
    drift: list[str]
    rejected: str
    simulated: bool
    pending: tuple[str, ...] = ()


def require(actor: Actor, use: Use, what: str) -> None:
    if decide_use(actor, use) is not Decision.ALLOW:
        raise Refused([forbidden(actor, what)])


def every(engine: Engine, actor: Actor) -> list[Device]:
    require(actor, Use.READ_FABRIC, "read devices")
    with engine.store.read() as c:
        return shown(engine, c, devices.every(c))


def one(engine: Engine, actor: Actor, name: str) -> Device:
    require(actor, Use.READ_FABRIC, "read devices")
    with engine.store.read() as c:
        row = devices.one(c, name)
        if row is None:
            raise Refused([no_device(name)])
        held = fragments.held_by(c, name)
        desired = fragments.desired(c, name)
        differ = sorted(s for s in held.keys() | desired.keys() if held.get(s) != desired.get(s))
        (device,) = shown(engine, c, [row])
        return msgspec.structs.replace(device, pending=tuple(differ))


def config(engine: Engine, actor: Actor, name: str) -> list[str]:
    """The native configuration that the device should hold."""
    require(actor, Use.READ_FABRIC, "read the configuration of devices")
    with engine.store.read() as c:
        objects = [item for scope in scopes_of(c, name) for item in scope]
        driver = driver_of(engine, c, name)
    if driver is None or not objects:
        raise Refused([no_device(name)])
    return driver.text(driver.items(objects))


def forget(engine: Engine, actor: Actor, name: str) -> frozenset[str]:
    """The device is dead: it holds nothing, and no number waits for its word. Returns the devices that change."""
    require(actor, Use.MANAGE_DEVICES, "forget devices")
    changed = engine.store.write(lambda c: _forget(engine, c, actor, name))
    engine.contacts.forget(name)
    return changed


def _forget(engine: Engine, c: Connection, actor: Actor, name: str) -> frozenset[str]:
    row = devices.one(c, name)
    if row is None:
        raise Refused([no_device(name)])
    ledger.write_audit(c, ledger.stamp(engine.clock()), actor.name, "device-forget", name, f"held {row.reported}")
    fragments.set_held(c, name, {})
    devices.remove(c, name)
    if fragments.desired(c, name):
        devices.write(c, DeviceRow(name, desired=row.desired))
    run = Run.start(engine, c, CONTROLLER)
    settlement.resume(run, numbers.clear(c, name, NEVER))
    return record_resumed(run, f"device {name} was forgotten")


def driver_of(engine: Engine, c: Connection, name: str) -> Driver | None:
    """The driver of the OS that intent gives a device."""
    return engine.drivers.get(_intended_os(engine.view(c), name))


def scopes_of(c: Connection, name: str) -> list[tuple[DeviceObject, ...]]:
    """What a device should hold, by scope."""
    found = {FragmentKey(name, scope): hash_ for scope, hash_ in fragments.desired(c, name).items()}
    bodies = fragments.bodies(c, found)
    return [tuple(decode_fragment(bodies[hash_].encode())) for hash_ in found.values()]


def shown(engine: Engine, c: Connection, rows: Iterable[DeviceRow]) -> list[Device]:
    rows = list(rows)
    view = engine.view(c)
    view.load(fabric("switch", row.name) for row in rows if not row.driver)
    return [_shown(engine, row, row.driver or _intended_os(view, row.name)) for row in rows]


def _intended_os(view: StoreView, name: str) -> str:
    switch = view.get(fabric("switch", name))
    return "" if switch is None else switch.spec.os


def _shown(engine: Engine, row: DeviceRow, os: str) -> Device:
    return Device(
        row.name,
        SILENT if engine.contacts.is_silent(row) else word_of(row),
        row.desired,
        row.offered,
        row.reported,
        row.confirmed,
        row.digest,
        row.outcome,
        engine.contacts.last(row),
        row.last_seen,
        row.agent_version,
        os,
        row.driver,
        row.os_version,
        msgspec.json.decode(row.diagnostics),
        msgspec.json.decode(row.drift),
        row.rejected,
        row.simulated,
    )


def lasting(row: DeviceRow) -> list[Diagnostic]:
    """What goes on at the device, by its last report. What it cannot do matters to plans alone."""
    told = msgspec.json.decode(row.diagnostics, type=list[Diagnostic])
    return [one for one in told if one.code in LASTING and one.code != CANNOT]


def word_of(row: DeviceRow) -> str:
    """What a device's last word comes to, however long ago it was."""
    if not row.outcome:
        return "never-seen"
    if row.outcome in ("failed", "reverted"):
        return row.outcome
    if row.rejected:
        return "rejected"
    return IN_SYNC if row.reported >= row.desired else "behind"


def no_device(name: str) -> Diagnostic:
    return Diagnostic(
        Where(device=name),
        "not-found",
        "The device does not exist",
        f"No device {name} has anything to hold or ever reported.",
        "List the devices: underlace device list",
    )
