"""One change under way: the transaction it runs in, what it has done so far, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from underlace.access import Actor
from underlace.controller.contact import Contacts
from underlace.drivers.protocol import Driver
from underlace.kinds.base import AnyKind
from underlace.model.device import Model, decode_fragment
from underlace.model.diagnostic import Diagnostic, Refused, errors
from underlace.model.fact import FragmentKey
from underlace.model.ids import Ref
from underlace.model.resource import Claim, Reference, Resource
from underlace.store import ledger
from underlace.store.ledger import Counters
from underlace.store.numbers import Held
from underlace.store.rows import Derived
from underlace.store.store import Store
from underlace.store.view import StoreView

Devices = frozenset[str] | None
"""Some devices, or all."""


@lru_cache(maxsize=1024)
def decoded(body: str) -> Model:
    """The objects of a fragment. Remembered, since a change merges into it, checks it and shows it; not to be written
    to."""
    return {item.key: item for item in decode_fragment(body.encode())}


@dataclass(frozen=True, slots=True)
class Engine:
    """What all use cases stand on."""

    store: Store
    kinds: Mapping[str, AnyKind]
    drivers: Mapping[str, Driver]
    clock: Callable[[], datetime]
    contacts: Contacts

    def view(self, connection: Connection) -> StoreView:
        return StoreView(connection, self.kinds)


@dataclass(frozen=True, slots=True)
class Allocation:
    """A number that was given out, or taken back (value None)."""

    owner: Ref
    slot: str
    value: int | None
    before: int | None = None
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """A resource before and after; None where there is none."""

    ref: Ref
    before: Resource[Any] | None
    after: Resource[Any] | None


@dataclass(slots=True)
class Run:
    """State of one change. `revision` is the one it makes, if it makes any."""

    engine: Engine
    c: Connection
    view: StoreView
    actor: Actor
    counters: Counters
    at: str
    dirty: dict[int, Devices] = field(default_factory=dict)
    """Resources to compile again, by id, and for which devices."""
    live: dict[int, Resource[Any]] = field(default_factory=dict)
    """The dirty resources."""
    deleted: dict[int, Resource[Any]] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)
    taken: list[Held] = field(default_factory=list)
    released: dict[tuple[str, int], Held] = field(default_factory=dict)
    """Numbers that lost their owner and whose quarantine is not written yet."""
    unreleased: set[int] = field(default_factory=set)
    """Deleted resources whose numbers are not released yet."""
    given: dict[tuple[int, str], int] = field(default_factory=dict)
    """Numbers that an import brings along, by owner's id and slot."""
    written: set[int] = field(default_factory=set)
    """Resources whose numbers, or needs of others' numbers, this change has written."""
    suspects: set[str] = field(default_factory=set)
    """Devices that have to confirm the removal of a number."""
    last_id: int = 0
    """The next id after those that this change gives out."""
    broken: set[int] = field(default_factory=set)
    """Resources with references that the actor may not know to lead nowhere: no rule is asked about them."""
    unread: frozenset[Ref] = frozenset()
    """Documents with faults of form: not part of the candidate, and yet not missing."""
    changes: list[Edit] = field(default_factory=list)
    """What happens to the resources that the request names."""
    described: tuple[list[Edit], Any] | None = None
    """`changes` as they are shown, once somebody asked (see plan)."""
    claimed: list[tuple[int, Claim]] = field(default_factory=list)
    """New claims since the last verdict about them, with whose they are."""
    contested: bool = False
    """Whether some of them were not free."""
    derived: dict[int, Derived] = field(default_factory=dict)
    """What is indexed about the dirty resources."""
    fragments: dict[FragmentKey, tuple[str | None, str | None]] = field(default_factory=dict)
    """Changed fragments: hash before and after, None where there is no fragment."""
    compiled: bool = False
    """Whether touch rows of this change's resources may have been written."""
    bodies: dict[str, str] = field(default_factory=dict)
    """Bodies of the new fragments by hash."""
    _refs: dict[int, tuple[Resource[Any], tuple[Reference, ...]]] = field(default_factory=dict)

    @classmethod
    def start(cls, engine: Engine, connection: Connection, actor: Actor) -> Run:
        counters = ledger.counters(connection)
        return cls(engine, connection, engine.view(connection), actor, counters, ledger.stamp(engine.clock()))

    @property
    def revision(self) -> int:
        return self.counters.revision + 1

    @property
    def devices(self) -> frozenset[str]:
        """Devices whose desired state changed."""
        return frozenset(key.device for key in self.fragments)

    def stop_on_errors(self) -> None:
        """The end of a phase: what is wrong with the change ends it."""
        if errors(self.found):
            raise Refused(self.found)

    def is_new(self, i: int) -> bool:
        """Whether this change creates the resource: then nothing about it is stored yet."""
        return i >= self.counters.next_id

    def is_blank(self, i: int) -> bool:
        """Whether the store has no numbers of this resource and no needs: not worth asking."""
        return self.is_new(i) and i not in self.written

    def resource(self, i: int) -> Resource[Any] | None:
        """The resource with this id, if it exists."""
        if i in self.live or i in self.deleted:
            return self.live.get(i)
        return self.view.by_id(i)

    def ref_of(self, i: int) -> Ref | None:
        """The name of the resource with this id, if it exists or is being deleted."""
        known = self.deleted.get(i) or self.resource(i)
        return None if known is None else known.ref

    @property
    def effective(self) -> bool:
        """Whether the change changes anything."""
        return bool(self.changes or self.fragments or self.allocations)

    def kind(self, resource: Resource[Any]) -> AnyKind:
        return self.engine.kinds[resource.ref.kind]

    def refs(self, resource: Resource[Any]) -> tuple[Reference, ...]:
        """What the resource refers to; a change asks that several times, and a V-Net may have hundreds of ports."""
        known = self._refs.get(resource.id)
        if known is None or known[0] is not resource:
            known = self._refs[resource.id] = (resource, tuple(self.kind(resource).refs(resource)))
        return known[1]

    def mark_dirty(self, resource: Resource[Any], devices: Devices = None) -> bool:
        """Have a resource compiled again; True when that is news."""
        if resource.id in self.deleted:
            return False
        known = self.dirty.get(resource.id, frozenset())
        self.live[resource.id] = resource
        if known is None or (devices is not None and devices <= known):
            if resource.id not in self.dirty:
                self.dirty[resource.id] = devices
                return True
            return False
        self.dirty[resource.id] = None if devices is None else known | devices
        return True
