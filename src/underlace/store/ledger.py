"""Revisions, the store's counters, and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, bindparam, exists, func, insert, select, union_all

from underlace.model.ids import Ref
from underlace.store import schema
from underlace.store.dialect import Insert

REVISION = "revision"
NEXT_ID = "next_id"
_META = select(schema.meta.c.name, schema.meta.c.value)
_SET = Insert(schema.meta, "overwrite")
_h = schema.history.c
_r = schema.resource.c


class Counters(NamedTuple):
    revision: int = 0
    next_id: int = 1


class Revision(NamedTuple):
    """One committed change. at: RFC 3339, UTC."""

    id: int
    at: str
    actor: str
    message: str


class Version(NamedTuple):
    """A resource as a revision left it; spec is None where it was deleted. labels and spec are JSON text."""

    revision: int
    id: int
    ref: Ref
    labels: str
    spec: str | None
    first: bool = False
    """Whether it did not exist before, where that was asked."""


def facts(c: Connection) -> dict[str, str]:
    """Facts of the store itself."""
    return {r[0]: r[1] for r in c.execute(_META)}


def set_fact(c: Connection, name: str, value: str) -> None:
    _SET(c, [(name, value)])


def counters(c: Connection) -> Counters:
    known = facts(c)
    return Counters(int(known.get(REVISION, 0)), int(known.get(NEXT_ID, 1)))


def set_counters(c: Connection, value: Counters) -> None:
    _SET(c, [(REVISION, str(value.revision)), (NEXT_ID, str(value.next_id))])


_INSERT = insert(schema.revision)
_AUDIT = insert(schema.audit)


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_revision(c: Connection, row: Revision) -> None:
    c.execute(_INSERT, row._asdict())


def write_audit(c: Connection, at: str, actor: str, action: str, target: str, detail: str = "") -> None:
    c.execute(_AUDIT, {"at": at, "actor": actor, "action": action, "target": target, "detail": detail})


_REVISIONS = select(*schema.revision.columns).order_by(schema.revision.c.id.desc())
_ONE = select(*schema.revision.columns).where(schema.revision.c.id == bindparam("of"))
_COLUMNS = (_h.revision, _h.id, _h.kind, _h.tenant, _h.name, _h.labels, _h.spec)
_CURRENT = (_r.revision, _r.id, _r.kind, _r.tenant, _r.name, _r.labels, _r.spec)


_earlier = schema.history.alias("earlier")
_FIRST = ~exists().where(_earlier.c.id == _h.id, _earlier.c.revision < _h.revision)
_ONLY = ~exists().where(_earlier.c.id == _r.id)


def revisions(c: Connection, limit: int, before: int | None = None) -> list[Revision]:
    """The newest first; before: only older ones than this."""
    query = _REVISIONS if before is None else _REVISIONS.where(schema.revision.c.id < before)
    return [Revision(*r) for r in c.execute(query.limit(limit))]


def revision(c: Connection, number: int) -> Revision | None:
    row = c.execute(_ONE, {"of": number}).first()
    return Revision(*row) if row is not None else None


_CHANGED = union_all(
    select(*_COLUMNS, _FIRST).where(_h.revision == bindparam("at", type_=Integer)),
    select(*_CURRENT, _ONLY).where(_r.revision == bindparam("at", type_=Integer)),
)
_VERSIONS = (
    select(*_COLUMNS, _FIRST)
    .where(_h.kind == bindparam("kind"), _h.tenant == bindparam("tenant"), _h.name == bindparam("name"))
    .order_by(_h.revision.desc(), _h.id.desc())
    .limit(bindparam("limit", type_=Integer))
)
_VERSION = select(*_CURRENT, _ONLY).where(
    _r.kind == bindparam("kind"), _r.tenant == bindparam("tenant"), _r.name == bindparam("name")
)


def changed_at(c: Connection, number: int) -> list[Version]:
    """What a revision did, in order of identity."""
    return sorted((_version(r) for r in c.execute(_CHANGED, {"at": number})), key=lambda v: v.ref)


def versions(c: Connection, ref: Ref, limit: int) -> list[Version]:
    """The history of an identity, the newest first; a name used again continues the history."""
    given = ref._asdict()
    found = [*c.execute(_VERSION, given), *c.execute(_VERSIONS, {**given, "limit": limit})]
    return [_version(r) for r in found[:limit]]


def as_of(c: Connection, number: int) -> list[Version]:
    """All intent as it was at a revision, in order of identity."""
    later = schema.history.alias("later")
    newest = select(func.max(later.c.revision)).where(later.c.id == _h.id, later.c.revision <= number)
    still = exists().where(_r.id == _h.id, _r.revision <= number)
    past = select(*_COLUMNS).where(_h.revision == newest.scalar_subquery(), _h.spec.is_not(None), ~still)
    found = c.execute(union_all(past, select(*_CURRENT).where(_r.revision <= number)))
    return sorted((_version(r) for r in found), key=lambda v: v.ref)


def _version(r: Sequence[Any]) -> Version:
    return Version(r[0], r[1], Ref(r[2], r[3], r[4]), r[5], r[6], *map(bool, r[7:]))
