"""Fragments that a change touches, compiled again: cost follows the change (law 7).

dirty resources ──compile──► facts ──► fragments they touch now ┐
                             fragments they touched before ─────┴─► dirty fragments
nobody dirty was in there before ──► what is stored, whole: a merge knows no order
else other members of these ──compile, for these devices──► facts
──► merge, encode, hash ──► compare with what is stored ──► write what differs
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from underlace.compiler import Compiled, Fragment, Merge, check_budget, check_capabilities, compile_facts, limited
from underlace.controller.run import Devices, Run, decoded
from underlace.model.capability import Capabilities
from underlace.model.device import DeviceObject, Key
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.fact import FragmentKey
from underlace.model.ids import Ref, fabric
from underlace.model.resource import Resource
from underlace.model.wire import CANNOT
from underlace.store import devices, fragments, rows
from underlace.store.devices import DeviceRow
from underlace.store.fragments import Desired, State, Touch
from underlace.store.slots import slot_device

VRF = "vrf:"


def recompile(run: Run) -> None:
    """Compile what is dirty and write the fragments that differ. Findings are added to the run."""
    known = [i for i in (*run.dirty, *run.deleted) if run.compiled or not run.is_new(i)]
    run.compiled = True
    touched = fragments.touches(run.c, known) if known else set()
    old = _restricted(run, touched)
    result = _compile(run, old, grow=True)
    if result.compiled.broken:
        # What is stored does not say who asked for it: compile everybody, so that all owners are told.
        result = _compile(run, old, grow=False)
    run.found += result.compiled.diagnostics
    _write_touches(run, touched, touched - old | result.touches)
    _write(run, result.before, _members(result.before, old, result.touches), result.compiled)


def _write_touches(run: Run, before: set[Touch], after: set[Touch]) -> None:
    found: dict[int, set[FragmentKey]] = {i: set() for _, i in before ^ after}
    for key, i in after:
        if i in found:
            found[i].add(key)
    fragments.write_touches(run.c, found)


Members = dict[FragmentKey, set[int]]


def _members(before: Before, old: set[Touch], new: set[Touch]) -> Members:
    """Who is in the dirty fragments now."""
    members = {key: set(state.members) if state is not None else set() for key, state in before.items()}
    for key, i in old - new:
        members[key].discard(i)
    for key, i in new:
        members[key].add(i)
    return members


Before = Mapping[FragmentKey, State | None]
"""The dirty fragments as they were, None where there was none."""


class _Result(NamedTuple):
    """touches: of the dirty resources."""

    compiled: Compiled
    touches: set[Touch]
    before: Before


def _compile(run: Run, old: set[Touch], *, grow: bool) -> _Result:
    """The dirty fragments. grow: to those that only get more, add to what is stored."""
    merge = Merge()
    for some, resources in _by_devices(run).items():
        merge.add(compile_facts(resources, run.view, some))
    now = {r.ref: r.id for r in run.live.values()}
    new: set[Touch] = {(key, now[ref]) for key, refs in merge.touched.items() for ref in refs}
    changed = {key for key, _ in old}
    added = {key for key, _ in new} - changed if grow else set()
    keys = {key for key, _ in old | new}
    before: Before = dict.fromkeys(keys) | fragments.states(run.c, keys)
    _add_stored(run, merge, {key: state.hash for key in added if (state := before[key]) is not None})
    members = _add_members(run, merge, {key: s for key, s in before.items() if s is not None and key not in added})
    return _Result(merge.finish([*run.live.values(), *members], run.view), new, before)


def _add_stored(run: Run, merge: Merge, hashes: Mapping[FragmentKey, str]) -> None:
    """Add what these fragments consist of."""
    _read_bodies(run, hashes)
    for key, name in hashes.items():
        merge.keep(key, decoded(run.bodies[name]).values())


def _read_bodies(run: Run, hashes: Mapping[FragmentKey, str]) -> None:
    if unknown := {key: name for key, name in hashes.items() if name not in run.bodies}:
        run.bodies |= fragments.bodies(run.c, unknown)


def _restricted(run: Run, touches: set[Touch]) -> set[Touch]:
    """Touches of dirty resources on the devices for which they are dirty; all of the deleted ones."""
    return {(key, i) for key, i in touches if (some := run.dirty.get(i)) is None or key.device in some}


def _by_devices(run: Run) -> dict[Devices, list[Resource[Any]]]:
    """The dirty resources by the devices for which they are dirty."""
    found: dict[Devices, list[Resource[Any]]] = {}
    for i, resource in run.live.items():
        found.setdefault(run.dirty[i], []).append(resource)
    return found


def _add_members(run: Run, merge: Merge, states: Mapping[FragmentKey, State]) -> list[Resource[Any]]:
    """Add the facts of the other resources in these fragments. A resource that is dirty for some devices only is
    another resource on the others."""
    wanted: dict[int, set[FragmentKey]] = {}
    for key, i in ((key, i) for key, state in states.items() for i in state.members):
        if i not in run.deleted and not (i in run.dirty and _covers(run.dirty[i], key.device)):
            wanted.setdefault(i, set()).add(key)
    if not wanted:
        return []
    unknown = [i for i in wanted if i not in run.live]
    resources = {r.id: r for r in map(run.view.parse, rows.by_id(run.c, unknown))} | run.live
    # They say nothing while a number of theirs, or of what they build on, is in quarantine.
    others = [resources[i] for i in unknown]
    run.view.load({r.ref for r in others} | {x.target for r in others for x in run.refs(r) if not x.soft})
    by_devices: dict[frozenset[str], list[int]] = {}
    for i, touched in wanted.items():
        by_devices.setdefault(frozenset(key.device for key in touched), []).append(i)
    for some, ids in by_devices.items():
        # What they read of numbers is what they need of them: asked for at once, not one by one.
        needs = [n for i in ids for n in run.kind(resources[i]).needs(resources[i], run.view, some)]
        run.view.load_bound(
            (owner.id, n.slot) for n in needs if (owner := run.view.get(n.owner)) and slot_device(n.slot)
        )
        only = {key for i in ids for key in wanted[i]}
        merge.add(compile_facts([resources[i] for i in ids], run.view, some), only)
    return others


def _covers(some: Devices, device: str) -> bool:
    return some is None or device in some


def _write(run: Run, before: Before, members: Members, compiled: Compiled) -> None:
    hashes = {key: state.hash for key, state in before.items() if state is not None}
    changed = {key: fragment for key, fragment in compiled.fragments.items() if hashes.get(key) != fragment.hash}
    gone = hashes.keys() - compiled.fragments.keys()
    same = compiled.fragments.keys() - changed.keys()
    fragments.write_members(run.c, {k: members[k] for k in same if (s := before[k]) and s.members != members[k]})
    if not changed and not gone:
        return
    # What is replaced is what a plan begins with, where a device has not said what it holds.
    replaced = {key: name for key, name in hashes.items() if key in changed or key in gone}
    _read_bodies(run, replaced)
    new = {key: Desired(f.hash, f.body.decode(), members[key]) for key, f in changed.items()}
    fragments.write(run.c, run.revision, new, gone, replaced.keys())
    devices.set_desired(run.c, {key.device for key in (*changed, *gone)}, run.revision)
    for key in (*changed, *gone):
        first = run.fragments[key][0] if key in run.fragments else hashes.get(key)
        run.fragments[key] = (first, changed[key].hash if key in changed else None)
    run.bodies |= {f.hash: f.body for f in new.values()}
    _check_devices(run, changed, hashes)


def _check_devices(run: Run, changed: Mapping[FragmentKey, Fragment], before: Mapping[FragmentKey, str]) -> None:
    by_device: dict[str, list[tuple[FragmentKey, Fragment]]] = {}
    for key, fragment in changed.items():
        by_device.setdefault(key.device, []).append((key, fragment))
    switches = {name: fabric("switch", name) for name in by_device}
    run.view.load(switches.values())
    placed = {key.device for key in changed if key.scope.startswith(VRF) and key not in before}
    vrfs = fragments.vrf_counts(run.c, placed) if placed else {}
    known: dict[tuple[str, str], Capabilities] = {}
    said = devices.some(run.c, by_device)
    for device, found in sorted(by_device.items()):
        capabilities = _capabilities(run, device, known)
        if capabilities is None:
            continue
        if device in said:
            capabilities = limited(capabilities, _told(said[device]))
        if device in vrfs:
            run.found += check_budget(device, vrfs[device], capabilities)
        owners = _Owners(run, device)
        for _, fragment in found:
            run.found += check_capabilities(device, decoded(run.bodies[fragment.hash]).values(), capabilities, owners)


def _told(row: DeviceRow) -> list[Diagnostic]:
    """What a device said last, where that is about what it cannot do."""
    return msgspec.json.decode(row.diagnostics, type=list[Diagnostic]) if CANNOT in row.diagnostics else []


class _Owners:
    """Who of the dirty resources asked for an object of a device; compiled again only when something is wrong."""

    def __init__(self, run: Run, device: str) -> None:
        self._run, self._device = run, device
        self._known: dict[Key, set[Ref]] | None = None

    def __call__(self, item: DeviceObject) -> Iterable[Ref]:
        if self._known is None:
            self._known = {}
            for fact in compile_facts(self._run.live.values(), self._run.view, frozenset((self._device,))):
                self._known.setdefault(fact.object.key, set()).add(fact.because)
        return self._known.get(item.key, ())


def _capabilities(run: Run, device: str, known: dict[tuple[str, str], Capabilities]) -> Capabilities | None:
    """What the device's OS can do; None, with a finding, when no driver is for it."""
    switch = run.view.get(fabric("switch", device))
    assert switch is not None
    system = (switch.spec.os, switch.spec.os_version)
    if system not in known:
        driver = run.engine.drivers.get(system[0])
        if driver is None:
            run.found.append(_no_driver(switch.ref, device, system[0], run.engine.drivers))
            return None
        known[system] = driver.capabilities(system[1])
    return known[system]


def _no_driver(ref: Ref, device: str, system: str, drivers: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        Where(str(ref), "/spec/os", device=device),
        "os-unknown",
        "No driver is for this operating system",
        f"{device} runs {system}; there are drivers for {', '.join(sorted(drivers)) or 'none'}.",
        "Correct os, or install the driver.",
    )
