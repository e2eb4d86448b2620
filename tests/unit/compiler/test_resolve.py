"""References and claims, and the words for breaking them."""

from __future__ import annotations

from tests.support.view import view_of
from underlace.compiler import check_claims, check_references, still_referred, taken
from underlace.kinds.registry import KINDS
from underlace.model.ids import Ref, fabric

TEXT = """
{kind: site, name: dc1}
---
{kind: switch, name: leaf1, spec: {site: dc9, role: leaf, ports: 4}}
---
{kind: link, name: l1, spec: {a: swp1@leaf1, b: eth1@r1}}
"""


def test_hard_references_only_must_lead_somewhere() -> None:
    view = view_of(TEXT)
    (found,) = check_references(view.resources[fabric("switch", "leaf1")], view)
    assert (found.code, found.where.pointer) == ("dangling-reference", "/spec/site")
    assert found.detail == "Switch leaf1 refers to site dc9, which does not exist."
    assert check_references(view.resources[fabric("link", "l1")], view) == [], "which device it is, the link says"


def test_own_claims_are_no_conflict() -> None:
    view = view_of(TEXT)
    link = view.resources[fabric("link", "l1")]
    assert check_claims(link, view, lambda _: [link.ref]) == []
    other = fabric("link", "l2")
    found = check_claims(link, view, lambda claim: [other, other] if claim.low == "swp1@leaf1" else [])
    assert [(d.code, d.where.pointer) for d in found] == [("already-claimed", "/spec/a")]


def test_a_hidden_holder_is_not_named() -> None:
    view = view_of(TEXT)
    link = view.resources[fabric("link", "l1")]
    claim = next(iter(KINDS["link"].claims(link, view)))
    assert taken(link, claim, None).detail == "Link l1 asks for the cable of port swp1@leaf1, but it is in use."
    assert "link l7 has it" in taken(link, claim, fabric("link", "l7")).detail


def test_who_is_still_referred_to() -> None:
    found = still_referred(Ref("vpc", "acme", "red"), [Ref("vnet", "acme", f"n{i}") for i in range(7)])
    assert found.where.resource == "vpc/acme/red"
    assert found.detail.startswith("Vpc acme/red cannot go: vnet acme/n0, ")
    assert "and 2 more" in found.detail
