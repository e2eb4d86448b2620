"""Faults of the overlay on one device: a VPC that imports nobody's routes, a VNI that is down."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from underlace.lab import frr, target
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError, near
from underlace.lab.faults import routing, where
from underlace.lab.faults.base import Agent, Fault, Kept, Parameter, Plan
from underlace.lab.namespace import Namespace

_NOBODY_S = 16_777_215
"""A VNI beyond those that Underlace gives out."""


class WrongRt(Fault):
    name = "wrong-rt"
    parameters = (Parameter("DEVICE/VPC", "a VPC on a switch: leaf2/acme/red"),)
    summary = "A VPC on one switch imports a route target that nobody exports."
    shows = "All sessions are up; from this switch the VPC has no way to its other subnets. No counter moves."
    agent = Agent.MENDS
    elsewhere = ("NetOpsBench route_policy_misconfig",)

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        text = words["DEVICE/VPC"]
        node, vrf = target.place(fabric, text)
        if not vrf:
            raise LabError(f"{text} is no VPC on a switch", "Write it as leaf2/acme/red.")
        begun = routing.instance(node, vrf)
        targets = re.findall(r"^  route-target import (\S+)$", routing.block(node, vrf), re.MULTILINE)
        if not targets:
            raise LabError(f"{text} imports no route target")
        wrong = f"{targets[0].partition(':')[0]}:{_NOBODY_S}"
        kept = {"node": node.name, "vrf": vrf, "instance": begun, "targets": targets, "wrong": wrong}
        return Plan(text, kept, (f"what {text} imports",), (node.name,))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self._swap(fabric, kept, kept["targets"], [kept["wrong"]])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        self._swap(fabric, kept, [kept["wrong"]], kept["targets"])

    def _swap(self, fabric: Fabric, kept: Kept, old: list[str], new: list[str]) -> None:
        node = fabric.node(kept["node"])
        there = {line.split()[-1] for line in routing.running(node) if line.startswith("  route-target import ")}
        lines = [f"route-target import {one}" for one in new]
        lines += [f"no route-target import {one}" for one in old if one in there]
        routing.configure(node, kept["instance"], "address-family l2vpn evpn", *lines)

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        node = fabric.node(kept["node"])
        routes = json.loads(frr.vtysh(node, f"show ip route vrf {kept['vrf']} bgp json") or "{}")
        if f"  route-target import {kept['wrong']}" not in routing.running(node) or routes:
            return ""
        return f"{node.name} imports {kept['wrong']} into {kept['vrf']}, and has no route of another switch there"


class MissingVni(Fault):
    name = "missing-vni"
    parameters = (Parameter("DEVICE", "a switch"), Parameter("VNI", "of a V-Net or a VPC there"))
    summary = "A VNI is down on one switch."
    shows = "The switch is no member of the VNI any more: hosts of that V-Net behind it hear nobody elsewhere."
    agent = Agent.MENDS
    elsewhere = ()

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        name = where.device(fabric, words["DEVICE"])
        node = fabric.node(name)
        held = {f"{link['linkinfo']['info_data']['id']}": (vrf, link["ifname"]) for vrf, link in _vxlans(node)}
        if words["VNI"] not in held:
            raise LabError(f"{name} has no VNI {words['VNI']}", near(words["VNI"], held))
        vrf, link = held[words["VNI"]]
        kept = {"node": name, "vrf": vrf, "link": link, "vni": int(words["VNI"])}
        return Plan(f"{name},{words['VNI']}", kept, (f"VNI {words['VNI']} of {name}",), (name,))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        fabric.node(kept["node"]).ip([f"link set {kept['link']} down"], kept["vrf"])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        fabric.node(kept["node"]).ip([f"link set {kept['link']} up"], kept["vrf"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        node = fabric.node(kept["node"])
        up = any("UP" in link["flags"] for vrf, link in _vxlans(node) if link["ifname"] == kept["link"])
        known = json.loads(frr.vtysh(node, "show evpn vni json") or "{}")
        if up or (str(kept["vni"]) in known and known[str(kept["vni"])].get("numRemoteVteps")):
            return ""
        return f"{kept['link']} of {node.name} is down, and no other switch belongs to VNI {kept['vni']} there"


def _vxlans(node: Namespace) -> list[tuple[str, dict[str, Any]]]:
    return [
        (place, link)
        for place in where.places(node)
        for link in json.loads(node.run(["ip", "-json", "-details", "link", "show", "type", "vxlan"], place) or "[]")
    ]


FAULTS = (WrongRt(), MissingVni())
