"""The large lab: 4 spines and 60 leaves with agents, until every allowed flow is answered.

Needs root, FRR and about 4 GiB. Every leaf has four uplinks and a server; half of the servers are in one VPC, half in
another with the same addresses, each VPC in one V-Net over all of its leaves, v4 and v6.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks.figure import Figure
from benchmarks.lab import running
from underlace.lab import flows, frr, intent
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric
from underlace.lab.intent import Intent

SPINES, LEAVES = 4, 60
LIMIT = 300.0
WATCHED = 120.0
"""Seconds for which all sessions must stay up (hazards 13)."""

Document = dict[str, Any]
TENANTS = ("red", "blue")


def document(kind: str, name: str, tenant: str | None = None, **spec: Any) -> Document:
    found: Document = {"kind": kind, "name": name, "spec": spec}
    return found | ({"tenant": tenant} if tenant else {})


def fabric_documents() -> Iterator[Document]:
    """A site, its switches, and cables between them."""
    yield document("site", "dc1", fabric_as=65000)
    yield document("allocation", "loopbacks", "system", prefix="10.255.0.0/24")
    yield document("subnet", "loopbacks", "system", prefix="10.255.0.0/24", purpose="loopback", sites=["dc1"])
    for spine in range(1, SPINES + 1):
        yield document("switch", f"spine{spine}", site="dc1", role="spine", ports=LEAVES)
    for leaf in range(1, LEAVES + 1):
        yield document("switch", f"leaf{leaf}", site="dc1", role="leaf", ports=SPINES + 4)
        for spine in range(1, SPINES + 1):
            ends = {"a": f"swp{spine}@leaf{leaf}", "b": f"swp{leaf}@spine{spine}"}
            yield document("link", f"leaf{leaf}-spine{spine}", underlay=True, **ends)


def tenant_documents() -> Iterator[Document]:
    """Two VPCs with the same addresses, and a server on each leaf."""
    prefixes = ("10.1.0.0/24", "2001:db8:1::/64")
    for number, name in enumerate(TENANTS):
        leaves = range(1 + number, LEAVES + 1, len(TENANTS))
        yield document("tenant", name)
        yield document("vpc", name, name)
        for version, prefix in zip(("v4", "v6"), prefixes, strict=True):
            yield document("allocation", version, name, prefix=prefix, vpc=name)
            yield document("subnet", version, name, prefix=prefix, vpc=name)
        ports = [{"port": f"swp{SPINES + 1}@leaf{leaf}"} for leaf in leaves]
        yield document("vnet", name, name, vpc=name, gateways=["10.1.0.1/24", "2001:db8:1::1/64"], ports=ports)
        for leaf in leaves:
            addresses = [f"10.1.0.{leaf + 10}/24", f"2001:db8:1::{leaf + 10:x}/64"]
            yield document("server", f"{name}{leaf}", site="dc1", nics=[{"name": "eth1", "addresses": addresses}])
            yield document("link", f"{name}{leaf}", a=f"eth1@{name}{leaf}", b=f"swp{SPINES + 1}@leaf{leaf}")


def large() -> Intent:
    return intent.parse([*fabric_documents(), *tenant_documents()], Path())


def processes(fabric: Fabric) -> set[int]:
    """Pids of everything that the lab runs: its identity is in each environment."""
    mark = f"{fabric.state.identity}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def memory_mib(pids: set[int]) -> float:
    """Memory of processes, what they share counted once (PSS)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def flaps(fabric: Fabric) -> tuple[int, int]:
    """BGP sessions of the fabric that are up, and how often any has been lost."""
    up = lost = 0
    for name in fabric.lab.switches:
        shown = frr.vtysh(fabric.node(name), "show bgp neighbors json")
        for session in json.loads(shown).values():
            if isinstance(session, dict):
                up += session.get("bgpState") == "Established"
                lost += session.get("connectionsDropped", 0)
    return up, lost


def figures() -> Iterator[Figure]:
    wanted = large()
    expected = matrix(wanted)
    began = monotonic()

    def say(left: int, total: int) -> None:
        print(f"{monotonic() - began:5.1f} s: {total - left} of {total} answered", file=sys.stderr)

    with running(wanted, lambda text: print(f"{monotonic() - began:5.1f} s: {text}", file=sys.stderr)) as fabric:
        left = flows.converge(expected, fabric, LIMIT, say)
        took = monotonic() - began
        if left:
            raise SystemExit(f"{len(left)} flows are not answered after {LIMIT:g} s, such as {left[0]}")
        load, memory = os.getloadavg()[0], memory_mib(processes(fabric))
        yield Figure(
            "lab-60-leaves-up-to-all-flows",
            took,
            "s",
            90.0,
            note=f"{SPINES} spines, {LEAVES} leaves, agents included, {len(expected.flows)} flows; BFD "
            f"{fabric.lab.bfd} ms x 3; load {load:.0f} at the end.",
        )
        yield Figure("lab-60-leaves-memory", memory, "MiB", note="Of all processes of that lab, shared once (PSS).")
        up, lost = flaps(fabric)
        sleep(WATCHED)
        still, later = flaps(fabric)
        yield Figure(
            "lab-60-leaves-sessions-lost",
            later - lost,
            "sessions",
            0.0,
            note=f"BGP sessions lost in {WATCHED:g} s after that; {still} of {up} are up.",
        )
