"""Faults of a single BGP session, made at one of its ends."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from underlace.lab import frr
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError
from underlace.lab.faults import routing, where
from underlace.lab.faults.base import Agent, Fault, Kept, Parameter, Plan
from underlace.lab.namespace import Namespace
from underlace.lab.topology import end

PORT = Parameter("PORT", "a switch port with a BGP session, as intent writes it: swp1@leaf1")
_WRONG_AS = "4209999999"
"""The last of the pool that Underlace gives out: no lab is so large."""

_PASSWORD = "not-the-one-that-they-agreed-on"  # noqa: S105  it opens nothing


class OfSession(Fault):
    """One end of a session is told something else."""

    parameters = (PORT,)
    agent = Agent.MENDS

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        text = words["PORT"]
        session = routing.session_of(fabric, text)
        kept = {"port": text, "far": str(where.cabled(fabric, text)[1]), "session": list(session)}
        return Plan(text, kept, (f"the BGP session over {text}",), (end(text).node,))

    @abstractmethod
    def lines(self, session: routing.Session) -> tuple[str, str]:
        """What is configured, and what puts it back."""

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        session = routing.Session(*kept["session"])
        routing.configure(self._node(fabric, kept), session.instance, self.lines(session)[0])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        session = routing.Session(*kept["session"])
        routing.configure(self._node(fabric, kept), session.instance, self.lines(session)[1])
        self._hurry(fabric, kept)

    def _hurry(self, fabric: Fabric, kept: Kept) -> None:
        """After each failure the other end waits longer before it tries again, up to a minute: it begins anew."""
        far = kept["far"]
        if end(far).node in fabric.lab.switches:
            with suppress(LabError):
                other = routing.session_of(fabric, far)
                vrf = f"vrf {other.vrf} " if other.vrf else ""
                frr.vtysh(fabric.node(end(far).node), f"clear bgp {vrf}{other.neighbour}")

    @abstractmethod
    def why(self, fabric: Fabric, kept: Kept, told: Mapping[str, Any]) -> str:
        """What says that the session is down for this very reason; "" when nothing does. told: `routing.state`."""

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        node, session = self._node(fabric, kept), routing.Session(*kept["session"])
        told = routing.state(node, session)
        configured = self.lines(session)[0] in map(str.strip, routing.running(node))
        if told.get("bgpState", "Established") == "Established" or not configured:
            return ""
        why = self.why(fabric, kept, told)
        return f"the session of {node.name} with {session.neighbour} is {told['bgpState']}: {why}" if why else ""

    def _node(self, fabric: Fabric, kept: Kept) -> Namespace:
        return fabric.node(end(kept["port"]).node)


class WrongAs(OfSession):
    name = "wrong-as"
    summary = "One end of a BGP session expects another AS than its neighbour has."
    shows = "The session does not come up: OPEN Message Error, Bad Peer AS. The link is fine."
    elsewhere = ("NIKA bgp_asn_misconfig", "NetOpsBench bgp_neighbor_misconfig (peer_as_mismatch)")

    def lines(self, session: routing.Session) -> tuple[str, str]:
        return re.sub(r"remote-as \S+", f"remote-as {_WRONG_AS}", session.line), session.line

    def why(self, fabric: Fabric, kept: Kept, told: Mapping[str, Any]) -> str:
        said = str(told.get("lastNotificationReason", ""))
        return said if "Bad Peer AS" in said else ""


class BgpShutdown(OfSession):
    name = "bgp-shutdown"
    summary = "A BGP session is administratively shut at one end."
    shows = "The session is Idle (Admin) there; its neighbour was told Administrative Shutdown."
    elsewhere = ("NetOps BGP session kill",)

    def lines(self, session: routing.Session) -> tuple[str, str]:
        return f"neighbor {session.neighbour} shutdown", f"no neighbor {session.neighbour} shutdown"

    def why(self, fabric: Fabric, kept: Kept, told: Mapping[str, Any]) -> str:
        return "it is administratively shut" if told.get("adminShutDown") else ""


class WrongPassword(OfSession):
    name = "wrong-password"
    summary = "One end of a BGP session wants a password that the other end does not have."
    shows = "The session times out; TCP segments are dropped for their signature. The link and BFD are fine."
    elsewhere = ("NetOpsBench bgp_neighbor_misconfig (bad password)",)

    def lines(self, session: routing.Session) -> tuple[str, str]:
        return f"neighbor {session.neighbour} password {_PASSWORD}", f"no neighbor {session.neighbour} password"

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        plan = super().plan(fabric, words)
        return plan._replace(kept={**plan.kept, "unsigned": self._unsigned(fabric, plan.kept)})

    def why(self, fabric: Fabric, kept: Kept, told: Mapping[str, Any]) -> str:
        dropped = self._unsigned(fabric, kept) - kept["unsigned"]
        return f"{dropped} TCP segments without its signature were dropped" if dropped else ""

    def _unsigned(self, fabric: Fabric, kept: Kept) -> int:
        """TCP segments that a device has dropped for want of a signature."""
        near = where.port(fabric, kept["port"])
        lines = near.node.run(["cat", "/proc/net/netstat"], near.where).splitlines()
        names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
        return int(dict(zip(names, values, strict=True)).get("TCPMD5NotFound", "0"))


FAULTS = (WrongAs(), BgpShutdown(), WrongPassword())
