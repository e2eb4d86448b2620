"""decide(): what an actor may do with resources and with the controller itself.

                      read a resource                        write a resource
    admin             allow                                  allow
    operator          allow                                  allow, unless the kind is for admins
    reader            allow                                  forbid
    tenant   own      allow                                  allow, if the kind is for tenants; else forbid
             other    HIDE                                   HIDE, if the kind is for tenants; else forbid
    device            forbid                                 forbid

HIDE is answered word for word like something that does not exist. A forbid never depends on what is stored, only on
the role and the kind: so neither answer tells whether another tenant's object exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from typing import Any

from underlace.access.actor import Actor, Role
from underlace.kinds.base import AnyKind
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.resource import Reference, Resource


class Verb(StrEnum):
    """What is done with a resource. Plan and explain are reads of what they show and writes of what they try."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"


class Use(StrEnum):
    """What is done with the controller rather than with a resource."""

    READ_FABRIC = "read-fabric"
    """Devices, their configuration and explanation, revisions, status of the whole fabric."""
    READ_LIVE = "read-live"
    """What devices see right now, of whatever tenant: sessions, routes, addresses, counters."""
    SEND_PROBES = "send-probes"
    """Have devices send packets to addresses of one's choice."""
    MANAGE_DEVICES = "manage-devices"
    """Enrolment tokens, forgetting a device."""
    MANAGE_IDENTITY = "manage-identity"
    """Tokens of all actors."""
    BACK_UP = "back-up"
    """A backup holds the keys of the CA, so it is worth an admin."""
    DROP_HISTORY = "drop-history"
    """What intent was long ago; nobody gets it back."""


class Decision(Enum):
    ALLOW = "allow"
    FORBID = "forbid"
    HIDE = "hide"


Assignment = Callable[[Ref], Resource[Any] | None]
"""Looks a resource up, to learn which tenant a fabric resource is assigned to."""

_USES: dict[Use, frozenset[Role]] = {
    Use.READ_FABRIC: frozenset((Role.ADMIN, Role.OPERATOR, Role.READER)),
    Use.READ_LIVE: frozenset((Role.ADMIN, Role.OPERATOR, Role.READER)),
    Use.SEND_PROBES: frozenset((Role.ADMIN, Role.OPERATOR)),
    Use.MANAGE_DEVICES: frozenset((Role.ADMIN, Role.OPERATOR)),
    Use.MANAGE_IDENTITY: frozenset((Role.ADMIN,)),
    Use.BACK_UP: frozenset((Role.ADMIN,)),
    Use.DROP_HISTORY: frozenset((Role.ADMIN,)),
}


def decide_use(actor: Actor, use: Use) -> Decision:
    """Whether the actor may use this part of the controller. Never HIDE: the parts are no secret."""
    return Decision.ALLOW if actor.role in _USES[use] else Decision.FORBID


def decide(actor: Actor, verb: Verb, kind: AnyKind, ref: Ref, resource: Resource[Any] | None = None) -> Decision:
    """Whether the actor may do this with `ref`.

    resource: what is stored under ref, where the caller has it. It matters only for reading fabric resources as a
    tenant user (a port is theirs when it is assigned to them); without it such a resource is hidden.
    """
    if actor.role is Role.DEVICE:
        return Decision.FORBID
    if actor.role is Role.TENANT:
        return _decide_tenant(actor, verb, kind, ref, resource)
    if verb is Verb.READ or actor.role is Role.ADMIN:
        return Decision.ALLOW
    if actor.role is Role.OPERATOR and kind.writers != "admin":
        return Decision.ALLOW
    return Decision.FORBID


def _decide_tenant(actor: Actor, verb: Verb, kind: AnyKind, ref: Ref, resource: Resource[Any] | None) -> Decision:
    if verb is Verb.READ:
        return Decision.ALLOW if _is_own(actor, kind, ref, resource) else Decision.HIDE
    if kind.writers != "tenant" or not kind.tenanted:
        return Decision.FORBID
    return Decision.ALLOW if ref.tenant in actor.tenants else Decision.HIDE


def _is_own(actor: Actor, kind: AnyKind, ref: Ref, resource: Resource[Any] | None) -> bool:
    """A tenant's own resources, its own `tenant` resource, and fabric resources assigned to it (`spec.tenant`)."""
    if kind.tenanted:
        return ref.tenant in actor.tenants
    if kind.name == "tenant":
        return ref.name in actor.tenants
    return resource is not None and getattr(resource.spec, "tenant", None) in actor.tenants


def readable(actor: Actor, kind: AnyKind, resource: Resource[Any]) -> bool:
    """Whether the actor may read a resource that exists."""
    return decide(actor, Verb.READ, kind, resource.ref, resource) is Decision.ALLOW


def unreadable_references(
    actor: Actor, references: Iterable[Reference], kinds: Callable[[str], AnyKind], stored: Assignment
) -> list[Reference]:
    """The references that this actor may not make: each is to be answered exactly like a dangling one.

    One field may stand for several fabric resources ("swp5@leaf1" is a port and its switch); to refer to it, it is
    enough to read one of them: a tenant user names a port that is assigned to its tenant, but may not read switches.
    A field with a tenant's resource in it has no such grace.
    """
    if actor.sees_all:
        return []
    fields: dict[str, list[tuple[Reference, bool]]] = {}
    for reference in references:
        kind = kinds(reference.target.kind)
        resource = None if kind.tenanted else stored(reference.target)
        decision = decide(actor, Verb.READ, kind, reference.target, resource)
        fields.setdefault(reference.pointer, []).append((reference, decision is Decision.ALLOW))
    refused: list[Reference] = []
    for group in fields.values():
        granted = any(ok for reference, ok in group if reference.target.tenant == NO_TENANT)
        refused += [r for r, ok in group if not ok and not (granted and r.target.tenant == NO_TENANT)]
    return refused


def missing(ref: Ref, pointer: str = "") -> Diagnostic:
    """The one way to say that a resource does not exist, used for hidden ones too."""
    return Diagnostic(
        Where(str(ref), pointer),
        "not-found",
        "The resource does not exist",
        f"There is no {ref.kind} {_spoken(ref)} that you may see.",
        f"List what you may see: underlace get {ref.kind}",
    )


def forbidden(actor: Actor, what: str, ref: Ref | None = None) -> Diagnostic:
    """The one way to say that a role does not reach: `what` completes "may not ..."."""
    return Diagnostic(
        Where(str(ref) if ref else ""),
        "forbidden",
        "The role of this token does not allow this",
        f"{actor.name} has the role {actor.role} and may not {what}.",
        "Have somebody do it whose role allows it, or use a token with such a role. Administrators make tokens: "
        "underlace token create --role ROLE NAME",
    )


def refusal(decision: Decision, actor: Actor, verb: Verb, ref: Ref) -> Diagnostic | None:
    """The diagnostic that answers a decision; None when it is allowed."""
    if decision is Decision.ALLOW:
        return None
    if decision is Decision.HIDE:
        return missing(ref)
    return forbidden(actor, f"{verb} resources of kind {ref.kind}", ref)


def _spoken(ref: Ref) -> str:
    return ref.name if ref.tenant == NO_TENANT else f"{ref.tenant}/{ref.name}"
