"""What counts as a wrong flow, and how the verdict says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from underlace.lab import flows
from underlace.lab.expect import NOBODY, Flow, Matrix

ALLOWED = Flow("r1", "10.0.0.2", "r2", 9_000)
FORBIDDEN = Flow("r1", "10.9.0.2", NOBODY)
MATRIX = Matrix((ALLOWED, FORBIDDEN), ())


class Wire:
    """Hosts whose answers are given: (host, id of the check) -> who answers."""

    def __init__(self, **answers: str) -> None:
        self.answers = {"tcp:10.0.0.2": "r2", "udp:10.0.0.2": "r2", "size:10.0.0.2": "r2", **answers}
        self.asked: list[dict[str, Any]] = []
        self.echoing: list[str] = []
        self.open_to: dict[str, str] = {}
        self.seen: list[str] = []
        self.raw = True

    def probe(self, host: str, probes: Sequence[dict[str, Any]]) -> dict[str, str]:
        self.asked += probes
        return {p["id"]: self.answers.get(p["id"], NOBODY) for p in probes}

    def echo(self, host: str, targets: Sequence[str], seconds: float) -> list[str]:
        return [t for t in targets if t in self.echoing]

    def forge(self, host: str, packets: Sequence[dict[str, Any]]) -> None:
        self.seen += [p["text"] for p in packets if p["vtep"] in self.open_to]

    def may_forge(self, host: str) -> bool:
        return self.raw

    def intruders(self, host: str) -> list[str]:
        return list(self.seen)


def test_a_good_wire_has_nothing_wrong() -> None:
    verdict = flows.verdict(MATRIX, flows.Underlay(), Wire())
    assert verdict.good
    assert verdict.flows == 5, "three checks of an allowed flow, two of a forbidden one"
    assert verdict.json()["simulated"] is True


def test_the_wrong_host_answering_is_wrong() -> None:
    verdict = flows.verdict(MATRIX, flows.Underlay(), Wire(**{"tcp:10.0.0.2": "b2"}))
    assert verdict.wrong == (flows.Wrong("r1", "10.0.0.2", "tcp", "r2", "b2"),)


def test_an_answer_to_a_forbidden_flow_is_wrong() -> None:
    for answer in ("s2", "!refused"):
        verdict = flows.verdict(MATRIX, flows.Underlay(), Wire(**{"udp:10.9.0.2": answer}))
        assert verdict.wrong == (flows.Wrong("r1", "10.9.0.2", "udp", NOBODY, answer),)


def test_a_full_size_packet_that_is_lost_is_wrong() -> None:
    verdict = flows.verdict(MATRIX, flows.Underlay(), Wire(**{"size:10.0.0.2": NOBODY}))
    assert [w.protocol for w in verdict.wrong] == ["size"]


def test_an_empty_matrix_is_not_good() -> None:
    assert not flows.verdict(Matrix((), ()), flows.Underlay(), Wire()).good


def test_a_loopback_that_answers_is_wrong() -> None:
    wire = Wire()
    wire.echoing = ["10.255.0.1"]
    verdict = flows.verdict(MATRIX, flows.Underlay(("10.255.0.0", "10.255.0.1")), wire)
    assert [(w.address, w.protocol) for w in verdict.wrong] == [("10.255.0.1", "icmp")]
    assert verdict.flows == 7


def test_a_forged_frame_that_arrives_is_wrong() -> None:
    wire = Wire()
    wire.open_to = {"10.255.0.1": "open"}
    underlay = flows.Underlay((), {"10.255.0.1": (10_001,), "10.255.0.2": (10_002,)})
    verdict = flows.verdict(MATRIX, underlay, wire)
    assert {(w.source, w.address, w.protocol, w.got) for w in verdict.wrong} == {
        ("r1", "10.255.0.1", "vxlan 10001", "r1")
    }


def test_what_a_host_may_not_try_is_skipped_and_counted() -> None:
    """No raw sockets: no echo requests and nobody's address but the own, which still has to be stopped."""
    wire = Wire()
    wire.raw = False
    wire.echoing = ["10.255.0.1"]
    wire.open_to = {"10.255.0.1": "open"}
    underlay = flows.Underlay(("10.255.0.1",), {"10.255.0.1": (10_001,), "10.255.0.2": (10_002,)})
    verdict = flows.verdict(MATRIX, underlay, wire)
    assert [(w.protocol, w.address) for w in verdict.wrong] == [("vxlan 10001", "10.255.0.1")]
    assert verdict.flows == 5 + 2
    assert verdict.skipped == (flows.Skipped(2 + 1, flows.NO_RAW_SOCKETS),)
    assert verdict.json()["skipped"] == 3
    assert verdict.json()["skips"] == [{"checks": 3, "reason": flows.NO_RAW_SOCKETS}]
    assert flows.skipped(verdict) == [f"skipped: 3 checks: {flows.NO_RAW_SOCKETS}"]


def test_nothing_is_skipped_where_everything_was_tried() -> None:
    verdict = flows.verdict(MATRIX, flows.Underlay(("10.255.0.1",)), Wire())
    assert verdict.json()["skipped"] == 0
    assert flows.skipped(verdict) == []


def test_forged_packets_come_under_the_own_address_and_under_a_vtep_s() -> None:
    packets = flows.Underlay((), {"10.255.0.1": (7,), "10.255.0.2": (8,)}).packets("r1")
    assert {(p["vtep"], p["vni"], p["source"]) for p in packets} == {
        ("10.255.0.1", 7, ""),
        ("10.255.0.1", 7, "10.255.0.2"),
        ("10.255.0.2", 8, ""),
        ("10.255.0.2", 8, "10.255.0.1"),
    }


def test_only_allowed_flows_are_repeated_until_answered() -> None:
    class Slow(Wire):
        def probe(self, host: str, probes: Sequence[dict[str, Any]]) -> dict[str, str]:
            found = super().probe(host, probes)
            return found if len(self.asked) > 2 else dict.fromkeys(found, NOBODY)

    wire, told = Slow(), []
    assert flows.converge(MATRIX, wire, 10, lambda left, total: told.append((left, total))) == []
    assert told == [(3, 3), (3, 3), (2, 3), (0, 3)]
    assert {p["address"] for p in wire.asked} == {"10.0.0.2"}
    assert [p["protocol"] for p in wire.asked] == ["tcp", "tcp", "tcp", "udp", "size"]


def test_what_never_answers_is_given_up() -> None:
    assert len(flows.converge(MATRIX, Wire(**{"tcp:10.0.0.2": NOBODY}), 0)) == 1


def test_hosts_that_a_lab_does_not_have_are_left_out() -> None:
    shown, lost = MATRIX.among(["r1"])
    assert (shown.flows, lost) == ((FORBIDDEN,), {"r2"})
    assert MATRIX.among(["r1", "r2", "spine1"]) == (MATRIX, frozenset())


def test_the_table_marks_what_is_wrong() -> None:
    verdict = flows.verdict(MATRIX, flows.Underlay(), Wire(**{"tcp:10.0.0.2": "b2"}))
    lines = flows.table(MATRIX, verdict)
    assert lines[0] == flows.LEGEND
    assert all(f"{sign} " in flows.LEGEND for sign in ".-!")
    assert any("10.0.0.2" in line and "!r2" in line for line in lines)
    assert any("10.9.0.2" in line and line.rstrip().endswith(".") for line in lines)
