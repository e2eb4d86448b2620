"""One leaf with a thousand VPCs in the lab, with peers and remote routes (hazards 11).

Needs root, FRR and about 2 GiB. leaf1 has every VPC, leaf2 every tenth; each VPC has a V-Net with a gateway on
each of its leaves. A few VPCs have a host on either side: their flows are routed over the VPC's own L3VNI.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from benchmarks.figure import Figure
from benchmarks.lab import await_devices, running
from benchmarks.large_lab import Document, document, memory_mib, processes
from underlace.lab import flows, frr, intent
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric
from underlace.lab.intent import Intent

VPCS, SHARED, TALKING = 1_000, 10, 100
"""VPCs on leaf1; each how many-th of them is on leaf2 too; each how many-th has hosts."""
UPLINKS = 1
LIMIT = 900.0


def documents(vpcs: int) -> Iterator[Document]:
    """Two leaves, a spine between them, and the VPCs of one tenant."""
    yield document("site", "dc1", fabric_as=65000)
    yield document("allocation", "loopbacks", "system", prefix="10.255.0.0/24")
    yield document("subnet", "loopbacks", "system", prefix="10.255.0.0/24", purpose="loopback", sites=["dc1"])
    yield document("switch", "spine1", site="dc1", role="spine", ports=2)
    yield document("tenant", "acme")
    for number, count in ((1, vpcs), (2, vpcs // SHARED)):
        yield document("switch", f"leaf{number}", site="dc1", role="leaf", ports=UPLINKS + count)
        yield document("link", f"leaf{number}", a=f"swp1@leaf{number}", b=f"swp{number}@spine1", underlay=True)
    for number in range(vpcs):
        yield from vpc(number)


def vpc(number: int) -> Iterator[Document]:
    """A VPC, its V-Net on leaf1, and on leaf2 another. All of them use the same addresses."""
    name = f"v{number}"
    yield document("vpc", name, "acme")
    yield document("allocation", name, "acme", prefix="10.1.0.0/16", vpc=name)
    for leaf in (1, 2)[: 1 if number % SHARED else 2]:
        port = f"swp{UPLINKS + 1 + (number if leaf == 1 else number // SHARED)}@leaf{leaf}"
        net = f"{name}-{leaf}"
        yield document("subnet", net, "acme", prefix=f"10.1.{leaf}.0/24", vpc=name)
        yield document("vnet", net, "acme", vpc=name, gateways=[f"10.1.{leaf}.1/24"], ports=[{"port": port}])
        if number % TALKING == 0:
            nics = [{"name": "eth1", "addresses": [f"10.1.{leaf}.11/24"]}]
            yield document("server", f"h{number}-{leaf}", site="dc1", nics=nics)
            yield document("link", f"h{number}-{leaf}", a=f"eth1@h{number}-{leaf}", b=port)


def many(vpcs: int) -> Intent:
    return intent.parse(documents(vpcs), Path())


def remote_routes(fabric: Fabric) -> int:
    """EVPN routes that leaf1 has of leaf2."""
    shown = frr.vtysh(fabric.node("leaf1"), "show bgp l2vpn evpn summary json")
    peers = json.loads(shown)["peers"].values()
    return max(int(peer["pfxRcd"]) for peer in peers)


def figures() -> Iterator[Figure]:
    wanted = many(VPCS)
    expected = matrix(wanted)
    began = monotonic()

    def say(text: str) -> None:
        print(f"{monotonic() - began:5.1f} s: {text}", file=sys.stderr)

    with running(wanted, say) as fabric:
        await_devices(fabric, LIMIT)
        held = monotonic() - began
        say("every device holds its configuration")
        left = flows.converge(expected, fabric, LIMIT, lambda left, total: None)
        took = monotonic() - began
        if left:
            raise SystemExit(f"{len(left)} flows are not answered after {LIMIT:g} s, such as {left[0]}")
        yield Figure(
            "leaf-1000-vpcs-up-to-all-flows",
            took,
            "s",
            note=f"{VPCS:,} VPCs on one leaf, {VPCS // SHARED} of them on another, {len(expected.flows)} flows; "
            f"configured after {held:.0f} s; {remote_routes(fabric)} EVPN routes of the other leaf; load "
            f"{os.getloadavg()[0]:.0f} at the end.",
        )
        yield Figure(
            "leaf-1000-vpcs-memory", memory_mib(processes(fabric)), "MiB", note="Of all processes of that lab (PSS)."
        )
