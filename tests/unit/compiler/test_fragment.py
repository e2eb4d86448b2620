"""Fragments: who is in them, who waits, and what happens when two disagree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.view import MemoryView, drafts
from underlace.compiler import compile_facts, compile_fragments
from underlace.kinds.base import Devices
from underlace.kinds.registry import KINDS
from underlace.model.device import Port
from underlace.model.document import read_paths
from underlace.model.fact import Fact, FragmentKey, port_scope
from underlace.model.ids import Ref, fabric
from underlace.model.resource import Resource, View

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"
RED, BLUE = Ref("vpc", "acme", "red"), Ref("vpc", "bolt", "blue")


@pytest.fixture(scope="module")
def view() -> MemoryView:
    return MemoryView(drafts(read_paths([QUICKSTART]).documents))


def _scope(view: MemoryView, vpc: Ref) -> str:
    return f"vrf:vpc-{view.resources[vpc].id}"


def test_fragments_of_the_quickstart(view: MemoryView) -> None:
    compiled = compile_fragments(view.resources.values(), view)
    assert compiled.diagnostics == []
    devices = {key.device for key in compiled.fragments}
    assert devices == {"spine1", "spine2", "leaf1", "leaf2", "leaf3"}, "the out-of-band switch is not configured"
    placed = {key.device for key in compiled.fragments if key.scope == _scope(view, BLUE)}
    assert placed == {"leaf1", "leaf2", "leaf3"}
    assert not any(key.scope.startswith("vrf:") for key in compiled.fragments if key.device.startswith("spine"))
    fragment = compiled.fragments[FragmentKey("leaf2", _scope(view, BLUE))]
    assert {str(ref) for ref in fragment.touches} == {"vnet/bolt/blue-web", "vnet/bolt/blue-heartbeat"}


def test_only_some_fragments(view: MemoryView) -> None:
    key = FragmentKey("leaf1", "base")
    compiled = compile_fragments(view.resources.values(), view, {"leaf1"}, {key, FragmentKey("leaf1", "vrf:gone")})
    assert list(compiled.fragments) == [key]


@pytest.mark.parametrize("held_back", [RED, Ref("vnet", "acme", "red-web")])
def test_who_waits_for_a_number_says_nothing(view: MemoryView, held_back: Ref) -> None:
    """Law 8. Nor does anyone who builds on it: a V-Net or a peering of a VPC that waits."""
    waiting = MemoryView(drafts(read_paths([QUICKSTART]).documents), held_back=[held_back])
    said = {fact.because for fact in compile_facts(waiting.resources.values(), waiting)}
    all_ = {fact.because for fact in compile_facts(view.resources.values(), view)}
    silent = {str(ref) for ref in all_ - said}
    of_red = {"vnet/acme/red-web", "vnet/acme/red-db", "vpc-peering/platform/red-shared"}
    assert silent == (of_red if held_back == RED else {"vnet/acme/red-web"})


def test_a_device_that_waits_holds_back_only_itself(view: MemoryView) -> None:
    waiting = MemoryView(drafts(read_paths([QUICKSTART]).documents), held_back=[fabric("switch", "leaf2")])
    compiled = compile_fragments(waiting.resources.values(), waiting)
    whole = compile_fragments(view.resources.values(), view)
    assert compiled.fragments == {key: f for key, f in whole.fragments.items() if key.device != "leaf2"}


def _planted(monkeypatch: pytest.MonkeyPatch, mtu: dict[str, int]) -> None:
    """Links say something of a port beside the switch: what no kind does, because claims keep them apart."""
    kind = type(KINDS["link"])
    honest = kind.compile

    def compile_more(self: Any, r: Resource[Any], view: View, devices: Devices = None) -> Iterator[Fact]:
        yield from honest(self, r, view, devices)
        if r.ref.name in mtu:
            yield Fact("leaf1", port_scope("swp9"), Port("swp9", mtu=mtu[r.ref.name]), r.ref)

    monkeypatch.setattr(kind, "compile", compile_more)


def test_disagreement_names_both_owners_and_the_field(view: MemoryView, monkeypatch: pytest.MonkeyPatch) -> None:
    _planted(monkeypatch, {"r1-leaf1": 1_500, "r2-leaf2": 9_000, "r3-leaf3": 9_000})
    resources = list(view.resources.values())
    compiled = compile_fragments(resources, view)
    found = compiled.diagnostics
    assert [d.where.resource for d in found] == ["link/-/r1-leaf1", "link/-/r2-leaf2", "link/-/r3-leaf3"]
    assert {d.code for d in found} == {"merge-conflict"}
    assert found[0].detail == "On leaf1, mtu of port swp9 is 1500 by link/-/r1-leaf1; link/-/r2-leaf2 says 9000."
    assert found[0].related == ("link/-/r2-leaf2", "link/-/r3-leaf3")
    assert FragmentKey("leaf1", "port:swp9") not in compiled.fragments
    assert compile_fragments(resources[::-1], view) == compiled


def test_agreement_is_no_conflict(view: MemoryView, monkeypatch: pytest.MonkeyPatch) -> None:
    _planted(monkeypatch, {"r1-leaf1": 9_000, "r2-leaf2": 9_000})
    compiled = compile_fragments(view.resources.values(), view)
    assert compiled.diagnostics == []
    fragment = compiled.fragments[FragmentKey("leaf1", "port:swp9")]
    assert fragment.objects == (Port("swp9", mtu=9_000),)
    assert {ref.name for ref in fragment.touches} == {"leaf1", "r1-leaf1", "r2-leaf2"}
