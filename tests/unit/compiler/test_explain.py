"""Why a device has what it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.view import MemoryView, drafts
from underlace.compiler import Why, compile_facts, explain
from underlace.model.document import read_paths

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart"


@pytest.fixture(scope="module")
def view() -> MemoryView:
    return MemoryView(drafts(read_paths([QUICKSTART]).documents))


def _explained(view: MemoryView, device: str, text: str) -> list[Why]:
    return explain(compile_facts(view.resources.values(), view, {device}), text)


def test_object_with_several_owners_says_who_said_what(view: MemoryView) -> None:
    (why,) = [w for w in _explained(view, "leaf1", "port swp1") if w.key == ("port", "swp1")]
    assert {r.resource: r.says for r in why.reasons} == {
        "link/-/leaf1-spine1": {"type": "port", "name": "swp1", "underlay": True},
        "switch/-/leaf1": {"type": "port", "name": "swp1"},
    }
    assert json.loads(why.text) == {"type": "port", "name": "swp1", "underlay": True}


def test_text_is_found_in_values_keys_and_resources(view: MemoryView) -> None:
    assert {w.key[0] for w in _explained(view, "leaf1", "10.1.1.1/24")} == {"svi"}
    assert {w.key for w in _explained(view, "leaf1", "ACCESS-PORT SWP5")} == {("access-port", "swp5")}
    assert all("red-shared" in str(w.reasons) for w in _explained(view, "leaf1", "red-shared"))
    assert _explained(view, "leaf1", "no such thing") == []


def test_what_fits_best_comes_first_and_a_word_is_not_a_part_of_another(view: MemoryView) -> None:
    keys = {w.key for w in _explained(view, "leaf1", "swp1")}
    assert keys == {("port", "swp1"), ("bgp-neighbor", "default", "swp1")}
    assert {w.key[0] for w in _explained(view, "leaf1", "swp")} > {"port", "access-port"}
    ordered = [w.key for w in _explained(view, "leaf1", "swp5")]
    assert ordered[:2] == [("port", "swp5"), ("access-port", "swp5")]
    by_value = [w.key[0] for w in _explained(view, "leaf1", "10.1.1.1")]
    assert set(by_value) == {"svi"}, "10.1.1.11 is another address"


def test_all_objects_without_a_text(view: MemoryView) -> None:
    everything = _explained(view, "leaf1", "")
    assert len({(w.scope, w.key) for w in everything}) == len(everything) > 20
    assert {w.device for w in everything} == {"leaf1"}


def test_sets_of_several_owners_unite(view: MemoryView) -> None:
    facts = list(compile_facts(view.resources.values(), view, {"leaf1"}))
    one, other = (f for f in facts if f.object.key == ("protection",)), facts[0].because
    (fact,) = one
    half = fact._replace(object=type(fact.object)(vteps=frozenset({"10.9.9.9"})), because=other)
    (why,) = explain([fact, half], "protection")
    assert "10.9.9.9" in json.loads(why.text)["vteps"]
    assert len(json.loads(why.text)["vteps"]) == 4
