"""References and claims, which hold for every kind alike: the words for breaking them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from underlace.kinds.base import finding
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.resource import Claim, Reference, Resource


def dangling(r: Resource[Any], reference: Reference) -> Diagnostic:
    """Also the answer to a reference that the actor may not see: the two must not differ by a letter."""
    target = reference.target
    return finding(
        r,
        reference.pointer,
        "dangling-reference",
        "A reference leads nowhere",
        f"{_capital(spoken(r.ref))} refers to {spoken(target)}, which does not exist.",
        f"Add the {target.kind}, or correct the name.",
    )


def taken(r: Resource[Any], claim: Claim, holder: Ref | None) -> Diagnostic:
    """A claim that another resource holds; holder is None when the actor may not know whose it is."""
    by = f"{spoken(holder)} has it" if holder else "it is in use"
    return finding(
        r,
        claim.pointer,
        "already-claimed",
        "Something else holds what this resource asks for",
        f"{_capital(spoken(r.ref))} asks for {claim.what}, but {by}.",
        "Choose another, or release it where it is held; both can be one change.",
    )


def still_referred(ref: Ref, by: Iterable[Ref]) -> Diagnostic:
    """Why a resource cannot be deleted."""
    names = sorted(spoken(other) for other in by)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return Diagnostic(
        Where(str(ref)),
        "still-referred-to",
        "Others refer to the resource",
        f"{_capital(spoken(ref))} cannot go: {', '.join(names[:5])}{more} would lead nowhere.",
        "Delete these too, or first.",
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def spoken(ref: Ref) -> str:
    """A resource in a sentence: "vnet acme/red-web", "switch leaf1"."""
    return f"{ref.kind} {ref.name}" if ref.tenant == NO_TENANT else f"{ref.kind} {ref.tenant}/{ref.name}"
