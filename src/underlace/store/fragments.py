"""Fragments: which resource touches which, what is desired by hash, what devices hold, and bodies by content."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, Integer, Text, and_, bindparam, delete, exists, func, or_, select

from underlace.model.fact import FragmentKey
from underlace.store import schema
from underlace.store.dialect import Insert, Rows, among, listed, packed
from underlace.store.squeeze import plain, squeezed

_t = schema.touch.c
_f = schema.fragment.c
_h = schema.held.c
_b = schema.blob.c

Touch = tuple[FragmentKey, int]

_given = Rows("fragments", device=Text, scope=Text)
_TOUCHES = select(_t.device, _t.scope, _t.id).where(_t.id.in_(listed("ids", Integer)))
_MEMBERS = select(_t.device, _t.scope, _t.id).select_from(
    _given.source.join(schema.touch, and_(_t.device == _given.device, _t.scope == _given.scope))
)
_UNTOUCH = delete(schema.touch).where(among("rows", _t.device, _t.scope, _t.id))
_TOUCH = Insert(schema.touch)
_HASHES = select(_f.device, _f.scope, _f.hash).select_from(
    _given.source.join(schema.fragment, and_(_f.device == _given.device, _f.scope == _given.scope))
)
_HELD = select(_h.device, _h.scope, _h.hash).select_from(
    _given.source.join(schema.held, and_(_h.device == _given.device, _h.scope == _given.scope))
)
_WRITE = Insert(schema.fragment, "overwrite")
_DROP = delete(schema.fragment).where(among("rows", _f.device, _f.scope))
_BODY = Insert(schema.blob, "keep")
_DESIRED = select(_f.scope, _f.hash).where(_f.device == bindparam("of"))
_DESIRED_UNTIL = _DESIRED.where(_f.revision <= bindparam("revision"))
_HELD_BY = select(_h.scope, _h.hash).where(_h.device == bindparam("of"))
_BODIES = select(_b.hash, _b.body).where(_b.hash.in_(listed("hashes")))
_COLLECT = delete(schema.blob).where(
    _b.hash.in_(listed("hashes")), ~exists().where(_f.hash == _b.hash), ~exists().where(_h.hash == _b.hash)
)


def touches(c: Connection, ids: Iterable[int]) -> set[Touch]:
    """The fragments that these resources touch."""
    return {(FragmentKey(r[0], r[1]), r[2]) for r in c.execute(_TOUCHES, {"ids": packed(ids)})}


def members(c: Connection, fragments: Iterable[FragmentKey]) -> set[Touch]:
    """The resources that touch these fragments."""
    return {(FragmentKey(r[0], r[1]), r[2]) for r in c.execute(_MEMBERS, {"fragments": packed(fragments)})}


def write_touches(c: Connection, gone: Iterable[Touch], new: Iterable[Touch]) -> None:
    if old := [(*key, i) for key, i in gone]:
        c.execute(_UNTOUCH, {"rows": packed(old)})
    _TOUCH(c, [(*key, i) for key, i in new])


def hashes(c: Connection, fragments: Iterable[FragmentKey]) -> dict[FragmentKey, str]:
    """The desired hash of these fragments, where there is one."""
    return {FragmentKey(r[0], r[1]): r[2] for r in c.execute(_HASHES, {"fragments": packed(fragments)})}


def held(c: Connection, fragments: Iterable[FragmentKey]) -> dict[FragmentKey, str]:
    """The hash of these fragments that the device holds, where it said so."""
    return {FragmentKey(r[0], r[1]): r[2] for r in c.execute(_HELD, {"fragments": packed(fragments)})}


def write(
    c: Connection, revision: int, new: Mapping[FragmentKey, tuple[str, str]], gone: Collection[FragmentKey]
) -> None:
    """Write desired fragments {key: (hash, body)} and drop those that are gone."""
    _WRITE(c, [(*key, name, revision) for key, (name, _) in new.items()])
    _BODY(c, [(name, squeezed(body)) for name, body in new.values()])
    if gone:
        c.execute(_DROP, {"rows": packed(gone)})


def desired(c: Connection, device: str) -> dict[str, str]:
    """{scope: hash} of what a device should hold."""
    return {r[0]: r[1] for r in c.execute(_DESIRED, {"of": device})}


def desired_until(c: Connection, device: str, revision: int) -> dict[str, str]:
    """{scope: hash} of what a device should hold and should have held at this revision already."""
    return {r[0]: r[1] for r in c.execute(_DESIRED_UNTIL, {"of": device, "revision": revision})}


def held_by(c: Connection, device: str) -> dict[str, str]:
    """{scope: hash} of what a device said that it holds."""
    return {r[0]: r[1] for r in c.execute(_HELD_BY, {"of": device})}


def bodies(c: Connection, wanted: Iterable[str]) -> dict[str, str]:
    """Bodies by hash, as far as they are known."""
    return {r[0]: plain(r[1]) for r in c.execute(_BODIES, {"hashes": packed(wanted)})}


def collect(c: Connection, candidates: Iterable[str]) -> None:
    """Forget the bodies among the candidates that are neither desired nor held any more."""
    c.execute(_COLLECT, {"hashes": packed(candidates)})


_INSERT_HELD = Insert(schema.held, "overwrite")
_DROP_HELD = delete(schema.held).where(_h.device == bindparam("of"), _h.scope.in_(listed("scopes")))


def set_held(c: Connection, device: str, scopes: Mapping[str, str]) -> None:
    """What a device holds is now this and nothing else."""
    before = held_by(c, device)
    _INSERT_HELD(c, [(device, scope, name) for scope, name in scopes.items() if before.get(scope) != name])
    if gone := [s for s in before if s not in scopes]:
        c.execute(_DROP_HELD, {"of": device, "scopes": packed(gone)})
    if replaced := [h for s, h in before.items() if scopes.get(s) != h]:
        collect(c, replaced)


_VRFS = (
    select(_f.device, func.count())
    .where(_f.device.in_(listed("devices")), _f.scope >= "vrf:", _f.scope < "vrf;")
    .group_by(_f.device)
)
_PENDING = (
    select(_t.id, _t.device)
    .distinct()
    .select_from(
        schema.touch.join(schema.fragment, and_(_f.device == _t.device, _f.scope == _t.scope)).outerjoin(
            schema.held, and_(_h.device == _t.device, _h.scope == _t.scope)
        )
    )
    .where(_t.id.in_(listed("ids", Integer)), or_(_h.hash.is_(None), _h.hash != _f.hash))
)


def vrf_counts(c: Connection, devices: Iterable[str]) -> dict[str, int]:
    """How many VRFs each of these devices should hold."""
    return {r[0]: r[1] for r in c.execute(_VRFS, {"devices": packed(devices)})}


def pending(c: Connection, ids: Iterable[int]) -> dict[int, list[str]]:
    """For each resource that some device does not hold as desired yet: these devices, sorted (law 4)."""
    found: dict[int, list[str]] = {}
    for i, device in c.execute(_PENDING, {"ids": packed(ids)}):
        found.setdefault(i, []).append(device)
    return {i: sorted(devices) for i, devices in found.items()}


_ON_DEVICE = select(_t.id).distinct().where(_t.device == bindparam("of"))


def on_device(c: Connection, device: str) -> list[int]:
    """The resources that touch a device."""
    return [r[0] for r in c.execute(_ON_DEVICE, {"of": device})]


_EVERY_KEY = select(_f.device, _f.scope, _f.hash)
_KEYS_OF = _EVERY_KEY.where(_f.device.in_(listed("devices")))


def every_key(c: Connection, devices: Iterable[str] | None = None) -> dict[FragmentKey, str]:
    """All desired fragments, or those of some devices, and their hashes. For a check of the whole store."""
    found = c.execute(_EVERY_KEY) if devices is None else c.execute(_KEYS_OF, {"devices": packed(devices)})
    return {FragmentKey(r[0], r[1]): r[2] for r in found}


def every_touch(c: Connection) -> set[Touch]:
    """All touch rows. For a check of the whole store."""
    return {(FragmentKey(r[0], r[1]), r[2]) for r in c.execute(select(_t.device, _t.scope, _t.id))}


_WAITING = (
    select(_t.id)
    .distinct()
    .select_from(
        schema.touch.join(schema.fragment, and_(_f.device == _t.device, _f.scope == _t.scope)).outerjoin(
            schema.held, and_(_h.device == _t.device, _h.scope == _t.scope)
        )
    )
    .where(_t.device.in_(listed("devices")), or_(_h.hash.is_(None), _h.hash != _f.hash))
)


def waiting(c: Connection, devices: Iterable[str], limit: int) -> list[int]:
    """Some resources that these devices do not hold as desired."""
    return [r[0] for r in c.execute(_WAITING.limit(limit), {"devices": packed(devices)})]
