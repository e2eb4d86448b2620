"""What a lab without tags leaves out, and what its verdict says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from underlace.lab import intent, tagged
from underlace.lab.expect import NOBODY, matrix
from underlace.lab.flows import checks

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"


def trunk() -> intent.Intent:
    """The quickstart with a host of red-db behind VLAN 100 of swp10 at leaf1."""
    documents: list[dict[str, Any]] = [dict(d) for d in intent.read(QUICKSTART).documents]
    red_db = next(d for d in documents if d["name"] == "red-db" and d["kind"] == "vnet")
    red_db["spec"] = {**red_db["spec"], "ports": [{"port": "swp5@leaf3"}, {"port": "swp10@leaf1", "vlan": 100}]}
    nics = [{"name": "eth1"}, {"name": "eth1.100", "addresses": ["10.1.2.50/24"]}]
    documents.append({"kind": "server", "name": "t1", "spec": {"site": "dc1", "nics": nics}})
    documents.append({"kind": "link", "name": "t1-1", "spec": {"a": "eth1@t1", "b": "swp10@leaf1"}})
    return intent.parse(documents, QUICKSTART, intent.read(QUICKSTART).played)


def test_the_matrix_has_what_is_behind_tags() -> None:
    answers = {(f.source, f.address): f.answer for f in matrix(trunk()).flows}
    assert answers["r1", "10.1.2.50"] == answers["r3", "10.1.2.50"] == "t1"
    assert answers["t1", "10.1.1.11"] == "r1"
    assert answers["b1", "10.1.2.50"] == NOBODY


def test_what_is_left_out_is_counted_and_named() -> None:
    whole = trunk()
    left = tagged.LeftOut(tagged.members(whole), "no 8021q")
    assert [str(member) for member in left.members] == ["VLAN 100 at swp10@leaf1 of acme/red-db"]
    reduced = tagged.without(whole)
    assert tagged.members(reduced) == ()
    (skipped,) = left.unchecked(reduced)
    lost = {f for f in matrix(whole).flows if "t1" in (f.source, f.answer) and f.answer != NOBODY}
    assert skipped == (len(checks(lost)), "VLAN 100 at swp10@leaf1 of acme/red-db: no 8021q")
    assert skipped.checks > 0
    assert tagged.LeftOut.of(left.json()) == left


def test_nothing_left_out_is_nothing_unchecked() -> None:
    assert tagged.LeftOut.of({}).unchecked(trunk()) == ()
