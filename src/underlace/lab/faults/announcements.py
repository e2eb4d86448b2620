"""What is announced and should not be, or is not and should."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network

from underlace.lab import target
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import routing, where
from underlace.lab.faults.base import Agent, Fault, Kept, Parameter, Plan
from underlace.model.diagnostic import shortened


def network(text: str) -> str:
    """A prefix as FRR and the kernel write it. Raises LabError."""
    try:
        return str(ip_network(text))
    except ValueError as fault:
        raise LabError(f"{shortened(text)} is no prefix: {fault}", "Write it as 10.1.2.0/24.") from None


class Hijack(Fault):
    name = "hijack"
    parameters = (
        Parameter("SPEAKER", "who announces it: a switch, VPC of a switch (leaf3/acme/red), or upstream router"),
        Parameter("PREFIX", "what belongs to somebody else"),
    )
    summary = "A router announces a prefix that belongs to somebody else."
    shows = "The prefix comes from one more AS, or from another; what is sent to it may end at the hijacker."
    agent = Agent.MENDS
    elsewhere = ("NIKA bgp_hijacking", "NetOps more-specific hijack")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        node, vrf = target.place(fabric, words["SPEAKER"])
        if node.name not in (*fabric.lab.switches, *fabric.lab.routers):
            raise LabError(f"{node.name} speaks no BGP", "Name a switch, a VPC of a switch, or an upstream router.")
        prefix, begun = network(words["PREFIX"]), routing.instance(node, vrf)
        kept = {"node": node.name, "vrf": vrf, "instance": begun, "prefix": prefix}
        if f"  network {prefix}" in routing.running(node) or self.proof(fabric, kept):
            raise LabError(f"{words['SPEAKER']} announces {prefix} as it is", "Name a prefix of somebody else.")
        agent = (node.name,) if node.name in fabric.lab.switches else ()
        title = f"{words['SPEAKER']},{prefix}"
        return Plan(title, kept, (f"what {words['SPEAKER']} announces of {prefix}",), agent)

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        routing.configure(
            fabric.node(kept["node"]),
            kept["instance"],
            "no bgp network import-check",
            f"address-family {routing.family(kept['prefix'])} unicast",
            f"network {kept['prefix']}",
        )

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        node = fabric.node(kept["node"])
        family = f"address-family {routing.family(kept['prefix'])} unicast"
        if f"  network {kept['prefix']}" in routing.running(node):
            routing.configure(node, kept["instance"], family, f"no network {kept['prefix']}")
        if kept["node"] in fabric.lab.switches:
            routing.configure(node, kept["instance"], "bgp network import-check")

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        asn = routing.asn(kept["instance"])
        for other in fabric.lab.switches:
            if other == kept["node"]:
                continue
            node = fabric.node(other)
            for vrf in where.places(node):
                same = vrf == kept["vrf"] or kept["node"] in fabric.lab.routers
                if same and asn in (heard := routing.origins(node, vrf, kept["prefix"])):
                    known = ", ".join(f"AS {one}" for one in sorted(heard))
                    return f"{other} has {kept['prefix']} from {kept['node']} (AS {asn}); it comes from {known}"
        return ""


class MissingAdvertisement(Fault):
    name = "missing-advertisement"
    parameters = (Parameter("DEVICE", "a switch"),)
    summary = "A switch announces its loopback no more."
    shows = "All sessions are up; nobody has a route to its VTEP, and all that is behind it is out of reach."
    agent = Agent.MENDS
    elsewhere = ("NIKA bgp_missing_route_advertisement", "NetOpsBench route_policy_misconfig")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        name = where.device(fabric, words["DEVICE"])
        node = fabric.node(name)
        prefixes = re.findall(r"^  network (\S+)$", routing.block(node, ""), re.MULTILINE)
        if not prefixes:
            raise LabError(f"{name} announces no loopback")
        kept = {"node": name, "instance": routing.instance(node, ""), "prefixes": prefixes}
        return Plan(name, kept, (f"what {name} announces",), (name,))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self._each(fabric, kept, "no network")

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        self._each(fabric, kept, "network")

    def _each(self, fabric: Fabric, kept: Kept, verb: str) -> None:
        for prefix in kept["prefixes"]:
            family = f"address-family {routing.family(prefix)} unicast"
            routing.configure(fabric.node(kept["node"]), kept["instance"], family, f"{verb} {prefix}")

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        others = [fabric.node(name) for name in fabric.lab.switches if name != kept["node"]]
        for prefix in kept["prefixes"]:
            if any(routing.origins(node, "", prefix) for node in others):
                return ""
        return f"no other switch has a route to {', '.join(kept['prefixes'])}"


FAULTS = (Hijack(), MissingAdvertisement())
