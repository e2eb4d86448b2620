"""A resource as stored, and the view through which pure code reads intent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from underlace.model.ids import Ref

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Resource(Generic[S]):
    """One resource of intent. `spec` is an instance of its kind's Spec; `id` is never reused."""

    ref: Ref
    id: int
    spec: S
    labels: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0


class Reference(NamedTuple):
    """What a resource refers to. A soft reference may dangle; its target still dirties the referrer."""

    target: Ref
    pointer: str
    soft: bool = False


class Claim(NamedTuple):
    """An exclusive hold on the interval [low, high] of a space: no other resource's claim may overlap it.

    Bounds compare as text, so numbers are written with a fixed width (see `model.net`). `what` names the thing
    in an error message, without naming the holder.
    """

    space: str
    low: str
    high: str
    pointer: str
    what: str


class Mark(NamedTuple):
    """A non-exclusive, indexed statement of a resource: (space, value), e.g. ("placed/acme/red", "leaf1")."""

    space: str
    value: str


class Watch(NamedTuple):
    """A resource is recompiled when a mark of this space appears or disappears.

    by_device: the mark's value is a device or a port of one (PORT@DEVICE), and only that device's fragments are
    affected.
    """

    space: str
    by_device: bool = False


class Need(NamedTuple):
    """A number that a resource must hold before it can be compiled.

    owner: usually the resource itself; the VPC for the RD number of its VRF on a device.
    slot: name of the number within the owner ("vni", "rd/leaf1"). pool: name of the number space ("vni", "rd/leaf1").
    ranges: inclusive bounds to choose from. requested: a number asked for in the spec (it must be in `allowed`).
    devices: where the number is configured; it is quarantined until each of them confirmed its removal.
    """

    owner: Ref
    slot: str
    pool: str
    ranges: tuple[tuple[int, int], ...]
    requested: int | None = None
    allowed: tuple[tuple[int, int], ...] = ()
    pointer: str = ""


class View(Protocol):
    """Read access to intent and its recorded allocations. Never a copy: each call is an indexed look-up."""

    def get(self, ref: Ref) -> Resource[Any] | None:
        """The resource, or None. A reference to another tenant's resource is refused before compile, not here."""

    def all(self, kind: str) -> Iterable[Resource[Any]]:
        """Every resource of a fabric kind, by name. Not for tenant kinds: there may be a million."""

    def referrers(self, target: Ref, kind: str) -> Iterable[Resource[Any]]:
        """Resources of `kind` that refer to target, in order of identity."""

    def marked(self, space: str, values: Iterable[str] | None = None) -> frozenset[str]:
        """The values marked in the space; with `values`, only those of them that are marked."""

    def holder(self, space: str, value: str) -> Ref | None:
        """Who holds the claim that covers value, if anyone."""

    def number(self, owner: Ref, slot: str) -> int | None:
        """A number allocated to owner."""

    def waiting(self, ref: Ref) -> bool:
        """Whether a number of this resource is still in quarantine: it compiles to nothing until then (law 8)."""
