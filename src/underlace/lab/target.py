"""What `lab exec` is pointed at: a device, an upstream router, a host, or a VPC on a device."""

from __future__ import annotations

from collections.abc import Sequence

from underlace.lab.control import ControllerGone
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError, near
from underlace.lab.namespace import Namespace
from underlace.lab.place import command as lab_command

MANAGEMENT = "mgmt"
"""What is written for a VPC to mean a device's management namespace."""


def command(fabric: Fabric, target: str, argv: Sequence[str]) -> list[str]:
    """The argument list that runs a command at DEVICE, HOST or DEVICE/VPC. Raises LabError."""
    node, where = place(fabric, target, argv)
    return node.command(argv, where)


def place(fabric: Fabric, target: str, argv: Sequence[str] = ("CMD",)) -> tuple[Namespace, str]:
    """A node and the network namespace in it that DEVICE, HOST or DEVICE/VPC means. Raises LabError.

    argv: what is to be run there, for the remedy.
    """
    name, _, vpc = target.partition("/")
    node = fabric.node(name)
    return node, _vrf(fabric, node, vpc, argv) if vpc else ""


def _vrf(fabric: Fabric, node: Namespace, vpc: str, argv: Sequence[str]) -> str:
    """The VRF of a VPC on a node."""
    if node.name not in fabric.lab.switches:
        what = "a host" if node.name in fabric.lab.hosts else "no switch of the fabric"
        where = f"For a VPC name a switch ({', '.join(fabric.lab.switches)}); on {node.name} itself: "
        there = lab_command(fabric.state.directory, "exec", node.name, "--", *argv)
        raise LabError(f"{node.name} is {what}: it has no VPCs, only a switch has", where + there)
    if vpc == MANAGEMENT:
        return vpc
    held = _held(node)
    try:
        vrf = fabric.vrf(vpc)
    except ControllerGone as fault:
        if vpc in held:
            return vpc
        remedy = f"Name the VRF as the device does. {near(vpc, held)}" if held else "It has no VRF."
        raise LabError(
            f"which VRF of {node.name} is the VPC {vpc}, the controller knows alone: {fault}", remedy
        ) from None
    if vrf not in held:
        raise _elsewhere(fabric, node, vpc, vrf)
    return vrf


def _held(node: Namespace) -> set[str]:
    return {path.name for path in node.path("/run/netns").iterdir()}


def _elsewhere(fabric: Fabric, node: Namespace, vpc: str, vrf: str) -> LabError:
    others = [name for name in fabric.lab.switches if fabric.runs(name) and vrf in _held(fabric.node(name))]
    text = f"the VPC {vpc} is not on {node.name}: it has no gateway, session, peering or service there"
    return LabError(text, f"It is on: {', '.join(others)}." if others else "It is on no device: give it a V-Net.")
