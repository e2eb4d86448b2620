"""Cables that are where they should not be, or nowhere: the devices are configured as ever.

A cable of a lab is a pair of links, and whoever pulls it has to move one of them, which takes its configuration with
it. So the agents of these devices start anew and configure their ports, as they do when one is plugged in.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from typing import ClassVar

from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import pace, where
from underlace.lab.faults.base import Fault, Kept, Parameter, Plan, agent_of
from underlace.lab.faults.ports import PORT
from underlace.lab.topology import UNDERLAY_MTU, end

_FRAMES = 500
"""More than a port of a lab hears otherwise in the moment that sending them takes."""


class OfCable(Fault):
    """ports: the words that are ports. What happens to their plugs happens while no agent looks."""

    ports: ClassVar[tuple[str, ...]] = ("PORT",)

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        near = [words[name] for name in self.ports]
        if len(set(near)) < len(near):
            raise LabError(f"{near[0]} cannot be exchanged with itself", "Name two ports.")
        far = [str(where.cabled(fabric, text)[1]) for text in near]
        devices = dict.fromkeys(end(text).node for text in near)
        claims = (*map(agent_of, devices), *(f"the cable of {text}" for text in (*near, *far)))
        return Plan(",".join(near), {"ports": near, "far": far, "devices": list(devices)}, claims)


class SwappedCables(OfCable):
    name = "swapped-cables"
    ports = ("PORT", "OTHER")
    parameters = (PORT, Parameter("OTHER", "another one, of this switch or of another"))
    summary = "The cables of two ports are swapped: each is plugged in where the other one belongs."
    shows = (
        "Both ports have carrier. A neighbour is not the one that intent says; unnumbered sessions come up all the "
    )
    shows += "same between fabric ports, hosts find themselves in somebody else's V-Net or in none."

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        if not self.proof(fabric, kept):
            self._exchange(fabric, kept)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        if self.proof(fabric, kept):
            self._exchange(fabric, kept)

    def _exchange(self, fabric: Fabric, kept: Kept) -> None:
        void = fabric.void()
        with pace.away(fabric, kept["devices"]):
            one, other = (where.port(fabric, text) for text in kept["ports"])
            addresses = [port.link()["address"] for port in (one, other)]
            for port, name in ((one, "swap0"), (other, "swap1")):
                port.node.ip([f"link set {port.name} down nomaster"], port.where)
                port.node.ip([f"link set {port.name} name {name} netns {void.net()}"], port.where)
            for port, name, address in ((one, "swap1", addresses[0]), (other, "swap0", addresses[1])):
                void.ip([f"link set {name} address {address}"])
                void.ip([f"link set {name} name {port.name} netns {port.node.net(port.where)}"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        one = where.port(fabric, kept["ports"][0])
        right, wrong = (where.far_port(fabric, end(text)) for text in kept["far"])
        if not one.up or not _hears(one, wrong) or _hears(one, right):
            return ""
        return f"what {kept['ports'][0]} sends arrives at {kept['far'][1]}, not at {kept['far'][0]}"


def _hears(sender: where.Port, receiver: where.Port) -> bool:
    """Whether what a port sends arrives at another one."""

    def received() -> int:
        return int(receiver.link()["stats64"]["rx"]["packets"])

    before = received()
    words = ["frames", sender.name, receiver.link()["address"], str(_FRAMES)]
    sender.node.run([sys.executable, "-m", "underlace.lab.faults.inside", *words], sender.where)
    return received() - before >= _FRAMES


class CarrierLoss(OfCable):
    name = "carrier-loss"
    parameters = (PORT,)
    summary = "A cable is cut, or pulled out."
    shows = "Neither end has carrier, and nobody has shut it."
    elsewhere = ("NIKA link_down", "NIKA link_detach")

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        void, plug, stub = fabric.void(), _aside(kept), f"{_aside(kept)}s"
        with pace.away(fabric, kept["devices"]):
            port = where.port(fabric, kept["ports"][0])
            address, net = port.link()["address"], port.node.net(port.where)
            port.node.ip([f"link set {port.name} down nomaster"], port.where)
            port.node.ip([f"link set {port.name} name {plug} netns {void.net()}"], port.where)
            ends = f"link add {port.name} mtu {UNDERLAY_MTU} address {address} netns {net} type veth peer name {stub}"
            void.ip([f"{ends} mtu {UNDERLAY_MTU}"])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        void, plug, stub = fabric.void(), _aside(kept), f"{_aside(kept)}s"
        if plug not in void.run(["ip", "-brief", "link", "show"]):
            return
        with pace.away(fabric, kept["devices"]):
            port = where.port(fabric, kept["ports"][0])
            net = port.node.net(port.where)
            void.ip([f"link delete {stub}", f"link set {plug} name {port.name} netns {net}"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        near, far = where.port(fabric, kept["ports"][0]), where.far_port(fabric, end(kept["far"][0]))
        flags = [port.link()["flags"] for port in (near, far)]
        if any("LOWER_UP" in one or "UP" not in one for one in flags):
            return ""
        return f"{kept['ports'][0]} and {kept['far'][0]} are enabled, and have no carrier"


def _aside(kept: Kept) -> str:
    """What the plug is called that is in no port."""
    return f"cut{zlib.crc32(kept['ports'][0].encode()):x}"


FAULTS = (SwappedCables(), CarrierLoss())
