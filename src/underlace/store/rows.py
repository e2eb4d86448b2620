"""Resources and what is indexed beside them: batched reads and writes, a statement for any number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from underlace.model.ids import Ref
from underlace.model.resource import Claim, Mark, Reference, Resource, Watch
from underlace.store import schema
from underlace.store.dialect import Insert, Rows, among, listed, packed

_resource = schema.resource.c
_ref = schema.ref.c
_claim = schema.claim.c

RESOURCE = (_resource.id, _resource.kind, _resource.tenant, _resource.name, _resource.labels, _resource.spec)
COLUMNS = (*RESOURCE, _resource.revision)
TENANT, DEVICE = "tenant", "switch"
"""The kinds of what names of others name: what they belong to, and what they are on."""

_given = Rows("refs", kind=Text, tenant=Text, name=Text)
_BY_IDENTITY = select(*COLUMNS).select_from(
    _given.source.join(
        schema.resource,
        and_(_resource.kind == _given.kind, _resource.tenant == _given.tenant, _resource.name == _given.name),
    )
)
_BY_ID = select(*COLUMNS).where(_resource.id.in_(listed("ids", Integer)))
_sought = Rows("places", low=BigInteger, high=BigInteger)
_REFERRERS = (
    select(*COLUMNS)
    .distinct()
    .select_from(
        _sought.source.join(schema.ref, and_(_ref.target >= _sought.low, _ref.target <= _sought.high)).join(
            schema.resource, _resource.id == _ref.src
        )
    )
    .where(_resource.kind.in_(listed("kinds")))
)
_OF_TENANTS = select(*COLUMNS).where(_resource.kind.in_(listed("kinds")), _resource.tenant.in_(listed("tenants")))
_INSERT = Insert(schema.resource)
_UPDATE = (
    update(schema.resource)
    .where(_resource.id == bindparam("b_id"))
    .values(labels=bindparam("b_labels"), spec=bindparam("b_spec"), revision=bindparam("b_revision"))
)
_DELETE = delete(schema.resource).where(_resource.id.in_(listed("ids", Integer)))
_HISTORY = Insert(schema.history)
_SUPERSEDE = insert(schema.history).from_select(
    ["id", "revision", "kind", "tenant", "name", "labels", "spec"],
    select(*(_resource[n] for n in ("id", "revision", "kind", "tenant", "name", "labels", "spec"))).where(
        _resource.id.in_(listed("ids", Integer))
    ),
)

_wanted = Rows("claims", space=Text, low=Text, high=Text)
_before = schema.claim.alias("before")
_PREDECESSOR = (
    select(func.max(_before.c.low))
    .where(_before.c.space == _wanted.space, _before.c.low <= _wanted.high)
    .correlate(_wanted.source)
    .scalar_subquery()
)
_OVERLAPS = (
    select(_wanted.space, _wanted.low, _resource.kind, _resource.tenant, _resource.name)
    .select_from(
        _wanted.source.join(schema.claim, and_(_claim.space == _wanted.space, _claim.low == _PREDECESSOR)).join(
            schema.resource, _resource.id == _claim.id
        )
    )
    .where(func.coalesce(_claim.high, _claim.low) >= _wanted.low)
)


class Stored(NamedTuple):
    """A resource as its row has it: labels and spec are JSON text."""

    id: int
    ref: Ref
    labels: str
    spec: str
    revision: int


def stored(row: Sequence[Any]) -> Stored:
    return Stored(row[0], Ref(row[1], row[2], row[3]), row[4], row[5], row[6])


def by_identity(c: Connection, refs: Iterable[Ref]) -> list[Stored]:
    return [stored(r) for r in c.execute(_BY_IDENTITY, {"refs": packed(refs)})]


def by_id(c: Connection, ids: Iterable[int]) -> list[Stored]:
    return [stored(r) for r in c.execute(_BY_ID, {"ids": packed(ids)})]


def ids(c: Connection, refs: Iterable[Ref]) -> dict[Ref, int]:
    """The ids of those that exist."""
    return {r.ref: r.id for r in by_identity(c, refs)}


def referrers(c: Connection, targets: Iterable[Ref], kinds: Iterable[str]) -> list[Stored]:
    """Resources of these kinds that may refer to any of the targets: all that do, and perhaps others."""
    wanted = list(targets)
    given = {"places": packed(p for t in wanted for p in _sought_at(t)), "kinds": packed(kinds)}
    found = {r[0]: r for r in c.execute(_REFERRERS, given)}
    if tenants := [t.name for t in wanted if t.kind == TENANT]:
        found |= {r[0]: r for r in c.execute(_OF_TENANTS, {"kinds": given["kinds"], "tenants": packed(tenants)})}
    return [stored(r) for r in found.values()]


@lru_cache(maxsize=4096)
def _region(kind: str, tenant: str, device: str) -> int:
    name = f"@{device}" if device else f"{kind}/{tenant}"
    return int.from_bytes(blake2b(name.encode(), digest_size=3).digest(), signed=True) << _BITS


_BITS = 40


def place(ref: Ref) -> int:
    """A digest of an identity. It keeps together those of a kind and tenant, and those of what is on a device
    ("swp1@leaf1"): what is written at once is on few pages. It is stored, so it stays as it is."""
    region = _region(ref.kind, ref.tenant, ref.name.partition("@")[2])
    return region | int.from_bytes(blake2b(ref.name.encode(), digest_size=_BITS // 8).digest())


def _sought_at(target: Ref) -> Iterator[tuple[int, int]]:
    """Where those are that refer to it: who refers to what is on a device may refer to the device."""
    yield (place(target), place(target))
    if target.kind == DEVICE:
        first = _region("", "", target.name)
        yield (first, first + (1 << _BITS) - 1)


def insert_resources(c: Connection, rows: Sequence[Stored]) -> None:
    _INSERT(c, [(r.id, *r.ref, r.labels, r.spec, r.revision) for r in rows])


def update_resources(c: Connection, rows: Sequence[Stored]) -> None:
    if rows:
        c.execute(
            _UPDATE,
            [{"b_id": r.id, "b_labels": r.labels, "b_spec": r.spec, "b_revision": r.revision} for r in rows],
        )


def delete_resources(c: Connection, ids: Sequence[int]) -> None:
    if ids:
        c.execute(_DELETE, {"ids": packed(ids)})


def supersede(c: Connection, ids: Iterable[int]) -> None:
    """What these resources are now becomes their past."""
    if old := list(ids):
        c.execute(_SUPERSEDE, {"ids": packed(old)})


def write_ends(c: Connection, revision: int, deleted: Iterable[Stored]) -> None:
    """Of deleted resources the history says when that was."""
    _HISTORY(c, [(r.id, revision, *r.ref, r.labels, None) for r in deleted])


_DELETE_REFS = delete(schema.ref).where(among("rows", _ref.target, _ref.src))
_INSERT_REFS = Insert(schema.ref, "keep")
_DELETE_LABELS = delete(schema.label).where(schema.label.c.id.in_(listed("ids", Integer)))
_INSERT_LABELS = Insert(schema.label)


Targets = Iterable[tuple[Resource[Any], Sequence[Reference]]]
"""Resources, and what they refer to."""


def write_refs(c: Connection, before: Targets, after: Targets) -> None:
    """References as they were and as they are now."""
    old, new = _places(before), _places(after)
    if gone := old - new:
        c.execute(_DELETE_REFS, {"rows": packed(gone)})
    _INSERT_REFS(c, sorted(new - old))


def _places(resources: Targets) -> set[tuple[int, int]]:
    """That a resource refers to its own tenant, its name says; to a device, what it refers to there."""
    found = set()
    for r, references in resources:
        known = {(DEVICE, x.target.name.partition("@")[2]) for x in references} | {(TENANT, r.ref.tenant)}
        found |= {(place(x.target), r.id) for x in references if (x.target.kind, x.target.name) not in known}
    return found


def replace_labels(c: Connection, existing: Sequence[int], labels: Mapping[int, Mapping[str, str]]) -> None:
    if existing:
        c.execute(_DELETE_LABELS, {"ids": packed(existing)})
    _INSERT_LABELS(c, [(i, key, value) for i, found in labels.items() for key, value in found.items()])


class Derived(NamedTuple):
    """What a kind derives from a resource: indexed so that others find it."""

    claims: frozenset[tuple[str, str, str]] = frozenset()
    marks: frozenset[Mark] = frozenset()
    watches: frozenset[Watch] = frozenset()


_CLAIMS_OF = select(_claim.id, _claim.space, _claim.low, _claim.high).where(_claim.id.in_(listed("ids", Integer)))
_MARKS_OF = select(schema.mark.c.id, schema.mark.c.space, schema.mark.c.value).where(
    schema.mark.c.id.in_(listed("ids", Integer))
)
_WATCHES_OF = select(schema.watch.c.id, schema.watch.c.space, schema.watch.c.by_device).where(
    schema.watch.c.id.in_(listed("ids", Integer))
)


def derived(c: Connection, ids: Sequence[int]) -> dict[int, Derived]:
    """What is stored as derived from these resources."""
    sets: dict[int, tuple[set[Any], set[Any], set[Any]]] = {i: (set(), set(), set()) for i in ids}
    given = {"ids": packed(ids)}
    for i, space, low, high in c.execute(_CLAIMS_OF, given):
        sets[i][0].add((space, low, low if high is None else high))
    for i, space, value in c.execute(_MARKS_OF, given):
        sets[i][1].add(Mark(space, value))
    for i, space, by_device in c.execute(_WATCHES_OF, given):
        sets[i][2].add(Watch(space, by_device))
    return {i: Derived(frozenset(a), frozenset(b), frozenset(w)) for i, (a, b, w) in sets.items()}


_DELETE_CLAIMS = delete(schema.claim).where(among("rows", _claim.id, _claim.space, _claim.low))
_INSERT_CLAIMS = Insert(schema.claim)
_DELETE_MARKS = delete(schema.mark).where(among("rows", schema.mark.c.id, schema.mark.c.space, schema.mark.c.value))
_INSERT_MARKS = Insert(schema.mark)
_DELETE_WATCHES = delete(schema.watch).where(among("rows", schema.watch.c.id, schema.watch.c.space))
_INSERT_WATCHES = Insert(schema.watch)


def delete_claims(c: Connection, rows: Iterable[tuple[int, str, str]]) -> None:
    """Drop claims, given as (id, space, low)."""
    if gone := list(rows):
        c.execute(_DELETE_CLAIMS, {"rows": packed(gone)})


def insert_claims(c: Connection, rows: Iterable[tuple[int, str, str, str]]) -> None:
    """Write claims, given as (id, space, low, high); `overlaps` has said that nothing is in the way."""
    _INSERT_CLAIMS(c, [(space, low, high if high != low else None, i) for i, space, low, high in rows])


def overlaps(c: Connection, claims: Iterable[Claim]) -> dict[tuple[str, str], Ref]:
    """For each claim that meets a stored one: its (space, low) and who holds what is in the way."""
    rows = packed((x.space, x.low, x.high) for x in claims)
    return {(r[0], r[1]): Ref(r[2], r[3], r[4]) for r in c.execute(_OVERLAPS, {"claims": rows})}


def write_marks(c: Connection, gone: Iterable[tuple[int, Mark]], new: Iterable[tuple[int, Mark]]) -> None:
    if old := [(i, m.space, m.value) for i, m in gone]:
        c.execute(_DELETE_MARKS, {"rows": packed(old)})
    _INSERT_MARKS(c, [(m.space, m.value, i) for i, m in new])


def write_watches(c: Connection, gone: Iterable[tuple[int, Watch]], new: Iterable[tuple[int, Watch]]) -> None:
    if old := [(i, w.space) for i, w in gone]:
        c.execute(_DELETE_WATCHES, {"rows": packed(old)})
    _INSERT_WATCHES(c, [(w.space, i, w.by_device) for i, w in new])


_WATCHERS = (
    select(schema.watch.c.space, schema.watch.c.by_device, *COLUMNS)
    .select_from(schema.watch.join(schema.resource, _resource.id == schema.watch.c.id))
    .where(schema.watch.c.space.in_(listed("spaces")))
)


def watchers(c: Connection, spaces: Iterable[str]) -> list[tuple[str, bool, Stored]]:
    """(space, by_device, resource) of everything that watches one of the spaces."""
    return [(r[0], bool(r[1]), stored(r[2:])) for r in c.execute(_WATCHERS, {"spaces": packed(spaces)})]


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as they are stored."""
    return msgspec.json.encode(dict(sorted(labels.items()))).decode()


