"""Pools of numbers: known by name, stored by a small id, each with the last number that was picked from it.

The ids of pools that are bound to a device, and called as their slots are, are negative: so an owner's numbers that
many devices carry are found beside two thousand others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import count

from sqlalchemy import Connection, bindparam, func, or_, select, update

from underlace.store import schema
from underlace.store.dialect import Insert, listed, packed

_p = schema.pool.c
_n = schema.number.c
_SOME = select(_p.name, _p.id, _p.cursor).where(_p.name.in_(listed("names")))
_HIGHEST, _LOWEST = (select(func.coalesce(end(_p.id), 0)) for end in (func.max, func.min))
_ADD = Insert(schema.pool)
_SET = Insert(schema.pool, "overwrite")
_LEAP = (
    update(schema.pool)
    .where(or_(_p.id < 0, _p.id.in_(select(_n.pool).where(_n.slot.contains("/")).distinct())))
    .values(cursor=_p.cursor + bindparam("leap"))
)


def ids(c: Connection, names: Iterable[str], bound: Set[str] = frozenset()) -> dict[str, int]:
    """The ids of these pools; those that are not known are added, as bound ones where they are among these."""
    wanted = set(names)
    found = find(c, wanted)
    if new := sorted(wanted - found.keys()):
        highest, lowest = (c.execute(end).scalar_one() for end in (_HIGHEST, _LOWEST))
        common = [n for n in new if n not in bound]
        made = dict(zip(common, count(max(highest, 0) + 1), strict=False))
        made |= dict(zip((n for n in new if n in bound), count(min(lowest, 0) - 1, -1), strict=False))
        _ADD(c, [(i, name, 0) for name, i in made.items()])
        found |= made
    return found


def find(c: Connection, names: Iterable[str]) -> dict[str, int]:
    """The ids of those of these pools that there are."""
    return {r[0]: r[1] for r in c.execute(_SOME, {"names": packed(names)})}


def cursors(c: Connection, names: Iterable[str]) -> dict[str, int]:
    """The last number that was picked from each of these pools."""
    return {r[0]: r[2] for r in c.execute(_SOME, {"names": packed(names)})}


def set_cursors(c: Connection, values: Mapping[str, int]) -> None:
    if values:
        known = ids(c, values)
        _SET(c, [(known[name], name, value) for name, value in values.items()])


def move_cursors(c: Connection, leap: int) -> None:
    """Move the cursors of device-bound pools on."""
    c.execute(_LEAP, {"leap": leap})
