"""Fragments: which resource touches which, what is desired, what devices hold, and the bodies of both."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from underlace.model.fact import FragmentKey
from underlace.store import schema
from underlace.store.dialect import Insert, Rows, among, listed, packed
from underlace.store.squeeze import plain, squeezed

_t = schema.touch.c
_f = schema.fragment.c
_h = schema.held.c

Touch = tuple[FragmentKey, int]
_LINE, _CELL = "\n", "\t"
_HASH = re.compile("[0-9a-f]{64}")

_given = Rows("fragments", device=Text, scope=Text)
_TOUCHES = select(_t.id, _t.fragments).where(_t.id.in_(listed("ids", Integer)))
_TOUCH = Insert(schema.touch, "overwrite")
_UNTOUCH = delete(schema.touch).where(_t.id.in_(listed("ids", Integer)))
_DESIRED_AT = _given.source.join(schema.fragment, and_(_f.device == _given.device, _f.scope == _given.scope))
_HELD_AT = _given.source.join(schema.held, and_(_h.device == _given.device, _h.scope == _given.scope))
_STATES = select(_f.device, _f.scope, _f.hash, _f.members).select_from(_DESIRED_AT)
_HASHES = select(_f.device, _f.scope, _f.hash).select_from(_DESIRED_AT)
_HELD = select(_h.device, _h.scope, _h.hash).select_from(_HELD_AT)
_BODIES = select(_f.device, _f.scope, _f.hash, _f.body).select_from(_DESIRED_AT)
_OLD_BODIES = select(_h.device, _h.scope, _h.hash, _h.body).select_from(_HELD_AT).where(_h.body.is_not(None))
_SAME = and_(_f.device == _h.device, _f.scope == _h.scope, _f.hash == _h.hash)
_KEEP = (
    update(schema.held)
    .where(among("rows", _h.device, _h.scope), select(1).where(_SAME).exists())
    .values(body=select(_f.body).where(_SAME).scalar_subquery())
)
_WRITE = Insert(schema.fragment, "overwrite")
_SET_MEMBERS = (
    update(schema.fragment)
    .where(_f.device == bindparam("b_device"), _f.scope == bindparam("b_scope"))
    .values(members=bindparam("b_members"))
)
_DROP = delete(schema.fragment).where(among("rows", _f.device, _f.scope))
_DESIRED = select(_f.scope, _f.hash).where(_f.device == bindparam("of"))
_DESIRED_UNTIL = _DESIRED.where(_f.revision <= bindparam("revision"))
_HELD_BY = select(_h.scope, _h.hash).where(_h.device == bindparam("of"))


class State(NamedTuple):
    """A desired fragment: its hash, and the resources that touch it."""

    hash: str
    members: frozenset[int]


class Desired(NamedTuple):
    """A fragment to write."""

    hash: str
    body: str
    members: Collection[int]


def digest(name: str) -> bytes:
    """A hash as it is stored. What a device says that is none, is stored as something else that is none of ours."""
    return bytes.fromhex(name) if _HASH.fullmatch(name) else sha256(name.encode()).digest()


def _members(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split()))


def _text(members: Iterable[int]) -> str:
    return " ".join(map(str, sorted(members)))


def touches(c: Connection, ids: Iterable[int]) -> set[Touch]:
    """The fragments that these resources touch."""
    found = c.execute(_TOUCHES, {"ids": packed(ids)})
    return {
        (FragmentKey(device, scope), i)
        for i, lines in found
        for scope, *devices in (line.split(_CELL) for line in lines.split(_LINE))
        for device in devices
    }


def write_touches(c: Connection, touched: Mapping[int, Collection[FragmentKey]]) -> None:
    """Write which fragments these resources touch now."""
    _TOUCH(c, [(i, _lines(keys)) for i, keys in sorted(touched.items()) if keys])
    if gone := [i for i, keys in touched.items() if not keys]:
        c.execute(_UNTOUCH, {"ids": packed(gone)})


def _lines(keys: Iterable[FragmentKey]) -> str:
    """A line for each scope, with the devices that have it: a V-Net has one scope on many."""
    by_scope: dict[str, list[str]] = {}
    for device, scope in sorted(keys):
        by_scope.setdefault(scope, []).append(device)
    return _LINE.join(_CELL.join((scope, *devices)) for scope, devices in sorted(by_scope.items()))


def states(c: Connection, fragments: Iterable[FragmentKey]) -> dict[FragmentKey, State]:
    """These fragments as they are desired, where they are."""
    found = c.execute(_STATES, {"fragments": packed(fragments)})
    return {FragmentKey(r[0], r[1]): State(r[2].hex(), _members(r[3])) for r in found}


def hashes(c: Connection, fragments: Iterable[FragmentKey]) -> dict[FragmentKey, str]:
    """The desired hash of these fragments, where there is one."""
    return {FragmentKey(r[0], r[1]): r[2].hex() for r in c.execute(_HASHES, {"fragments": packed(fragments)})}


def held(c: Connection, fragments: Iterable[FragmentKey]) -> dict[FragmentKey, str]:
    """The hash of these fragments that the device holds, where it said so."""
    return {FragmentKey(r[0], r[1]): r[2].hex() for r in c.execute(_HELD, {"fragments": packed(fragments)})}


def write(
    c: Connection,
    revision: int,
    new: Mapping[FragmentKey, Desired],
    gone: Collection[FragmentKey],
    replaced: Collection[FragmentKey],
) -> None:
    """Write desired fragments and drop those that are gone. replaced: those of either that are desired otherwise so
    far: where a device holds them, their bodies are kept."""
    if replaced:
        c.execute(_KEEP, {"rows": packed(replaced)})
    # In order: so a database fills its pages.
    rows = ((*key, digest(f.hash), revision, _text(f.members), squeezed(f.body)) for key, f in sorted(new.items()))
    _WRITE(c, rows)
    if gone:
        c.execute(_DROP, {"rows": packed(gone)})


def write_members(c: Connection, changed: Mapping[FragmentKey, Collection[int]]) -> None:
    """Others touch these fragments now, which say the same as before."""
    if changed:
        rows = [{"b_device": k.device, "b_scope": k.scope, "b_members": _text(m)} for k, m in changed.items()]
        c.execute(_SET_MEMBERS, rows)


def desired(c: Connection, device: str) -> dict[str, str]:
    """{scope: hash} of what a device should hold."""
    return {r[0]: r[1].hex() for r in c.execute(_DESIRED, {"of": device})}


def desired_until(c: Connection, device: str, revision: int) -> dict[str, str]:
    """{scope: hash} of what a device should hold and should have held at this revision already."""
    return {r[0]: r[1].hex() for r in c.execute(_DESIRED_UNTIL, {"of": device, "revision": revision})}


def held_by(c: Connection, device: str) -> dict[str, str]:
    """{scope: hash} of what a device said that it holds."""
    return {r[0]: r[1].hex() for r in c.execute(_HELD_BY, {"of": device})}


def bodies(c: Connection, wanted: Mapping[FragmentKey, str | None]) -> dict[str, str]:
    """Bodies by hash, of fragments that are desired or held with these hashes, as far as they are known."""
    given = {"fragments": packed(key for key, name in wanted.items() if name is not None)}
    found: dict[str, str] = {}
    for query in (_BODIES, _OLD_BODIES):
        for device, scope, name, body in c.execute(query, given):
            if wanted[FragmentKey(device, scope)] == name.hex():
                found[name.hex()] = plain(body)
        if len(found) == len(wanted):
            break
    return found


_INSERT_HELD = Insert(schema.held, "overwrite")
_DROP_HELD = delete(schema.held).where(_h.device == bindparam("of"), _h.scope.in_(listed("scopes")))


def set_held(c: Connection, device: str, scopes: Mapping[str, str]) -> None:
    """What a device holds is now this and nothing else."""
    before = held_by(c, device)
    after = {scope: digest(name) for scope, name in scopes.items()}
    _INSERT_HELD(c, [(device, s, name, None) for s, name in after.items() if before.get(s) != name.hex()])
    if gone := [s for s in before if s not in scopes]:
        c.execute(_DROP_HELD, {"of": device, "scopes": packed(gone)})


_VRFS = (
    select(_f.device, func.count())
    .where(_f.device.in_(listed("devices")), _f.scope >= "vrf:", _f.scope < "vrf;")
    .group_by(_f.device)
)


def vrf_counts(c: Connection, devices: Iterable[str]) -> dict[str, int]:
    """How many VRFs each of these devices should hold."""
    return {r[0]: r[1] for r in c.execute(_VRFS, {"devices": packed(devices)})}


def pending(c: Connection, ids: Iterable[int]) -> dict[int, list[str]]:
    """For each resource that some device does not hold as desired yet: these devices, sorted (law 4)."""
    found: dict[int, set[str]] = {}
    touched = touches(c, ids)
    keys = {key for key, _ in touched}
    wanted, there = hashes(c, keys), held(c, keys)
    for key, i in touched:
        if key in wanted and there.get(key) != wanted[key]:
            found.setdefault(i, set()).add(key.device)
    return {i: sorted(devices) for i, devices in found.items()}


_ON_DEVICE = select(_f.members).where(_f.device == bindparam("of"))


def on_device(c: Connection, device: str) -> list[int]:
    """The resources that touch a device."""
    return sorted({i for (members,) in c.execute(_ON_DEVICE, {"of": device}) for i in _members(members)})


_EVERY_KEY = select(_f.device, _f.scope, _f.hash)
_KEYS_OF = _EVERY_KEY.where(_f.device.in_(listed("devices")))


def every_key(c: Connection, devices: Iterable[str] | None = None) -> dict[FragmentKey, str]:
    """All desired fragments, or those of some devices, and their hashes. For a check of the whole store."""
    found = c.execute(_EVERY_KEY) if devices is None else c.execute(_KEYS_OF, {"devices": packed(devices)})
    return {FragmentKey(r[0], r[1]): r[2].hex() for r in found}


def every_touch(c: Connection) -> set[Touch]:
    """All touches, as the fragments know them. For a check of the whole store."""
    found = c.execute(select(_f.device, _f.scope, _f.members))
    return {(FragmentKey(r[0], r[1]), i) for r in found for i in _members(r[2])}


_WAITING = (
    select(_f.members)
    .select_from(schema.fragment.outerjoin(schema.held, and_(_h.device == _f.device, _h.scope == _f.scope)))
    .where(_f.device.in_(listed("devices")), or_(_h.hash.is_(None), _h.hash != _f.hash))
)


def waiting(c: Connection, devices: Iterable[str], limit: int) -> list[int]:
    """Some resources that these devices do not hold as desired."""
    found = c.execute(_WAITING.limit(limit), {"devices": packed(devices)})
    return list(islice(dict.fromkeys(i for (members,) in found for i in sorted(_members(members))), limit))
