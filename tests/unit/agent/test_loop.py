"""The state machine, on a device and a controller in memory."""

from itertools import pairwise
from pathlib import Path

import pytest

from support.agent_rig import DEVICE, Rig, items, port, vrf
from support.memory_door import Killed
from underlace.agent.client import Refusal, Unreachable
from underlace.agent.ledger import FINDINGS_MAX
from underlace.drivers.protocol import Duplicate
from underlace.model.device import BgpRouter
from underlace.model.wire import CANNOT, LASTING, Manifest, Receipt, Report

RED = {"base": [port("swp1")], "vrf:red": [vrf("red", 100), BgpRouter("red", asn=65000)]}
BLUE = {"base": [port("swp1")], "vrf:blue": [vrf("blue", 200), BgpRouter("blue", asn=65000)]}
BOTH = {**RED, **BLUE}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


class TestFirstManifest:
    def test_is_applied_confirmed_kept_and_saved(self, rig: Rig) -> None:
        rig.controller.want(RED)
        rig.start().turns()
        assert rig.door.state == items(RED)
        assert rig.door.boot == items(RED)
        assert rig.controller.outcomes == ["applied", "held"]
        last = rig.controller.reports[-1]
        assert (last.revision, last.digest, dict(last.scopes)) == (
            1,
            rig.agent.holding.digest,
            rig.agent.holding.good.manifest.scopes,
        )
        assert (last.device, last.driver, last.os_version, last.simulated) == (DEVICE, "memory", "1.0", False)

    def test_boot_files_are_not_written_before_confirm(self, rig: Rig) -> None:
        rig.controller.want(RED)
        rig.controller.on_report = lambda report: None if report.outcome == "held" else self._unsaved(rig)
        rig.start().turns()
        assert rig.door.saves == 1

    @staticmethod
    def _unsaved(rig: Rig) -> None:
        assert rig.door.saves == 0

    def test_reads_everything_once_and_then_only_what_it_touches(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.door.reads.clear()
        rig.turns()
        assert rig.door.reads == [frozenset({("vrf", "blue"), ("bgp-router", "blue")})]

    def test_only_lacking_fragments_are_fetched(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.fetched.clear()
        wanted = rig.controller.want(BOTH)
        rig.turns()
        assert rig.controller.fetched == [wanted.scopes["vrf:blue"]]

    def test_a_scope_without_fragment_is_removed(self, rig: Rig) -> None:
        rig.settled_on(BOTH)
        rig.controller.want(RED)
        rig.turns()
        assert rig.door.state == items(RED)

    def test_an_empty_manifest_removes_all_that_is_owned(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want({})
        rig.turns()
        assert rig.door.state == {}

    def test_a_device_that_holds_it_already_is_not_touched(self, rig: Rig) -> None:
        rig.door.state = dict(items(RED))
        rig.controller.want(RED)
        rig.start().turns()
        assert rig.door.operations == 0
        assert rig.controller.outcomes == ["applied", "held"]


class TestRestart:
    def test_second_start_changes_nothing(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.door.done.clear()
        rig.start().turns()
        assert rig.door.done == []
        assert rig.controller.outcomes[-1] == "held"
        assert rig.door.saves == 1

    def test_rebuilt_device_recovers_without_controller(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.reachable = False
        rig.door.state.clear()
        rig.door.boot = None
        rig.start().turns(3)
        assert rig.door.state == items(RED)
        assert rig.door.boot == items(RED)
        rig.controller.reachable = True
        rig.turns()
        assert rig.codes()[-1] == "state-restored"
        assert rig.controller.reports[-1].drift == ()

    def test_device_without_cache_is_left_alone(self, rig: Rig) -> None:
        rig.door.state = dict(items(BLUE))
        rig.controller.reachable = False
        rig.start().turns(5)
        assert rig.door.operations == 0

    def test_damaged_cache_leaves_the_device_alone_and_says_so(self, rig: Rig) -> None:
        rig.settled_on(RED)
        (rig.directory / "good.json").write_bytes(b"x" * 200)
        rig.door.done.clear()
        rig.start().turns()
        assert rig.door.done == []
        assert rig.agent.holding.digest == rig.controller.manifest.digest
        assert "agent-cache-damaged" in rig.codes()

    def test_damaged_fragment_is_fetched_again(self, rig: Rig) -> None:
        wanted = rig.controller.want(RED)
        rig.settled_on(RED)
        (rig.directory / "fragments" / wanted.scopes["vrf:red"]).write_bytes(b"[]")
        rig.controller.fetched.clear()
        rig.door.done.clear()
        rig.start().turns()
        assert rig.controller.fetched == [wanted.scopes["vrf:red"]]
        assert rig.door.done == []

    def test_killed_while_waiting_for_confirm_goes_back(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.controller.on_report = _die
        with pytest.raises(Killed):
            rig.turns()
        assert rig.door.state == items(BOTH)
        rig.controller.on_report = lambda report: None
        rig.controller.reachable = False
        rig.start()
        assert rig.door.state == items(RED)
        assert rig.door.boot == items(RED)
        rig.controller.reachable = True
        rig.turns(2)
        assert rig.door.state == items(BOTH)

    def test_a_reboot_before_confirm_starts_from_the_confirmed_state(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.controller.on_report = _die
        with pytest.raises(Killed):
            rig.turns()
        rig.door.reboot()
        assert rig.door.state == items(RED)

    def test_a_manifest_that_kills_the_agent_again_and_again_is_rejected(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BOTH)
        for _ in range(3):
            rig.door.faults.die_before = {rig.door.operations}
            with pytest.raises(Killed):
                rig.start().turns()
        rig.door.mend()
        rig.start().turns()
        assert rig.door.state == items(RED)
        assert rig.controller.reports[-1].rejected == wanted.digest
        assert "apply-interrupted" in rig.codes()


def _die(report: object) -> None:
    raise Killed


class TestFailure:
    def test_refused_change_is_reverted_and_named(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("bgp-router", "blue"): "% Unknown command"}
        rig.turns()
        assert rig.door.state == items(RED)
        report = rig.controller.reports[-1]
        assert (report.outcome, report.rejected, report.digest) == (
            "reverted",
            wanted.digest,
            rig.agent.holding.digest,
        )
        [found] = report.diagnostics
        assert found.code == "device-refused"
        assert found.where.device == DEVICE
        assert "vrf:blue" in found.detail
        assert "% Unknown command" in found.detail
        assert "create bgp-router/blue" in found.detail
        assert found.remedy

    def test_first_manifest_that_fails_leaves_the_device_as_found(self, rig: Rig) -> None:
        found = {"base": [port("swp9")]}
        rig.door.state = dict(items(found))
        rig.controller.want(RED)
        rig.door.faults.refuse_keys = {("bgp-router", "red"): "no"}
        rig.start().turns()
        assert rig.door.state == items(found)
        assert (rig.controller.reports[-1].outcome, rig.controller.reports[-1].digest) == ("reverted", "")

    def test_refusal_that_passes_is_retried(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.door.faults.refuse = {rig.door.operations: "busy"}
        rig.turns()
        assert rig.door.state == items(BOTH)
        assert rig.controller.reports[-1].diagnostics == ()

    def test_silence_that_passes_is_retried(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.door.faults.hang = {rig.door.operations + 1}
        rig.turns()
        assert rig.door.state == items(BOTH)

    def test_a_device_that_takes_a_change_but_shows_another_is_caught(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want({**RED, "vrf:big": [vrf("big", 65636)]})
        rig.door.faults.mangle = {("vrf", "big"): vrf("big", 100)}
        rig.turns()
        report = rig.controller.reports[-1]
        assert report.rejected == wanted.digest
        assert "device-differs" in [d.code for d in report.diagnostics]

    def test_same_digest_is_not_tried_again_at_once_but_later(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("vrf", "blue"): "no"}
        rig.turns()
        rig.door.mend()
        done = rig.door.operations
        rig.turns(5)
        assert rig.door.operations == done
        assert rig.controller.asked[-1].have == wanted.digest
        rig.turns(3)
        assert rig.door.state == items(BOTH)
        assert rig.controller.reports[-1].rejected == ""

    def test_pauses_of_a_rejected_digest_double(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("vrf", "blue"): "no"}
        tried = []
        for _ in range(60):
            before = rig.door.operations
            now = rig.clock.now
            rig.turns()
            if rig.door.operations > before:
                tried.append(now)
        gaps = [round(b - a) for a, b in pairwise(tried)]
        assert len(gaps) >= 2
        assert all(later > 1.5 * first for first, later in pairwise(gaps))

    def test_rejection_survives_a_restart_and_an_operator_may_lift_it(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("vrf", "blue"): "no"}
        rig.turns()
        rig.door.mend()
        rig.start().turns(2)
        assert rig.door.state == items(RED)
        assert rig.controller.reports[-1].rejected == wanted.digest
        rig.agent.rejection.retry_now()
        rig.turns()
        assert rig.door.state == items(BOTH)

    def test_another_manifest_is_tried_at_once(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("vrf", "blue"): "no"}
        rig.turns()
        other = {**RED, "base": [port("swp2")]}
        rig.controller.want(other)
        rig.turns()
        assert rig.door.state == items(other)
        assert rig.controller.reports[-1].rejected == ""

    def test_rejected_manifest_is_tried_at_once_when_it_is_wanted_anew(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("vrf", "blue"): "no"}
        rig.turns()
        rig.door.mend()
        rig.controller.want(RED)
        rig.turns()
        assert (rig.controller.reports[-1].outcome, rig.controller.reports[-1].rejected) == ("held", "")
        rig.controller.want(BOTH)
        rig.turns()
        assert rig.door.state == items(BOTH)

    def test_failed_revert_is_said_and_mended_later(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want({"base": [port("swp1")]})
        rig.door.faults.die = set()
        rig.controller.on_report = lambda report: _wedge(rig, report)
        rig.controller.confirms = False
        rig.turns()
        assert rig.controller.reports[-1].outcome == "failed"
        assert (rig.controller.reports[-1].digest, dict(rig.controller.reports[-1].scopes)) == ("", {})
        rig.controller.on_report = lambda report: None
        rig.door.mend()
        rig.turns(3)
        assert rig.door.state == items(RED)
        assert rig.controller.reports[-1].outcome == "held"

    def test_wedged_revert_restarts_the_routing_service_once(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, restart_command=("systemctl", "restart", "frr"))
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        rig.controller.confirms = False
        rig.controller.on_report = lambda report: _wedge(rig, report)
        rig.turns()
        assert rig.restarts == 1
        assert rig.door.state == items(RED)
        assert rig.controller.reports[-1].outcome == "reverted"

    def test_restart_that_does_not_help_is_not_repeated(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, restart_command=("systemctl", "restart", "frr"))
        rig.settled_on(RED)
        rig.controller.confirms = False
        restarts = []

        def useless() -> None:
            restarts.append(rig.clock.now)

        rig.parts.restart = useless
        rig.controller.on_report = lambda report: _wedge(rig, report)
        for scopes in (BOTH, BLUE):
            rig.controller.want(scopes)
            rig.turns(2)
            assert rig.controller.reports[-1].outcome == "failed"
        assert len(restarts) == 1
        rig.controller.on_report = lambda report: None
        rig.door.mend()
        rig.turns(5)
        assert rig.door.state == items(RED)

    def test_restarted_service_gets_time_to_answer(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, restart_command=("systemctl", "restart", "frr"))
        rig.settled_on(RED)
        rig.controller.confirms = False

        def slow() -> None:
            rig.door.mend()
            rig.door.faults.silent = 20

        rig.parts.restart = slow
        rig.controller.on_report = lambda report: _wedge(rig, report)
        rig.controller.want(BOTH)
        rig.turns()
        assert rig.controller.reports[-1].outcome == "reverted"
        assert rig.door.state == items(RED)

    def test_restart_command_that_fails_is_named(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, restart_command=("systemctl", "restart", "frr"))
        rig.settled_on(RED)
        rig.controller.confirms = False

        def broken() -> None:
            raise OSError("systemctl restart frr ended with 1: Unit not found")

        rig.parts.restart = broken
        rig.controller.on_report = lambda report: _wedge(rig, report)
        rig.controller.want(BOTH)
        rig.turns()
        assert "restart-failed" in rig.codes()

    def test_no_restart_for_drift_that_the_device_refuses_to_give_up(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, restart_command=("systemctl", "restart", "frr"))
        rig.settled_on(RED)
        del rig.door.state["bgp-router", "red"]
        rig.door.faults.refuse_keys = {("bgp-router", "red"): "% locked"}
        rig.turns(20)
        assert rig.restarts == 0
        assert rig.controller.reports[-1].outcome == "failed"
        assert "drift-found" in rig.codes()
        assert "device-refused" in rig.codes()

    def test_silent_device_is_looked_at_again_soon(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.turns(7)
        rig.door.state.clear()
        rig.door.faults.silent = 1
        began = rig.clock.now
        while rig.controller.reports[-1].outcome != "failed":
            rig.turns()
            assert rig.clock.now - began < 75.0
        rig.turns()
        assert rig.door.state == items(RED)

    def test_no_restart_while_only_drift_cannot_be_mended(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, restart_command=("systemctl", "restart", "frr"))
        rig.settled_on(RED)
        rig.door.faults.wedged = True
        rig.turns(20)
        assert rig.restarts == 0
        assert rig.controller.reports[-1].outcome == "failed"

    def test_door_with_a_bug_does_not_end_the_agent(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)
        carry_out = rig.door._carry_out

        def broken(change: object) -> None:
            if change.key == ("vrf", "blue"):  # type: ignore[attr-defined]
                raise KeyError("asn")
            carry_out(change)  # type: ignore[arg-type]

        monkeypatch.setattr(rig.door, "_carry_out", broken)
        rig.turns()
        assert rig.door.state == items(RED)
        assert "driver-failed" in rig.codes()


def _wedge(rig: Rig, report: object) -> None:
    if report.outcome == "applied":  # type: ignore[attr-defined]
        rig.door.faults.wedged = True


class TestConfirm:
    def test_without_confirm_it_reverts_at_the_deadline(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        wanted = rig.controller.want(BOTH, confirm_within=5.0)
        began = rig.clock.now
        rig.turns()
        assert 5.0 <= rig.clock.now - began < 7.0
        assert rig.door.state == items(RED)
        report = rig.controller.reports[-1]
        assert (report.outcome, report.rejected) == ("reverted", wanted.digest)
        assert "apply-not-confirmed" in rig.codes()
        assert rig.door.boot == items(RED)

    def test_a_change_that_cuts_the_controller_off_is_taken_back(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)

        def cut(request: object) -> None:
            rig.controller.reachable = items(BOTH).keys() != rig.door.state.keys()

        rig.controller.on_ask = cut
        state = rig.door._carry_out

        def carry_out(change: object) -> None:
            state(change)  # type: ignore[arg-type]
            rig.controller.reachable = ("vrf", "blue") not in rig.door.state

        rig.door._carry_out = carry_out  # type: ignore[method-assign, assignment]
        began = rig.clock.now
        rig.turns()
        assert rig.door.state == items(RED)
        assert rig.clock.now - began < 65.0
        assert rig.controller.reports[-1].outcome == "reverted"

    def test_late_confirm_is_taken(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        rig.controller.want(BOTH)
        asked = []

        def later(request: object) -> None:
            asked.append(request)
            rig.controller.confirms = len(asked) > 8

        rig.controller.on_ask = later
        rig.turns()
        assert rig.door.state == items(BOTH)
        assert rig.controller.outcomes[-1] == "held"
        assert rig.door.boot == items(BOTH)

    def test_wall_clock_jumps_revert_nothing(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        rig.controller.want(BOTH)
        asked = []

        def jump(request: object) -> None:
            asked.append(request)
            rig.clock.wall_now += 1e9 if len(asked) % 2 else -2e9
            rig.controller.confirms = len(asked) > 5

        rig.controller.on_ask = jump
        rig.turns()
        assert rig.door.state == items(BOTH)

    def test_another_manifest_replaces_an_unconfirmed_one(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        rig.controller.want(BOTH)
        asked = []

        def replace(request: object) -> None:
            asked.append(request)
            if len(asked) == 3:
                rig.controller.want(BLUE)
                rig.controller.confirms = True

        rig.controller.on_ask = replace
        rig.turns()
        assert rig.door.state == items(BLUE)
        assert rig.controller.reports[-1].outcome == "held"
        assert rig.controller.reports[-1].rejected == ""
        assert "reverted" not in rig.controller.outcomes

    def test_a_first_manifest_that_is_replaced_and_not_confirmed_leaves_the_device_as_found(self, rig: Rig) -> None:
        found = {"base": [port("swp9")]}
        rig.door.state = dict(items(found))
        rig.controller.confirms = False
        rig.controller.want(RED)
        asked = []

        def replace(request: object) -> None:
            asked.append(request)
            if len(asked) == 3:
                rig.controller.want(BLUE, confirm_within=5.0)

        rig.controller.on_ask = replace
        rig.start().turns()
        assert rig.door.state == items(found)

    def test_withdrawn_manifest_goes_back_and_is_not_rejected(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        rig.controller.want(BOTH)
        asked = []

        def withdraw(request: object) -> None:
            asked.append(request)
            if len(asked) == 3:
                rig.controller.want(RED)

        rig.controller.on_ask = withdraw
        rig.turns()
        assert rig.door.state == items(RED)
        assert (rig.controller.reports[-1].outcome, rig.controller.reports[-1].rejected) == ("held", "")

    def test_a_replacement_that_cannot_be_fetched_does_not_stop_the_clock(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        rig.controller.want(BOTH, confirm_within=10.0)
        asked = []

        def replace(request: object) -> None:
            asked.append(request)
            if len(asked) == 2:
                rig.controller.want(BLUE)
                rig.controller.want({"base": [port("swp7")]})
                rig.controller.bodies.clear()

        rig.controller.on_ask = replace
        began = rig.clock.now
        rig.turns()
        assert rig.door.state == items(RED)
        assert rig.clock.now - began < 15.0

    def test_stop_while_waiting_takes_the_change_back(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        wanted = rig.controller.want(BOTH)
        rig.controller.on_ask = lambda request: rig.agent.stop() if request.have == wanted.digest else None
        rig.boot().run()
        assert rig.door.state == items(RED)
        assert (rig.controller.reports[-1].outcome, rig.controller.reports[-1].rejected) == ("reverted", "")
        assert "apply-stopped" in rig.codes()

    def test_last_report_survives_the_signal_that_stops_the_agent(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.confirms = False
        wanted = rig.controller.want(BOTH)
        report = rig.controller.report
        failures = []

        def interrupted(told: Report, limit: float | None = None) -> Receipt:
            if told.outcome == "reverted" and not failures:
                failures.append(told)
                raise Unreachable("the request was interrupted")
            return report(told, limit)

        rig.controller.report = interrupted  # type: ignore[method-assign]
        rig.controller.on_ask = lambda request: rig.agent.stop() if request.have == wanted.digest else None
        rig.boot().run()
        assert rig.controller.reports[-1].outcome == "reverted"


class TestController:
    def test_gone_and_back_changes_nothing(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.door.done.clear()
        rig.controller.reachable = False
        rig.turns(30)
        rig.controller.reachable = True
        rig.turns(3)
        assert rig.door.done == []
        assert rig.controller.reports[-1].outcome == "held"

    def test_drift_is_mended_while_it_is_gone_and_reported_after(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.reachable = False
        del rig.door.state["bgp-router", "red"]
        rig.door.state["port", "swp9"] = port("swp9")
        rig.turns(40)
        assert rig.door.state == items(RED)
        rig.controller.reachable = True
        rig.turns()
        report = rig.controller.reports[-1]
        assert report.drift == ("base", "vrf:red")
        assert report.outcome == "held"
        assert [d.code for d in report.diagnostics] == ["drift-mended"]
        assert "bgp-router/red" in report.diagnostics[0].detail
        rig.turns(2)
        assert rig.controller.reports[-1] is report
        rig.controller.want(BOTH)
        rig.turns()
        assert (rig.controller.reports[-1].drift, rig.controller.reports[-1].diagnostics) == ((), ())

    def test_drift_is_mended_on_the_timer(self, rig: Rig) -> None:
        rig.settled_on(RED)
        began = rig.clock.now
        rig.door.state["vrf", "red"] = vrf("red", 999)
        while rig.door.state != items(RED):
            rig.turns()
            assert rig.clock.now - began < 75.0
        assert rig.controller.reports[-1].drift == ("vrf:red",)

    def test_what_the_device_lacks_is_in_every_report(self, rig: Rig) -> None:
        rig.door.lacking = {"tagged_ports": "This device has no 8021q."}
        rig.settled_on(RED)
        (found,) = rig.controller.reports[-1].diagnostics
        assert (found.code, found.where.pointer, found.detail) == (
            CANNOT,
            "/tagged_ports",
            rig.door.lacking["tagged_ports"],
        )
        rig.controller.want(BOTH)
        rig.turns(2)
        assert rig.controller.reports[-1].diagnostics == (found,)

    def test_an_address_that_two_hosts_claim_is_in_every_report_until_it_ends(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.door.claimed = [Duplicate("red", 100, "10.1.1.11", ("06:00:00:00:00:01", "06:00:00:00:00:02"))]
        began = rig.clock.now
        while not rig.controller.reports[-1].diagnostics:
            rig.turns()
            assert rig.clock.now - began < 75.0
        (found,) = rig.controller.reports[-1].diagnostics
        assert found.code in LASTING
        assert (found.code, found.severity, found.where.device) == ("address-claimed-twice", "warning", DEVICE)
        assert "VNI 100 of VRF red: 10.1.1.11 is claimed by 06:00:00:00:00:01 and 06:00:00:00:00:02" in found.detail
        reports = len(rig.controller.reports)
        while rig.clock.now - began < 300.0:
            rig.turns()
        assert len(rig.controller.reports) == reports, "nothing new, nothing said"
        rig.controller.want(BOTH)
        rig.turns(2)
        assert rig.controller.reports[-1].diagnostics == (found,)
        rig.door.claimed = []
        while rig.controller.reports[-1].diagnostics:
            rig.turns()
            assert rig.clock.now - began < 500.0

    def test_hosts_do_not_fill_a_report(self, rig: Rig) -> None:
        macs = tuple(f"06:00:00:00:00:{n:02x}" for n in range(99))
        rig.door.claimed = [Duplicate("red", vni, f"10.1.1.{n}", macs) for vni in range(200) for n in range(99)]
        rig.settled_on(RED)
        found = rig.controller.reports[-1].diagnostics
        assert len(found) == FINDINGS_MAX
        assert max(len(one.detail) for one in found) < 4_000
        assert "And 89 more addresses" in found[0].detail

    def test_manifest_of_another_device_is_refused(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.want(BLUE, device="leaf2")
        rig.turns(2)
        assert rig.door.state == items(RED)
        assert "manifest-of-another-device" in rig.codes()

    def test_manifest_with_another_digest_than_its_scopes_is_refused(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BLUE)
        rig.controller.manifest = Manifest(DEVICE, 9, "0" * 64, wanted.scopes)
        rig.turns()
        assert rig.door.state == items(RED)
        assert "manifest-digest-wrong" in rig.codes()

    def test_fragment_with_another_hash_is_refused(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BLUE)
        rig.controller.bodies[wanted.scopes["vrf:blue"]] = "[]"
        rig.turns()
        assert rig.door.state == items(RED)
        assert "fragment-damaged" in rig.codes()

    def test_unknown_object_is_refused_with_its_scope(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(RED)
        from underlace.model.device import hash_fragment
        from underlace.model.wire import manifest_digest

        body = '[{"type":"teleporter","name":"x"}]'
        name = hash_fragment(body.encode())
        rig.controller.bodies[name] = body
        scopes = {**wanted.scopes, "vrf:new": name}
        rig.controller.manifest = Manifest(DEVICE, 9, manifest_digest(scopes), scopes)
        rig.turns()
        assert rig.door.state == items(RED)
        [found] = rig.controller.reports[-1].diagnostics
        assert found.code == "fragment-unknown"
        assert "vrf:new" in found.detail

    def test_fragment_that_is_not_desired_any_more_is_no_rejection(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BLUE)
        kept = {h: rig.controller.bodies.pop(h) for h in wanted.scopes.values() if h in rig.controller.bodies}
        rig.turns()
        assert rig.agent.rejection.digest == ""
        rig.controller.bodies.update(kept)
        rig.turns()
        assert rig.door.state == items(BLUE)

    def test_same_state_under_another_revision_is_held_without_confirm(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.on_ask = lambda request: None
        manifest = rig.controller.want(RED)
        rig.controller.confirms = False
        rig.agent._trial.take(manifest)
        rig.turns()
        assert rig.controller.reports[-1].revision == manifest.revision == 2
        assert rig.controller.reports[-1].outcome == "held"
        rig.start()
        assert rig.agent.holding.good.manifest.revision == 2

    def test_older_revision_is_accepted(self, rig: Rig) -> None:
        rig.controller.revision = 50
        rig.settled_on(RED)
        rig.controller.revision = 7
        rig.controller.want(BLUE)
        rig.turns()
        assert rig.door.state == items(BLUE)
        assert rig.controller.reports[-1].revision == 8

    def test_refusing_controller_is_asked_less_and_less(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller.refuses = Refusal(403, "certificate revoked")
        began = rig.clock.now
        rig.turns(10)
        assert rig.clock.now - began > 30.0
        assert rig.door.state == items(RED)
        assert "certificate revoked" in rig.log.getvalue()

    def test_controller_that_cannot_hold_a_poll_is_not_asked_in_a_tight_loop(self, rig: Rig) -> None:
        rig.settled_on(RED)
        rig.controller._clock = type(rig.clock)()  # its waiting does not pass our time
        began = rig.clock.now
        rig.turns(20)
        assert rig.clock.now - began >= 19.0

    def test_state_is_said_again_after_the_controller_was_gone(self, rig: Rig) -> None:
        rig.settled_on(RED)
        told = len(rig.controller.reports)
        rig.turns(3)
        assert len(rig.controller.reports) == told
        rig.controller.reachable = False
        rig.turns()
        rig.controller.reachable = True
        rig.turns(2)
        assert len(rig.controller.reports) == told + 1

    def test_manifest_that_changes_while_it_is_fetched_is_no_loss_of_the_controller(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BLUE)
        del rig.controller.bodies[wanted.scopes["vrf:blue"]]
        rig.turns(5)
        assert "controller-away" not in rig.log.getvalue()

    def test_rejected_manifest_is_not_applied_though_the_controller_insists(self, rig: Rig) -> None:
        rig.settled_on(RED)
        wanted = rig.controller.want(BOTH)
        rig.door.faults.refuse_keys = {("vrf", "blue"): "no"}
        rig.turns()
        rig.door.mend()
        done = rig.door.operations
        rig.controller.desired = lambda request, limit=None: wanted  # type: ignore[method-assign]
        rig.turns(5)
        assert rig.door.operations == done

    def test_pause_of_a_rejected_manifest_has_a_limit(self, rig: Rig) -> None:
        for _ in range(40):
            rig.agent.rejection.add("a" * 64)
        assert rig.agent.rejection.seconds_left() == 3600.0


class TestDisk:
    def test_full_disk_leaves_the_device_untouched(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(rig.parts.cache, "begin", full)
        done = rig.door.operations
        rig.turns()
        assert rig.door.operations == done
        assert "agent-disk-failed" in rig.codes()

    def test_confirmed_state_that_cannot_be_kept_yet_is_kept_later(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig.settled_on(RED)
        rig.controller.want(BOTH)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(rig.parts.cache, "keep", full)
            rig.turns()
        assert rig.door.state == items(BOTH)
        assert rig.door.boot == items(RED)
        rig.turns(12)
        assert rig.door.boot == items(BOTH)
        rig.controller.reachable = False
        rig.start()
        assert rig.door.state == items(BOTH)

    def test_boot_files_that_cannot_be_written_are_written_later(self, rig: Rig) -> None:
        rig.controller.want(RED)

        def refuse_save(report: object) -> None:
            rig.door.faults.silent = 1

        rig.controller.on_report = refuse_save
        rig.start().turns()
        assert rig.door.boot is None
        assert "device-silent" in rig.codes()
        rig.controller.on_report = lambda report: None
        rig.door.mend()
        rig.turns(12)
        assert rig.door.boot == items(RED)
