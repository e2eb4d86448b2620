"""Intent and its recorded allocations, read through one connection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from underlace.kinds.base import AnyKind
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.resource import Reference, Resource
from underlace.store import numbers, rows, schema
from underlace.store.dialect import listed, packed
from underlace.store.rows import Stored
from underlace.store.slots import slot_device

MEMO = 50_000
"""Most resources remembered in one run; beyond that the memo starts anew."""

_mark = schema.mark.c
_claim = schema.claim.c
_resource = schema.resource.c

_ALL = select(*rows.COLUMNS).where(_resource.kind == bindparam("kind"), _resource.tenant == NO_TENANT)
_ALL = _ALL.order_by(_resource.name)
_MARKED = select(_mark.value).distinct().where(_mark.space == bindparam("space"))
_MARKED_SOME = _MARKED.where(_mark.value.in_(listed("values")))
_HOLDER = (
    select(func.coalesce(_claim.high, _claim.low), _resource.kind, _resource.tenant, _resource.name)
    .select_from(schema.claim.join(schema.resource, _resource.id == _claim.id))
    .where(_claim.space == bindparam("space"), _claim.low <= bindparam("value"))
    .order_by(_claim.low.desc())
    .limit(1)
)


Pointing = tuple[Resource[Any], list[Reference]]
"""A resource, and its references to something that was asked about."""


class StoreView:
    """Implements `model.resource.View`. What was read is remembered for one run, a use case's, and no longer."""

    def __init__(self, connection: Connection, kinds: Mapping[str, AnyKind]) -> None:
        self._c = connection
        self._kinds = kinds
        self._resources: dict[Ref, Resource[Any] | None] = {}
        self._ids: dict[int, Ref] = {}
        self._common: dict[int, dict[str, tuple[int, bool]]] = {}
        self._bound: dict[tuple[int, str], int | None] = {}
        self._marked: dict[tuple[str, frozenset[str] | None], frozenset[str]] = {}
        self.hide_waiting = False
        """Whether a number in quarantine reads as none: for marks, which others act on."""

    # What pure code calls

    def get(self, ref: Ref) -> Resource[Any] | None:
        if ref not in self._resources:
            self.load([ref])
        return self._resources[ref]

    def all(self, kind: str) -> list[Resource[Any]]:
        return [self.parse(rows.stored(r)) for r in self._c.execute(_ALL, {"kind": kind})]

    def referrers(self, target: Ref, kind: str) -> list[Resource[Any]]:
        return [r for r, _ in self.pointing({target}, (kind,))]

    def marked(self, space: str, values: Iterable[str] | None = None) -> frozenset[str]:
        key = (space, None if values is None else frozenset(values))
        if key not in self._marked:
            query, some = (_MARKED, ()) if key[1] is None else (_MARKED_SOME, key[1])
            found = self._c.execute(query, {"space": space, "values": packed(some)})
            self._marked[key] = frozenset(r[0] for r in found)
        return self._marked[key]

    def holder(self, space: str, value: str) -> Ref | None:
        row = self._c.execute(_HOLDER, {"space": space, "value": value}).first()
        return Ref(row[1], row[2], row[3]) if row is not None and row[0] >= value else None

    def by_id(self, i: int) -> Resource[Any] | None:
        """The resource with this id."""
        known = self._resources.get(self._ids[i]) if i in self._ids else None
        if known is not None and known.id == i:
            return known
        found = rows.by_id(self._c, [i])
        return self.parse(found[0]) if found else None

    def number(self, owner: Ref, slot: str) -> int | None:
        resource = self.get(owner)
        if resource is None:
            return None
        if not slot_device(slot):
            value, waits = self._numbers(resource.id).get(slot, (None, False))
            return None if waits and self.hide_waiting else value
        if (resource.id, slot) not in self._bound:
            self.load_bound([(resource.id, slot)])
        return self._bound[resource.id, slot]

    def waiting(self, ref: Ref) -> bool:
        resource = self.get(ref)
        return resource is not None and any(waits for _, waits in self._numbers(resource.id).values())

    def pointing(self, targets: Set[Ref], kinds: Iterable[str] | None = None) -> list[Pointing]:
        """Resources that refer to any of the targets, and how, in order of identity; of these kinds only."""
        found = map(self.parse, rows.referrers(self._c, targets, self._kinds if kinds is None else kinds))
        pointing = ((r, [x for x in self._kinds[r.ref.kind].refs(r) if x.target in targets]) for r in found)
        return sorted(((r, by) for r, by in pointing if by), key=lambda one: one[0].ref)

    # Batches: so that a resource that reads a thousand others costs a few statements

    def load(self, refs: Iterable[Ref]) -> None:
        """Remember these resources, also that they do not exist, and their numbers."""
        wanted = set(refs)
        missing = {r for r in wanted if r not in self._resources}
        if missing:
            self._load(missing)
        self.load_common([r.id for ref in wanted if (r := self._resources.get(ref)) is not None])

    def _load(self, missing: Collection[Ref]) -> None:
        if len(self._resources) > MEMO:
            self._resources.clear()
            self._ids.clear()
            self._common.clear()
            self._bound.clear()
        self._resources.update(dict.fromkeys(missing))
        for row in rows.by_identity(self._c, missing):
            self.parse(row)

    def load_bound(self, pairs: Iterable[tuple[int, str]]) -> None:
        """Remember device-bound numbers, given as (owner's id, slot)."""
        missing = [p for p in pairs if p not in self._bound]
        if missing:
            self._bound.update(dict.fromkeys(missing))
            for n in numbers.of_slots(self._c, missing):
                assert n.owner is not None
                self._bound[n.owner, n.slot] = n.value

    def _numbers(self, owner: int) -> dict[str, tuple[int, bool]]:
        if owner not in self._common:
            self.load_common([owner])
        return self._common[owner]

    def load_common(self, owners: Iterable[int]) -> None:
        """Remember the numbers of resources that are not bound to a device."""
        missing = [o for o in owners if o not in self._common]
        if missing:
            self._common.update({o: {} for o in missing})
            for n in numbers.common(self._c, missing):
                assert n.owner is not None
                self._common[n.owner][n.slot] = (n.value, n.waiting)

    # The candidate: what the writer has just written

    def parse(self, row: Stored) -> Resource[Any]:
        """The resource of a row, the same object for the whole run."""
        known = self._resources.get(row.ref)
        if known is not None and known.id == row.id and known.revision == row.revision:
            return known
        spec = self._kinds[row.ref.kind].spec.model_validate_json(row.spec)
        resource: Resource[Any] = Resource(row.ref, row.id, spec, msgspec.json.decode(row.labels), row.revision)
        self.put(resource)
        return resource

    def put(self, resource: Resource[Any]) -> None:
        """A resource has been written, or read otherwise than by name."""
        self._resources[resource.ref] = resource
        self._ids[resource.id] = resource.ref

    def drop(self, ref: Ref) -> None:
        """A resource has been deleted."""
        self._resources[ref] = None

    def set_number(self, owner: int, slot: str, value: int | None, waiting: bool = False) -> None:
        """A number has been allocated, or taken away (None)."""
        if slot_device(slot):
            self._bound[owner, slot] = value
        elif owner in self._common:
            if value is None:
                self._common[owner].pop(slot, None)
            else:
                self._common[owner][slot] = (value, waiting)

    def new_owner(self, owner: int) -> None:
        """A resource has just been created: it has no numbers yet, which saves asking."""
        self._common.setdefault(owner, {})

    def forget_marks(self) -> None:
        """Marks have been written."""
        self._marked.clear()
