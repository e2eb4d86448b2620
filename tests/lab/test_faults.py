"""Every fault of a lab: it takes effect, it is noticed, it is undone, and all flows are right again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.fabric import converged, judged, poll, settled
from support.lab_faults import CASES
from underlace.lab import flows
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import pace, work
from underlace.lab.faults.base import Agent
from underlace.lab.faults.registry import FAULTS
from underlace.lab.state import marked

PROGRAM = [sys.executable, "-c", "from underlace.main import run; run()", "lab", "fault"]


def restored(fabric: Fabric) -> None:
    """All that was promised holds, and the agents mend."""
    assert [device for device in fabric.lab.switches if pace.held(fabric, device)] == []
    converged(fabric)
    wanted = flows.checks(matrix(fabric.current_intent()).flows)
    poll("the whole matrix to hold", lambda: flows.run(wanted, fabric) == [])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_takes_effect_and_is_undone(fabric: Fabric, name: str) -> None:
    case = CASES[name]
    words = case.words(fabric)
    poll("nothing to be noticed without the fault", lambda: not case.shows(fabric))
    injected = work.inject(fabric, name, words)
    assert injected.proof
    try:
        poll("the fault to be noticed", lambda: case.shows(fabric))
        (row,) = work.status(fabric)
        assert row.json() == {**row.json(), "id": injected.id, "state": "in effect"}
        assert {d for d in fabric.lab.switches if pace.held(fabric, d)} == set(injected.held)
        with pytest.raises(LabError, match="already") as refused:
            work.inject(fabric, name, words)
        assert f"lab fault undo --lab {fabric.state.directory} {injected.id}" in refused.value.remedy
    finally:
        assert [one.id for one in work.undo(fabric, [name])] == [injected.id]
    assert list(work.status(fabric)) == []
    poll("nothing of the fault to be noticed", lambda: not case.shows(fabric))
    restored(fabric)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.agent is Agent.MENDS])
def test_an_agent_mends_what_is_said_to_be_its_own(fabric: Fabric, name: str) -> None:
    """Started anew it looks at once."""
    active = work.inject(fabric, name, CASES[name].words(fabric), hold=False)
    assert (active.held, len(active.devices)) == ((), 1)
    for device in active.devices:
        pace.restart(fabric, device)
    assert work.mended(fabric, active) > 0
    assert list(work.status(fabric)) == []


PACKETS = (
    "silent-loss",
    "packet-loss",
    "corruption",
    "slow-link",
    "blackhole-route",
    "icmp-filter",
    "blocked-prefix",
)


def test_an_agent_leaves_what_is_not_its_own(fabric: Fabric) -> None:
    assert {FAULTS[name].agent for name in PACKETS} == {Agent.LEAVES}
    try:
        for name in PACKETS:
            work.inject(fabric, name, CASES[name].words(fabric))
        for device in fabric.lab.switches:
            pace.restart(fabric, device)
        assert {row.fault.name: bool(row.proof) for row in work.status(fabric)} == dict.fromkeys(PACKETS, True)
    finally:
        work.undo(fabric)
    restored(fabric)


def command(fabric: Fabric, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    argv = [*PROGRAM, words[0], "--lab", str(fabric.state.directory), *words[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_processes_of_their_own_break_see_and_mend(fabric: Fabric) -> None:
    """As a person, or a program, does it: two faults, of which one is undone by name and one with all."""
    shut = json.loads(command(fabric, "inject", "shut", "swp2@leaf3", "-o", "json").stdout)
    assert (shut["id"], shut["state"], shut["held"]) == ("shut:swp2@leaf3", "in effect", ["leaf3"])
    assert shut["simulated"] is True
    told = command(fabric, "inject", "corruption", "swp1@leaf2", "40")
    assert "damaged" in told.stdout
    judging = [*PROGRAM[:-1], "test", "--lab", str(fabric.state.directory)]
    verdict = subprocess.run(judging, capture_output=True, text=True, timeout=120, check=False)
    assert "broken on purpose: shut:swp2@leaf3\nbroken on purpose: corruption:swp1@leaf2\n" in verdict.stderr
    seen = json.loads(command(fabric, "status", "-o", "json").stdout)["faults"]
    assert [(one["id"], one["state"]) for one in seen] == [
        ("shut:swp2@leaf3", "in effect"),
        ("corruption:swp1@leaf2", "in effect"),
    ]
    assert command(fabric, "undo", "shut").stdout == "shut:swp2@leaf3 is undone\n"
    assert json.loads(command(fabric, "undo", "--all", "-o", "json").stdout)["undone"] == ["corruption:swp1@leaf2"]
    assert command(fabric, "undo", "--all").stdout == "nothing was broken on purpose\n"
    restored(fabric)


def test_what_cannot_be_is_refused_with_a_way_out(fabric: Fabric) -> None:
    assert "Did you mean shut?" in command(fabric, "inject", "shutt", "swp1@leaf1", code=1).stderr
    for words, says in (
        (("shut", "swp99@leaf1"), "swp99@leaf1 is no switch port with a cable"),
        (("mtu", "swp1@leaf1", "99999"), "Give a number from 1280 to 9215."),
        (("blackhole-route", "leaf1", "10.0.0.1/8"), "10.0.0.1/8 is no prefix"),
        (("hijack", "leaf1", "10.255.0.3/32"), "leaf1 announces 10.255.0.3/32 as it is"),
        (("wrong-as", "swp5@leaf1"), "no BGP session runs over swp5@leaf1"),
        (("foreign-acl", "r1"), "r1 is no switch of this lab"),
        (("wrong-rt", "leaf1/acme/reed"), "Did you mean acme/red?"),
    ):
        with pytest.raises(LabError) as refused:
            work.inject(fabric, words[0], words[1:])
        assert says in f"{refused.value} {refused.value.remedy}", words
    assert list(work.status(fabric)) == []


def test_an_agent_that_is_not_held_mends(fabric: Fabric) -> None:
    """The time is what an agent takes from the fault to the mending: its interval at most, and the work."""
    assert FAULTS["shut"].agent is Agent.MENDS
    pace.set_interval(fabric, "leaf2", 3.0)
    try:
        active = work.inject(fabric, "shut", ["swp1@leaf2"], hold=False)
        seconds = work.mended(fabric, active)
    finally:
        pace.release(fabric, "leaf2")
    assert 0 < seconds < 3.0 + 30.0
    assert list(work.status(fabric)) == []
    settled(fabric)
    restored(fabric)


def test_the_lab_is_as_it_was(fabric: Fabric) -> None:
    """Attacks on the underlay included: no fault has left a hole."""
    settled(fabric)
    assert poll("a good verdict", lambda: judged(fabric).good)


def test_what_is_not_undone_goes_with_the_lab(fabric: Fabric) -> None:
    """The last test: the fixture takes the lab down, and sees that no process of it is left."""
    work.inject(fabric, "flap", ["swp1@leaf1"])
    work.inject(fabric, "full-disk", ["leaf2"])
    flapping = fabric.state.running("flap", "swp1@leaf1")
    assert flapping is not None
    assert flapping.pid in marked(fabric.state.identity)
