"""What a resource kind is: a spec, its rules, and what it means for devices.

One file per kind. A kind says what it refers to, claims, needs and marks; the controller indexes that. It reads other
resources only through the View. `compile` is a function of the resource and the view, nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from underlace.model.diagnostic import Diagnostic, Severity, Where
from underlace.model.fact import Fact
from underlace.model.ids import Ref, fabric
from underlace.model.resource import Claim, Mark, Need, Reference, Resource, View, Watch


class Spec(BaseModel):
    """Base of all specs: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Spec)

Devices = Collection[str] | None
"""A filter: only these devices, or None for all."""


class Kind(Generic[S]):
    """Base of all kinds; every method has the empty answer."""

    name: ClassVar[str]
    tenanted: ClassVar[bool]
    summary: ClassVar[str]
    """One line for the reference page."""
    spec: type[S]
    writers: ClassVar[Literal["tenant", "operator", "admin"]] = "operator"
    """The lowest role that may write it: "tenant" = users of the owning tenant too."""
    columns: ClassVar[tuple[str, ...]] = ()
    """Spec fields shown by `underlace get`."""
    order: ClassVar[int] = 100
    """Where it stands in lists: what others stand on comes first."""

    def name_fault(self, name: str) -> str:
        """What keeps this text from naming a resource of the kind, as the end of a sentence; "" when nothing does."""
        return ""

    def refs(self, r: Resource[S]) -> Iterable[Reference]:
        return ()

    def claims(self, r: Resource[S], view: View) -> Iterable[Claim]:
        return ()

    def marks(self, r: Resource[S], view: View) -> Iterable[Mark]:
        return ()

    def watches(self, r: Resource[S], view: View) -> Iterable[Watch]:
        return ()

    def needs(self, r: Resource[S], view: View, devices: Devices = None) -> Iterable[Need]:
        """Numbers to allocate before compile; with `devices`, at least those that these devices use."""
        return ()

    def exports(self, r: Resource[S]) -> object:
        """The part that compiles of referring resources read. Unchanged exports dirty no referrer."""
        return r.spec

    def addresses(self, r: Resource[S], numbers: Mapping[str, int]) -> Mapping[str, tuple[str, ...]]:
        """Addresses that its allocated numbers stand for, by what has them: status shows these."""
        return {}

    def check(self, r: Resource[S], view: View) -> Iterable[Diagnostic]:
        """Rules across resources; the view holds the candidate. The controller checks references and claims."""
        return ()

    def scopes(self, r: Resource[S]) -> Iterable[str]:
        """Scopes that are on devices for its sake, though others emit their facts: Active when they are held."""
        return ()

    def compile(self, r: Resource[S], view: View, devices: Devices = None) -> Iterator[Fact]:
        """Facts about devices; with `devices`, only about those."""
        yield from ()


AnyKind = Kind[Any]


def finding(
    r: Resource[Any],
    pointer: str,
    code: str,
    summary: str,
    detail: str = "",
    remedy: str = "",
    severity: Severity = Severity.ERROR,
) -> Diagnostic:
    """A diagnostic placed at a field of a resource; pointer is relative to the document ("/spec/vni")."""
    return Diagnostic(Where(str(r.ref), pointer), code, summary, detail, remedy, severity)


class Unallocated(LookupError):
    """A number was read before it was allocated: a bug in whoever called compile."""


def number(view: View, owner: Ref, slot: str) -> int:
    """A number that `needs` asked for, and that the controller has therefore allocated before compile."""
    value = view.number(owner, slot)
    if value is None:
        raise Unallocated(f"{owner} has no {slot}")
    return value


def tenant_of(r: Resource[Any]) -> Reference:
    """The reference of every tenanted resource to its tenant."""
    return Reference(fabric("tenant", r.ref.tenant), "/tenant")


def wanted(device: str, devices: Devices) -> bool:
    return devices is None or device in devices