def listing(
    c: Connection,
    kind: str,
    tenant: str | None,
    tenants: Iterable[str] | None,
    labels: Mapping[str, str],
    after: tuple[str, str],
    limit: int,
) -> list[Stored]:
    """Resources of a kind by tenant and name, from behind `after`. tenants: only of these."""
    query = select(*COLUMNS).where(_resource.kind == kind)
    query = query.where(tuple_(_resource.tenant, _resource.name) > tuple_(*after))
    given: dict[str, str] = {}
    if tenant is not None:
        query = query.where(_resource.tenant == tenant)
    if tenants is not None:
        query = query.where(_resource.tenant.in_(listed("tenants")))
        given["tenants"] = packed(sorted(tenants))
    for key, value in sorted(labels.items()):
        has = schema.label.alias()
        query = query.where(
            select(1).where(has.c.id == _resource.id, has.c.key == key, has.c.value == value).exists()
        )
    found = c.execute(query.order_by(_resource.tenant, _resource.name).limit(limit), given)
    return [stored(r) for r in found]


_EVERY = select(*COLUMNS).order_by(_resource.id)


def every(c: Connection) -> Iterable[Stored]:
    """All resources, as a stream. For a check of the whole store."""
    return (stored(r) for r in c.execute(_EVERY))


_TOTAL = select(func.count()).select_from(schema.resource)


def total(c: Connection) -> int:
    """How many resources there are. For a check of the whole store."""
    return int(c.execute(_TOTAL).scalar_one())


_BATCH = (
    select(*COLUMNS)
    .where(_resource.id > bindparam("after"))
    .order_by(_resource.id)
    .limit(bindparam("size", type_=Integer))
)


def in_batches(c: Connection, size: int) -> Iterator[list[Stored]]:
    """All resources, some in memory at a time whatever the database's driver keeps of an answer."""
    after = 0
    while batch := [stored(r) for r in c.execute(_BATCH, {"after": after, "size": size})]:
        yield batch
        after = batch[-1].id
