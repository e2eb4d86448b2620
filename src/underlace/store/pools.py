"""Pools of numbers: known by name, stored by a small id, each with the last number that was picked from it.

The ids of pools that are bound to a device, and called as their slots are, are negative: so an owner's numbers that
many devices carry are found beside two thousand others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import count
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select, update

from underlace.store import schema
from underlace.store.dialect import Insert, listed, packed

_p = schema.pool.c
_n = schema.number.c
_SOME = select(_p.name, _p.id, _p.cursor).where(_p.name.in_(listed("names")))
# One look at each end of the index: asked for as columns of one query, they would be sought in all rows.
_ENDS = select(*(select(func.coalesce(end(_p.id), 0)).scalar_subquery() for end in (func.max, func.min)))
_ADD = Insert(schema.pool)
_SET = Insert(schema.pool, "overwrite")
_LEAP = (
    update(schema.pool)
    .where(or_(_p.id < 0, _p.id.in_(select(_n.pool).where(_n.slot.contains("/")).distinct())))
    .values(cursor=_p.cursor + bindparam("leap"))
)


class Pool(NamedTuple):
    """cursor: the last number that was picked from it."""

    id: int
    cursor: int


def known(c: Connection, names: Iterable[str], bound: Set[str] = frozenset()) -> dict[str, Pool]:
    """These pools; those that are not known are added, as bound ones where they are among these."""
    wanted = set(names)
    found = _find(c, wanted)
    if new := sorted(wanted - found.keys()):
        highest, lowest = c.execute(_ENDS).one()
        common = [n for n in new if n not in bound]
        made = dict(zip(common, count(max(highest, 0) + 1), strict=False))
        made |= dict(zip((n for n in new if n in bound), count(min(lowest, 0) - 1, -1), strict=False))
        _ADD(c, [(i, name, 0) for name, i in made.items()])
        found |= {name: Pool(i, 0) for name, i in made.items()}
    return found


def find(c: Connection, names: Iterable[str]) -> dict[str, int]:
    """The ids of those of these pools that there are."""
    return {name: pool.id for name, pool in _find(c, names).items()}


def _find(c: Connection, names: Iterable[str]) -> dict[str, Pool]:
    return {name: Pool(i, cursor) for name, i, cursor in c.execute(_SOME, {"names": packed(names)})}


def set_cursors(c: Connection, pools: Mapping[str, Pool], values: Mapping[str, int]) -> None:
    """Write down the last number that was picked from each of these pools."""
    if values:
        _SET(c, [(pools[name].id, name, value) for name, value in values.items()])


def move_cursors(c: Connection, leap: int) -> None:
    """Move the cursors of device-bound pools on."""
    c.execute(_LEAP, {"leap": leap})
