"""The flow matrix run for real: every host probes every address, all at once, and the right one must answer.

A flow is checked by TCP and UDP; an allowed one also by the largest packet that its V-Nets carry, with DF, both ways.
A forbidden one must stay unanswered: a refusal is an answer too. Beside them, the closed underlay (law 11): echo
requests to every loopback and forged VXLAN into every V-Net reach nobody. What a host may not try here, for want of
privilege, is counted as skipped: a verdict never passes for more than it saw.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from underlace.lab.expect import NOBODY, Flow, Matrix

PROTOCOLS = ("tcp", "udp", "size")
ANSWER_SECONDS = 3.0
"""How long an answer that must come is waited for."""

SILENCE_SECONDS = 1.0
"""How long an address is watched that must not answer."""

NO_RAW_SOCKETS = "hosts may not open raw sockets here: no echo requests, no packets from another's address"

_UDP_TRIES = 3
_WORKERS = 32

Results = dict[str, str]


class Hosts(Protocol):
    """Asks the hosts of a lab to do something from where they are."""

    def probe(self, host: str, probes: Sequence[dict[str, Any]]) -> Results: ...

    def echo(self, host: str, targets: Sequence[str], seconds: float) -> list[str]: ...

    def forge(self, host: str, packets: Sequence[dict[str, Any]]) -> None: ...

    def intruders(self, host: str) -> list[str]: ...

    def may_forge(self, host: str) -> bool:
        """Whether the host may send what needs a raw socket: echo requests, and packets from another's address."""
        ...


class Wrong(NamedTuple):
    """A check that failed. expected, got: who answers; "" is nobody."""

    source: str
    address: str
    protocol: str
    expected: str
    got: str


class Skipped(NamedTuple):
    """Checks that could not be made, and why."""

    checks: int
    reason: str


class Verdict(NamedTuple):
    flows: int
    wrong: tuple[Wrong, ...]
    undecided: int
    seconds: float
    skipped: tuple[Skipped, ...] = ()

    @property
    def good(self) -> bool:
        return self.flows > 0 and not self.wrong

    def json(self) -> dict[str, Any]:
        return {
            "flows": self.flows,
            "wrong": len(self.wrong),
            "seconds": round(self.seconds, 2),
            "simulated": True,
            "undecided": self.undecided,
            "skipped": sum(s.checks for s in self.skipped),
            "skips": [s._asdict() for s in self.skipped],
            "failures": [w._asdict() for w in self.wrong],
        }


class Check(NamedTuple):
    """One probe of a flow."""

    flow: Flow
    protocol: str

    @property
    def id(self) -> str:
        return f"{self.protocol}:{self.flow.address}"

    def probe(self, allowed_seconds: float) -> dict[str, Any]:
        flow = self.flow
        silent = flow.answer == NOBODY
        asked = {
            "id": self.id,
            "protocol": self.protocol,
            "address": flow.address,
            "timeout": SILENCE_SECONDS if silent else allowed_seconds,
        }
        if flow.bind:
            asked["source"] = flow.bind
        if self.protocol == "udp":
            asked["tries"] = 1 if silent else _UDP_TRIES
        if self.protocol == "size":
            asked |= {"size": flow.size, "tries": _UDP_TRIES}
        return asked


def checks(flows: Collection[Flow]) -> list[Check]:
    """Every probe of a matrix: full-size packets for allowed flows only."""
    return [Check(f, p) for f in flows for p in PROTOCOLS if p != "size" or f.answer != NOBODY]


def run(wanted: Sequence[Check], hosts: Hosts, seconds: float = ANSWER_SECONDS) -> list[Wrong]:
    """Run checks from all hosts at once; what differs from what must hold."""
    by_source: dict[str, list[Check]] = {}
    for check in wanted:
        by_source.setdefault(check.flow.source, []).append(check)

    def ask(source: str) -> list[Wrong]:
        results = hosts.probe(source, [c.probe(seconds) for c in by_source[source]])
        return [
            Wrong(source, c.flow.address, c.protocol, c.flow.answer, results.get(c.id, "!no result"))
            for c in by_source[source]
            if results.get(c.id) != c.flow.answer
        ]

    with ThreadPoolExecutor(_WORKERS) as pool:
        return [wrong for found in pool.map(ask, by_source) for wrong in found]


class Underlay(NamedTuple):
    """What must be out of every host's reach: loopbacks of all devices, and VNIs by the VTEPs that carry them."""

    loopbacks: tuple[str, ...] = ()
    vnis: Mapping[str, tuple[int, ...]] = {}

    def packets(self, source: str) -> list[dict[str, Any]]:
        """Forged VXLAN from one host: into every V-Net, under the own address and under another VTEP's."""
        found = []
        for vtep, vnis in self.vnis.items():
            other = next((v for v in self.vnis if v != vtep), "")
            for vni in vnis:
                text = f"{source} {vtep} {vni}"
                found += [{"vtep": vtep, "vni": vni, "text": f"{text} {s}", "source": s} for s in ("", other)]
        return found


