"""Keyed things, changes between two states of them, and what a change hurts."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

Key = tuple[str, ...]


class Keyed(Protocol):
    """What the engine needs to know of a thing. Equality of two things with one key means: nothing to do."""

    @property
    def key(self) -> Key: ...

    @property
    def refs(self) -> frozenset[Key]:
        """Keys that must exist while this thing exists. Keys outside both states are ignored."""

    @property
    def claims(self) -> frozenset[str]:
        """What only one thing may hold at a time; or what several hold, of which old ones go before new ones come."""


T = TypeVar("T", bound=Keyed)


class Verb(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Disruption(IntEnum):
    """How much a change hurts traffic that it does not remove. Ordered: the worst of a plan is its maximum."""

    HITLESS = 0
    FLAP = 1
    OUTAGE = 2

    def __str__(self) -> str:
        return self.name.lower()


class Change(NamedTuple, Generic[T]):
    """One step: before is None for a create, after is None for a delete."""

    verb: Verb
    key: Key
    before: T | None
    after: T | None
