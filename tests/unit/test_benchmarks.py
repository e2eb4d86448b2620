"""The benchmarks' own ground: a fabric that is the same in every tool's words, and a page that keeps figures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.compile import IndexedView
from benchmarks.fabric import documents
from benchmarks.figure import Figure, write_page
from benchmarks.many_vpcs import ManyVpcs
from benchmarks.topology import Topology
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import parse_all
from underlace.model.resource import Claim


@pytest.mark.parametrize("leaves", [2, 7, 200])
def test_every_leaf_has_every_vlan_once(leaves: int) -> None:
    t = Topology.scaled(leaves)
    found: dict[int, Counter[int]] = {}
    for port in t.ports():
        assert len(set(port.vlans)) == t.vlans_per_port
        found.setdefault(port.leaf, Counter()).update(port.vlans)
    assert sorted(found) == list(range(1, leaves + 1))
    wanted = Counter(vlan.id for vlan in t.all_vlans())
    assert all(vlans == wanted for vlans in found.values())


def test_prefixes_and_vrfs_are_spread_evenly() -> None:
    t = Topology()
    vlans = t.all_vlans()
    assert len({v.prefix4 for v in vlans}) == len({v.prefix6 for v in vlans}) == t.vlans
    assert set(Counter(v.vrf for v in vlans).values()) == {t.vlans // t.vrfs}


def test_the_fabric_is_valid_intent() -> None:
    drafts, faults = parse_all([*BUILTIN, *documents(Topology.scaled(3))])
    assert faults == []
    kinds = Counter(draft.ref.kind for draft in drafts)
    assert (kinds["switch"], kinds["vnet"], kinds["server"]) == (7, 200, 30)


def test_a_figure_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_page(page, [Figure("second", 2.0, "s", note="two"), Figure("first", 1.0, "s", note="one")], 0.5)
    write_page(page, [Figure("second", 3.456, "s", 5.0, 10.0, "three")], 0.5)
    text = page.read_text()
    assert text.index("`first`") < text.index("`second`")
    assert "| `second` | 3.46 s | ≤ 5 s | 10 s | 0.346 |" in text
    assert "two" not in text.splitlines()[-1]
    assert "- `second`: three" in text
    assert "- `first`: one" in text


def test_a_figure_is_one_json_object() -> None:
    figure = json.loads(Figure("n", 1 / 3, "s", anchor=2.0).as_json())
    assert figure == {"name": "n", "value": 0.333, "unit": "s", "anchor": 2.0, "ratio": 0.167}
    assert json.loads(Figure("n", 1.0, "s").as_json())["ratio"] is None


def test_claims_are_compared_by_index_as_a_store_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at every claim for each would be most of what is measured."""
    asked: list[Claim] = []
    normal = IndexedView._overlapping
    monkeypatch.setattr(IndexedView, "_overlapping", lambda self, claim: asked.append(claim) or normal(self, claim))
    view = IndexedView(parse_all([*BUILTIN, *documents(Topology.scaled(2))])[0])
    assert view.check() == []
    assert len(asked) > 100


def test_a_bar_is_a_limit_or_something_to_reach(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_page(page, [Figure("fast", 2.0, "/s", 1.0, more_is_better=True), Figure("small", 2.0, "s", 3.0)], 0.5)
    assert "| `fast` | 2 /s | ≥ 1 /s |" in page.read_text()
    assert "| `small` | 2 s | ≤ 3 s |" in page.read_text()


@pytest.mark.parametrize(("vpcs", "leaves"), [(1, 2), (40, 7), (1_200, 12)])
def test_vpcs_are_spread_evenly_and_no_member_has_the_place_of_another(vpcs: int, leaves: int) -> None:
    shape = ManyVpcs(vpcs, leaves)
    drafts, faults = parse_all([*shape.fabric(), *shape.tenants_intent(), *shape.another_vnet(vpcs // 2)])
    assert faults == []
    assert sum(draft.ref.kind in ("vpc", "vnet") for draft in drafts) == shape.resources + 1
    members = [member for vpc in range(vpcs) for member in shape.members(vpc)]
    assert len(set(members)) == 2 * vpcs
    assert all(a.leaf != b.leaf for a, b in map(shape.members, range(vpcs)))
    spread = Counter(member.leaf for member in members)
    assert max(spread.values()) <= -(-2 * vpcs // leaves) + 2
