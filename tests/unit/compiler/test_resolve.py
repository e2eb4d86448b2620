"""References and claims, and the words for breaking them."""

from __future__ import annotations

from tests.support.view import view_of
from underlace.compiler import dangling, still_referred, taken
from underlace.kinds.registry import KINDS
from underlace.model.ids import Ref, fabric

TEXT = """
{kind: site, name: dc1}
---
{kind: switch, name: leaf1, spec: {site: dc9, role: leaf, ports: 4}}
---
{kind: link, name: l1, spec: {a: swp1@leaf1, b: eth1@r1}}
"""


def test_what_leads_nowhere_is_named() -> None:
    switch = view_of(TEXT).resources[fabric("switch", "leaf1")]
    found = dangling(switch, next(x for x in KINDS["switch"].refs(switch) if x.target.kind == "site"))
    assert (found.code, found.where.pointer) == ("dangling-reference", "/spec/site")
    assert found.detail == "Switch leaf1 refers to site dc9, which does not exist."


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
