"""Versions of resources that nobody can ask for any more, and their end.

    revision:          1        2        3 = bound   4        5
    kept        a@1 ── gone ──► a@3 ─────┼──────────► a@5 (current)
                                b@2 ─────┼──────────► b@4 (current): what b was at the bound
                       c@1 ── gone ──► c deleted@2 gone

What intent was at the bound or later can still be told; what it was before cannot.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Integer, bindparam, delete, exists, func, or_, select, tuple_

from underlace.store import ledger, schema
from underlace.store.dialect import among, packed

SINCE = "history_since"
"""Fact of a store: the oldest revision whose intent can still be told."""

_h = schema.history.c
_r = schema.resource.c
_next = schema.history.alias("next")
_bound = bindparam("bound", type_=Integer)
_followed = or_(
    exists().where(_next.c.id == _h.id, _next.c.revision > _h.revision, _next.c.revision <= _bound),
    exists().where(_r.id == _h.id, _r.revision <= _bound),
)
_PAST = (
    select(_h.revision, _h.id)
    .where(_h.revision <= _bound)
    .where(tuple_(_h.revision, _h.id) > tuple_(bindparam("revision", type_=Integer), bindparam("id", type_=Integer)))
    # By revision: the end of a resource may only go after what it was, or it would come back.
    .where(or_(_h.spec.is_(None), _followed))
    .order_by(_h.revision, _h.id)
    .limit(bindparam("size", type_=Integer))
)
_DROP = delete(schema.history).where(among("rows", _h.revision, _h.id))
_FIRST_WITHIN = select(func.min(schema.revision.c.id)).where(schema.revision.c.at >= bindparam("moment"))


class Place(NamedTuple):
    """How far versions have been looked through."""

    revision: int = 0
    id: int = 0


def bound(c: Connection, moment: str) -> int:
    """The last revision before everything that happened at this moment or later."""
    first = c.execute(_FIRST_WITHIN, {"moment": moment}).scalar()
    return ledger.counters(c).revision if first is None else int(first) - 1


def since(c: Connection) -> int:
    """The oldest revision whose intent can still be told; 0 where nothing was dropped."""
    return int(ledger.facts(c).get(SINCE, 0))


def drop(c: Connection, bound: int, after: Place, size: int) -> tuple[int, Place | None]:
    """Drop versions that were followed by another at the bound or before, at most `size` of them behind `after`;
    returns how many, and where to go on."""
    found = [Place(*r) for r in c.execute(_PAST, {"bound": bound, "size": size, **after._asdict()})]
    if bound > since(c):
        ledger.set_fact(c, SINCE, str(bound))
    if found:
        c.execute(_DROP, {"rows": packed(found)})
    return len(found), found[-1] if len(found) == size else None