class Attacks(NamedTuple):
    """Tries to reach the underlay: how many, those that got somewhere, and how many could not be made."""

    tries: int
    wrong: list[Wrong]
    skipped: int = 0


def _attack(underlay: Underlay, source: str, hosts: Hosts) -> Attacks:
    """From one host; an intruder shows at the host that it reached."""
    packets, echoes = underlay.packets(source), len(underlay.loopbacks)
    if not hosts.may_forge(source):
        own = [packet for packet in packets if not packet["source"]]
        hosts.forge(source, own)
        return Attacks(len(own), [], len(packets) - len(own) + echoes)
    hosts.forge(source, packets)
    answered = hosts.echo(source, underlay.loopbacks, SILENCE_SECONDS)
    return Attacks(len(packets) + echoes, [Wrong(source, a, "icmp", NOBODY, "underlay") for a in answered])


def closed(underlay: Underlay, sources: Sequence[str], hosts: Hosts) -> Attacks:
    """Try to reach the underlay from every host."""
    before = {host: len(hosts.intruders(host)) for host in sources}
    with ThreadPoolExecutor(_WORKERS) as pool:
        made = list(pool.map(lambda source: _attack(underlay, source, hosts), sources))
    found = [wrong for attacks in made for wrong in attacks.wrong]
    for host in sources:
        for text in hosts.intruders(host)[before[host] :]:
            source, vtep, vni, *_ = text.split(" ")
            found.append(Wrong(source, vtep, f"vxlan {vni}", NOBODY, host))
    return Attacks(sum(a.tries for a in made), found, sum(a.skipped for a in made))


def verdict(matrix: Matrix, underlay: Underlay, hosts: Hosts, unchecked: Sequence[Skipped] = ()) -> Verdict:
    """Run the whole matrix once. unchecked: what is not in it, because this lab does not have it."""
    began = time.monotonic()
    wanted = checks(matrix.flows)
    sources = sorted({f.source for f in matrix.flows})
    with ThreadPoolExecutor(2) as pool:
        attacking = pool.submit(closed, underlay, sources, hosts)
        wrong = run(wanted, hosts)
        attacks = attacking.result()
    return Verdict(
        len(wanted) + attacks.tries,
        tuple(sorted([*wrong, *attacks.wrong])),
        len(matrix.undecided),
        time.monotonic() - began,
        (*unchecked, *([Skipped(attacks.skipped, NO_RAW_SOCKETS)] if attacks.skipped else [])),
    )


def converge(
    matrix: Matrix, hosts: Hosts, limit: float, notice: Callable[[int, int], None] = lambda left, all_: None
) -> list[Wrong]:
    """Repeat the allowed flows that are not answered yet until all are, or `limit` seconds have passed.

    TCP first and alone: probes that nobody answers cost the CPU that the fabric needs to come up.
    """
    until = time.monotonic() + limit
    wanted = [c for c in checks(matrix.flows) if c.flow.answer != NOBODY]
    for stage in ([c for c in wanted if c.protocol == "tcp"], [c for c in wanted if c.protocol != "tcp"]):
        left, later = stage, len(wanted) - len(stage) if stage and stage[0].protocol == "tcp" else 0
        while left:
            wrong = {(w.source, w.address, w.protocol): w for w in run(left, hosts, seconds=0.4)}
            left = [c for c in left if (c.flow.source, c.flow.address, c.protocol) in wrong]
            notice(len(left) + later, len(wanted))
            if left and time.monotonic() > until:
                return list(wrong.values())
    return []


LEGEND = "Who answers. Columns: from; rows: to; . nobody, as it must be; - the own address, or undecided; ! wrong."


def table(matrix: Matrix, verdict: Verdict) -> list[str]:
    """The matrix as text: a column per source, a row per address, who answers; first what the signs mean."""
    bad = {(w.source, w.address) for w in verdict.wrong}
    sources = sorted({f.source for f in matrix.flows})
    cells = {(f.source, f.address): f.answer or "." for f in matrix.flows}
    lines = [LEGEND]
    for version, title in ((4, "IPv4"), (6, "IPv6")):
        addresses = [a for a in dict.fromkeys(f.address for f in matrix.flows) if (":" in a) == (version == 6)]
        width = max([len(a) for a in addresses] or [0])
        lines += [title, " " * (width + 2) + " ".join(f"{s:>6}" for s in sources)]
        for address in addresses:
            row = [_cell(cells.get((s, address), "-"), (s, address) in bad) for s in sources]
            lines.append(f"  {address:{width}}" + " ".join(f"{cell:>6}" for cell in row))
    return lines


def skipped(verdict: Verdict) -> list[str]:
    """What was not checked, and why, for people."""
    return [f"skipped: {s.checks} checks: {s.reason}" for s in verdict.skipped]


def _cell(text: str, wrong: bool) -> str:
    return f"!{text}" if wrong else text
