"""The lab's figures of design §10: `up` to all flows, and from a V-Net in an intent file to its first ping.

Needs root and FRR. Two hosts are added to the quickstart, on ports of two leaves that no V-Net has. A round puts both
into a new V-Net of a VPC that is there already, or each into a V-Net of a new VPC, routed between the leaves over
that VPC's own L3VNI; then it takes everything away again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Timer
from time import monotonic
from typing import Any

from benchmarks.figure import Figure
from underlace.lab import build, flows, intent
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric, end, wait_for
from underlace.lab.intent import Intent
from underlace.lab.state import State, this_process
from underlace.lab.teardown import sweep

QUICKSTART = Path(__file__).resolve().parent.parent / "examples" / "quickstart"
PREFIX = "underlace-bench-"
UPS = 3
ROUNDS = 20
LIMIT = 60.0
POLL = 0.2
"""Seconds between two questions to the controller, which has other things to do."""

Document = dict[str, Any]
HOSTS = {"x1": ("leaf1", "10.77.1.11/24"), "x2": ("leaf2", "10.77.1.12/24")}
PORT = "swp12"


@contextmanager
def running(wanted: Intent, notice: build.Notice = lambda text: None) -> Iterator[Fabric]:
    """A lab of its own directory, gone afterwards whatever happens; one that a killed run left goes first."""
    sweep(Path(tempfile.gettempdir()), PREFIX)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield build.up(wanted, directory, notice, owner=this_process())
    finally:
        state = State.load(directory)
        if state is not None:
            end(state)
        shutil.rmtree(directory, ignore_errors=True)


def settle(fabric: Fabric, wanted: Intent) -> None:
    left = flows.converge(matrix(wanted), fabric, LIMIT, lambda left, total: None)
    if left:
        raise SystemExit(f"{len(left)} flows are not answered after {LIMIT:g} s")


def quickstart() -> Intent:
    """The quickstart with two more hosts."""
    plain = intent.read(QUICKSTART)
    more: list[Document] = []
    for host, (leaf, address) in HOSTS.items():
        nics = [{"name": "eth1", "addresses": [address]}]
        more.append({"kind": "server", "name": host, "spec": {"site": "dc1", "nics": nics}})
        more.append({"kind": "link", "name": f"{host}-{leaf}", "spec": {"a": f"eth1@{host}", "b": f"{PORT}@{leaf}"}})
    return intent.parse([*plain.documents, *more], plain.directory, plain.played)


def of_tenant(kind: str, name: str, tenant: str, spec: Document) -> Document:
    return {"kind": kind, "tenant": tenant, "name": name, "spec": spec}


def network(vpc: str, third: int, *leaves: str) -> list[Document]:
    """A V-Net with a gateway on these leaves, and the subnet it stands on."""
    name, ports = f"bench{third}", [{"port": f"{PORT}@{leaf}"} for leaf in leaves]
    return [
        of_tenant("subnet", name, "acme", {"prefix": f"10.77.{third}.0/24", "vpc": vpc}),
        of_tenant("vnet", name, "acme", {"vpc": vpc, "gateways": [f"10.77.{third}.1/24"], "ports": ports}),
    ]


def allocation(vpc: str) -> Document:
    return of_tenant("allocation", "bench", "acme", {"prefix": "10.77.0.0/16", "vpc": vpc})


def in_existing_vpc(fabric: Fabric) -> tuple[list[Document], str]:
    """Documents, and the address that x1 pings."""
    return [allocation("red"), *network("red", 1, "leaf1", "leaf2")], "10.77.1.12"


def in_new_vpc(fabric: Fabric) -> tuple[list[Document], str]:
    """x2 is in a subnet of its own: the ping is routed."""
    fabric.node("x1").ip(["route replace 10.77.2.0/24 via 10.77.1.1 dev eth1 onlink"])
    fabric.node("x2").ip(
        [
            "address flush dev eth1",
            "address add 10.77.2.12/24 dev eth1",
            "route replace 10.77.1.0/24 via 10.77.2.1 dev eth1 onlink",
        ]
    )
    vpc = of_tenant("vpc", "bench", "acme", {})
    both = [*network("bench", 1, "leaf1"), *network("bench", 2, "leaf2")]
    return [vpc, allocation("bench"), *both], "10.77.2.12"


def await_devices(fabric: Fabric, limit: float = LIMIT) -> None:
    """Until every device holds what it should."""

    def settled() -> bool:
        found = fabric.api.get("/v1/status")
        return bool(found["in_sync"] == found["total"] == len(fabric.lab.switches))

    wait_for("every device to confirm", settled, limit, POLL)


def first_ping(fabric: Fabric, documents: list[Document], target: str) -> float:
    """Seconds from the request to the first answer of the host on the other leaf; the network is gone afterwards."""
    # No deadline (-w): with one, ping ends at the first "unreachable", which a gateway without the route answers.
    ping = ["ping", "-n", "-i", "0.02", target]
    with subprocess.Popen(fabric.node("x1").command(ping), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        limit = Timer(LIMIT, process.kill)
        limit.start()
        try:
            began = monotonic()
            fabric.api.apply(documents)
            answered = any("bytes from" in line for line in process.stdout)
            seconds = monotonic() - began
        finally:
            limit.cancel()
            process.kill()
    if not answered:
        raise SystemExit(f"no ping within {LIMIT:g} s")
    fabric.api.apply([], [{key: d[key] for key in ("kind", "tenant", "name")} for d in documents])
    await_devices(fabric)
    return seconds


def up_times() -> list[float]:
    wanted = intent.read(QUICKSTART)
    found = []
    for _ in range(UPS):
        began = monotonic()
        with running(wanted) as fabric:
            settle(fabric, wanted)
            found.append(monotonic() - began)
        print(f"lab up: {found[-1]:.2f} s", file=sys.stderr)
    return found


def figures() -> Iterator[Figure]:
    times = up_times()
    yield Figure(
        "lab-up-to-all-flows",
        median(times),
        "s",
        10.0,
        note=f"Quickstart, agents included, until every allowed flow is answered; median of {UPS}, "
        f"worst {max(times):.1f} s.",
    )
    with running(quickstart()) as fabric:
        await_devices(fabric)
        for name, bar, made, how in (
            ("vnet-in-existing-vpc-to-first-ping", 2.0, in_existing_vpc, "bridged"),
            ("vnet-in-new-vpc-to-first-ping", 5.0, in_new_vpc, "routed over the new VPC's L3VNI"),
        ):
            documents, target = made(fabric)
            seconds = [first_ping(fabric, documents, target) for _ in range(ROUNDS)]
            print(f"{name}: {' '.join(f'{s:.2f}' for s in seconds)}", file=sys.stderr)
            yield Figure(
                name,
                median(seconds),
                "s",
                bar,
                note=f"From the request to the controller until a host on another leaf answers, {how}; median of "
                f"{ROUNDS}, worst {max(seconds):.1f} s.",
            )
