"""What a tenant loses when an uplink of its leaf dies: design §10, "carrier loss; silent loss".

Needs root and FRR. In the quickstart r1 pings r2, on another leaf, a hundred times a second. The uplink of r1's leaf
that these packets take is shut, or loses every packet in silence; lost is the time between the last answer before
and the first after. Then it is mended, and the next run waits until every session is up again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from time import monotonic, sleep

from benchmarks.figure import Figure
from benchmarks.lab import QUICKSTART, await_devices, running, settle
from underlace.lab import frr, intent
from underlace.lab.fabric import Fabric, wait_for

RUNS = 20
INTERVAL = 0.01
LEAF, UPLINKS = "leaf1", ("swp1", "swp2")
SOURCE, TARGET = "r1", "10.1.1.12"
STEADY = 1.0
"""Seconds of answers without a gap before a run, and after it."""

LIMIT = 60.0
_ANSWER = re.compile(r"^\[(\d+\.\d+)\].* bytes from ")

SILENCE = """table netdev underlace-bench {
  chain in { type filter hook ingress device %(port)s priority -500; drop; }
  chain out { type filter hook egress device %(port)s priority -500; drop; }
}
"""


class Pinging:
    """A stream of echo requests, and when each answer came."""

    def __init__(self, fabric: Fabric) -> None:
        command = ["ping", "-n", "-D", "-i", str(INTERVAL), TARGET]
        self._process = subprocess.Popen(fabric.node(SOURCE).command(command), stdout=subprocess.PIPE, text=True)
        self.answers: list[float] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := _ANSWER.match(line):
                self.answers.append(float(found[1]))

    def steady(self, seconds: float = STEADY) -> bool:
        """Whether the last seconds were answered without a gap."""
        last = self.answers[-round(seconds / INTERVAL) :]
        return len(last) * INTERVAL >= seconds and longest_gap(last) < 5 * INTERVAL

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


def longest_gap(times: list[float]) -> float:
    return max((b - a for a, b in pairwise(times)), default=0.0)


def busiest(fabric: Fabric) -> str:
    """The uplink that sends most."""

    def sent() -> dict[str, int]:
        said = json.loads(fabric.node(LEAF).run(["ip", "-json", "-statistics", "link", "show"]))
        return {link["ifname"]: link["stats64"]["tx"]["packets"] for link in said}

    before = sent()
    sleep(0.5)
    after = sent()
    return max(UPLINKS, key=lambda port: after[port] - before[port])


def all_up(fabric: Fabric) -> bool:
    """Whether the leaf's sessions of the fabric are established."""
    shown = json.loads(frr.vtysh(fabric.node(LEAF), "show bgp l2vpn evpn summary json"))
    return all(peer["state"] == "Established" for peer in shown["peers"].values())


@contextmanager
def without_carrier(fabric: Fabric, port: str) -> Iterator[None]:
    fabric.node(LEAF).ip([f"link set {port} down"])
    try:
        yield
    finally:
        fabric.node(LEAF).ip([f"link set {port} up"])


@contextmanager
def silent(fabric: Fabric, port: str) -> Iterator[None]:
    fabric.node(LEAF).run(["nft", "-f", "-"], stdin=SILENCE % {"port": port})
    try:
        yield
    finally:
        fabric.node(LEAF).run(["nft", "delete", "table", "netdev", "underlace-bench"])


def lost(fabric: Fabric, fault: Callable[..., object]) -> float:
    """Seconds without an answer when a fault comes over the uplink in use."""
    wait_for("every session to be up", lambda: all_up(fabric), LIMIT)
    pinging = Pinging(fabric)
    try:
        wait_for("steady answers", pinging.steady, LIMIT)
        port = busiest(fabric)
        begun = len(pinging.answers)
        with fault(fabric, port):  # type: ignore[attr-defined]
            until = monotonic() + STEADY
            wait_for("answers over the other uplink", lambda: monotonic() > until and pinging.steady(), LIMIT)
            return longest_gap(pinging.answers[begun - 1 :])
    finally:
        pinging.close()


def figures() -> Iterator[Figure]:
    wanted = intent.read(QUICKSTART)
    with running(wanted) as fabric:
        await_devices(fabric)
        settle(fabric, wanted)
        for name, bar, fault, how in (
            ("uplink-carrier-loss", 0.2, without_carrier, "is shut"),
            ("uplink-silent-loss", 0.5, silent, "loses every packet both ways without a word"),
        ):
            seconds = [lost(fabric, fault) for _ in range(RUNS)]
            print(f"{name}: {' '.join(f'{s:.3f}' for s in seconds)}", file=sys.stderr)
            yield Figure(
                name,
                median(seconds),
                "s",
                bar,
                note=f"Without an answer when the uplink in use {how}; BFD {fabric.lab.bfd} ms x 3; median of "
                f"{RUNS}, worst {max(seconds):.2f} s. Answers come every {INTERVAL:g} s.",
            )
