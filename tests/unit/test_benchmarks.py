"""The benchmarks' own ground: a fabric that is the same in every tool's words, and a page that keeps figures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.compile import IndexedView
from benchmarks.fabric import documents
from benchmarks.figure import Figure, write_page
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
