"""Bringing a device to a state: what is done, and how often."""

import io

import pytest

from support.agent_rig import DEVICE, FakeClock, port, vrf
from support.memory_door import MemoryDoor
from underlace.agent.apply import Applier, DeviceFault, Result
from underlace.agent.log import Log
from underlace.model.change import Key
from underlace.model.device import L2Vni

TARGET = {one.key: one for one in (port("swp1"), vrf("red"), L2Vni(10, vrf="red"))}


class Bench:
    def __init__(self) -> None:
        self.door, self.clock, self.log = MemoryDoor(), FakeClock(), io.StringIO()
        self.applier = Applier(DEVICE, self.door, self.clock, Log(DEVICE, self.log))

    def reach(self) -> Result:
        return self.applier.reach(TARGET, lambda keys: {key: f"scope-of-{'/'.join(key)}" for key in keys})


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_full_read_one_run_one_read_back(bench: Bench) -> None:
    assert bench.reach() == Result(True, 3)
    assert bench.door.state == TARGET
    assert bench.door.reads == [None, frozenset(TARGET)]


def test_nothing_to_do_is_nothing_done(bench: Bench) -> None:
    bench.reach()
    bench.door.reads.clear()
    assert bench.reach() == Result(True, 0)
    assert bench.door.reads == []


def test_removal_needs_no_more_reads_than_creation(bench: Bench) -> None:
    bench.reach()
    bench.door.reads.clear()
    assert bench.applier.reach({}, lambda keys: {}) == Result(True, 3)
    assert bench.door.reads == [frozenset(TARGET)]


def test_what_is_known_is_forgotten_with_a_fault(bench: Bench) -> None:
    bench.reach()
    bench.door.faults.silent = 1
    with pytest.raises(DeviceFault, match="connection refused"):
        bench.applier.read()
    bench.door.reads.clear()
    bench.applier.known()
    assert bench.door.reads == [None]


def test_same_refusal_twice_is_enough(bench: Bench) -> None:
    key: Key = ("vrf", "red")
    bench.door.faults.refuse_keys = {key: "% no"}
    result = bench.reach()
    assert not result.ok
    [found] = result.found
    assert (found.code, found.related, found.where.device) == ("device-refused", ("scope-of-vrf/red",), DEVICE)
    assert "`create vrf/red` was answered with: % no" in found.detail
    assert len([scope for scope in bench.door.reads if scope is None]) == 2


def test_each_try_after_a_failure_begins_with_a_full_read(bench: Bench) -> None:
    bench.door.faults.hang = {0, 1}
    assert bench.reach().ok
    assert bench.door.reads == [None, None, None, frozenset(TARGET)]
    assert bench.clock.waits == [0.1, 0.5]


def test_three_tries_and_no_more(bench: Bench) -> None:
    bench.door.faults.wedged = True
    result = bench.reach()
    assert [d.code for d in result.found] == ["device-silent"]
    assert "vtysh: no answer" in result.found[0].detail
    assert len(bench.clock.waits) == 2


def test_a_device_that_hangs_is_not_tried_three_times(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(scope: object = None) -> None:
        bench.clock.pass_by(30.0)
        raise TimeoutError("vtysh did not end within 30 s")

    monkeypatch.setattr(bench.door, "read", hang)
    began = bench.clock.now
    assert [d.code for d in bench.reach().found] == ["device-silent"]
    assert bench.clock.now - began < 40.0


@pytest.mark.parametrize(
    ("shown", "words"),
    [(None, "is missing after it was made"), (vrf("red", 7), "reads back as"), (vrf("red", 7), "l3vni=7")],
)
def test_a_lie_is_told_apart_from_the_truth(bench: Bench, shown: object, words: str) -> None:
    bench.door.state = dict(TARGET)
    bench.door.faults.lie = {("vrf", "red"): shown}  # type: ignore[dict-item]
    result = bench.reach()
    assert not result.ok
    assert [d.code for d in result.found] == ["device-differs"]
    assert words in result.found[0].detail


def test_what_will_not_go_away_is_named(bench: Bench) -> None:
    ghost = port("swp9")
    bench.door.state[ghost.key] = ghost
    bench.door.faults.lie = {ghost.key: ghost}
    [found] = bench.reach().found
    assert "port/swp9" in found.detail
    assert "is still there after it was removed" in found.detail


def test_many_differences_are_not_all_shown(bench: Bench) -> None:
    ports = {one.key: one for one in (port(f"swp{n}") for n in range(50))}
    bench.door.faults.lie = dict.fromkeys(ports)
    result = bench.applier.reach(ports, lambda keys: dict.fromkeys(keys, "base"))
    assert len(result.found) == 10
    assert '"count":40' in bench.log.getvalue()


def test_a_bug_in_the_driver_is_a_finding_with_its_trace_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(scope: object = None) -> None:
        raise KeyError("asn")

    monkeypatch.setattr(bench.door, "read", broken)
    result = bench.reach()
    assert [d.code for d in result.found] == ["driver-failed"]
    assert "KeyError" in result.found[0].detail
    assert "in broken" in bench.log.getvalue()
