"""Faults of a lab without a lab: what every fault says of itself, what may be broken at once, what is remembered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support.lab_faults import CASES
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import pace, work
from underlace.lab.faults.base import Agent, Fault, Kept, Parameter, Plan, agent_of
from underlace.lab.faults.ledger import FILE, Ledger
from underlace.lab.faults.registry import FAULTS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "faults.md"


def test_every_fault_has_its_section_and_is_tried_in_a_lab() -> None:
    assert set(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)) == set(FAULTS)
    assert set(CASES) == set(FAULTS), "tests/lab/test_faults.py tries each of them"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_says_what_it_is(name: str) -> None:
    fault = FAULTS[name]
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)
    assert fault.summary.endswith(".")
    assert fault.shows.endswith(".")
    optional = [p.default is not None for p in fault.parameters]
    assert optional == sorted(optional), "what may be left out comes last"


class Breaks(Fault):
    """Breaks what it is told to, as long as `broken` is not asked to pretend."""

    name = "breaks"
    parameters = (Parameter("THING", "to break"), Parameter("HOW", "in which way", "badly"))
    summary, shows, patience = "A thing is broken.", "It shows.", 0.0
    agent = Agent.MENDS

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.takes_effect = True

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        thing = words["THING"]
        claims = (agent_of(thing),) if words["HOW"] == "agent" else (thing,)
        return Plan(f"{thing},{words['HOW']}", {"thing": thing}, claims, (thing,) if words["HOW"] != "agent" else ())

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self.broken.add(kept["thing"])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        self.broken.discard(kept["thing"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        return "it is broken" if kept["thing"] in self.broken and self.takes_effect else ""


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Breaks:
    one = Breaks()
    monkeypatch.setattr(work, "FAULTS", {one.name: one})
    return one


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Devices whose agents do not look."""
    devices: set[str] = set()
    monkeypatch.setattr(pace, "held", lambda fabric, device: device in devices)
    monkeypatch.setattr(pace, "hold", lambda fabric, device: devices.add(device))
    monkeypatch.setattr(pace, "release", lambda fabric, device: devices.discard(device))
    return devices


@pytest.fixture
def fabric(tmp_path: Path, held: set[str]) -> Fabric:
    found: Any = SimpleNamespace(
        state=SimpleNamespace(directory=tmp_path), lab=SimpleNamespace(switches={"leaf1": 16, "leaf2": 16})
    )
    return cast(Fabric, found)


def test_what_is_broken_is_known_to_others_until_it_is_undone(fabric: Fabric, fault: Breaks, held: set[str]) -> None:
    active = work.inject(fabric, "breaks", ["leaf1"])
    assert (active.id, active.proof, held) == ("breaks:leaf1,badly", "it is broken", {"leaf1"})
    assert Ledger(fabric.state.directory).active == {active.id: active}
    (row,) = work.status(fabric)
    assert row.json()["state"] == "in effect"
    fault.broken.clear()
    (row,) = work.status(fabric)
    assert row.json()["state"] == "not in effect"
    assert work.undo(fabric) == [active]
    assert (list(work.status(fabric)), held) == ([], set())


def test_an_agent_is_held_until_the_last_of_its_faults_is_undone(
    fabric: Fabric, fault: Breaks, held: set[str]
) -> None:
    work.inject(fabric, "breaks", ["leaf1"])
    other = work.inject(fabric, "breaks", ["leaf2"])
    assert held == {"leaf1", "leaf2"}
    work.undo(fabric, [other.id])
    assert held == {"leaf1"}
    work.undo(fabric, ["breaks"])
    assert held == set()


def test_a_fault_that_does_not_show_is_taken_back(fabric: Fabric, fault: Breaks, held: set[str]) -> None:
    fault.takes_effect = False
    with pytest.raises(LabError, match="breaks to take effect"):
        work.inject(fabric, "breaks", ["leaf1"])
    assert (fault.broken, held, list(work.status(fabric))) == (set(), set(), [])


@pytest.mark.parametrize(
    ("first", "second"),
    [(["leaf1"], ["leaf1", "gently"]), (["leaf1"], ["leaf1", "agent"]), (["leaf1", "agent"], ["leaf1"])],
    ids=["the-same-thing", "an-agent-that-is-held", "held-without-an-agent"],
)
def test_two_faults_that_would_meet_are_refused(
    fabric: Fabric, fault: Breaks, first: list[str], second: list[str]
) -> None:
    there = work.inject(fabric, "breaks", first)
    with pytest.raises(LabError, match=r"both have to do with (the agent of )?leaf1") as refused:
        work.inject(fabric, "breaks", second)
    assert f"fault undo --lab {fabric.state.directory} {there.id}" in refused.value.remedy
    assert [row.fault for row in work.status(fabric)] == [there]


def test_a_fault_is_not_put_in_twice(fabric: Fabric, fault: Breaks) -> None:
    work.inject(fabric, "breaks", ["leaf1"])
    with pytest.raises(LabError, match="is in the lab already"):
        work.inject(fabric, "breaks", ["leaf1"])


@pytest.mark.parametrize("words", [[], ["leaf1", "badly", "again"]])
def test_too_few_and_too_many_words_say_what_is_wanted(fabric: Fabric, fault: Breaks, words: list[str]) -> None:
    with pytest.raises(LabError, match=r"breaks THING \[HOW\]") as refused:
        work.inject(fabric, "breaks", words)
    assert refused.value.remedy == "THING: to break; HOW: in which way"


def test_only_what_agents_own_is_waited_for(fault: Breaks) -> None:
    work.refuse_to_wait(fault)
    fault.agent = Agent.LEAVES  # type: ignore[misc]
    with pytest.raises(LabError, match="no agent mends breaks"):
        work.refuse_to_wait(fault)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[{"id": 1}]')
    with pytest.raises(LabError, match=FILE):
        Ledger(tmp_path)
