"""Faults of the management side: agents, the controller, and the way between them. Nothing on the wire may notice."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping

from underlace.lab import control, frr
from underlace.lab.fabric import Fabric
from underlace.lab.faults import where
from underlace.lab.faults.base import Agent, Fault, Kept, Parameter, Plan, agent_of
from underlace.lab.target import MANAGEMENT
from underlace.lab.wiring import CONTROLLER_ADDRESS

_DEVICE = (Parameter("DEVICE", "a switch"),)
_TABLE = "foreign_management"
_DROP = f"""table inet {_TABLE} {{
  chain output {{ type filter hook output priority -10; policy accept; tcp dport {control.AGENT_PORT} drop; }}
}}
"""
_CONTROLLER = "the controller"


class KilledAgent(Fault):
    name = "killed-agent"
    parameters = _DEVICE
    summary = "The agent of a device was killed, and nobody starts it again."
    shows = "The network goes on. The controller shows the device as silent after a while; changes wait for it."
    agent = Agent.GONE

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        device = where.device(fabric, words["DEVICE"])
        return Plan(device, {"node": device}, (agent_of(device),))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        fabric.stop_agents([kept["node"]], signal.SIGKILL)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        if not fabric.agent(kept["node"]):
            fabric.start_agents([kept["node"]])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        return "" if fabric.agent(kept["node"]) else f"{kept['node']} has no agent"


class KilledController(Fault):
    name = "killed-controller"
    parameters = ()
    summary = "The controller was killed."
    shows = "The network goes on. Nobody answers at the API; agents hold what they have and ask again."
    elsewhere = ("NIKA sdn_controller_crash",)

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        return Plan("", {}, (_CONTROLLER,))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        control.stop(fabric.state, signal.SIGKILL)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        if fabric.state.running(control.ROLE) is None:
            fabric.start_controller()

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        return "" if fabric.state.running(control.ROLE) else "the controller does not run"


class BlockedController(Fault):
    name = "blocked-controller"
    parameters = _DEVICE
    summary = "A device reaches its controller no more: something in its management network drops the packets."
    shows = "The network goes on. Connections of the agent time out; the controller shows the device as silent."
    elsewhere = ("NIKA southbound_port_block",)

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        device = where.device(fabric, words["DEVICE"])
        return Plan(device, {"node": device}, (f"the way of {device} to the controller",))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        fabric.node(kept["node"]).run(["nft", "-f", "-"], MANAGEMENT, stdin=_DROP)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        fabric.node(kept["node"]).run(["nft", "delete", "table", "inet", _TABLE], MANAGEMENT, check=False)

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        words = ["connect", CONTROLLER_ADDRESS, str(control.AGENT_PORT), "0.5"]
        said = fabric.node(kept["node"]).run(
            [sys.executable, "-m", "underlace.lab.faults.inside", *words], MANAGEMENT
        )
        way = f"{kept['node']} to {CONTROLLER_ADDRESS} port {control.AGENT_PORT}"
        return f"{way}: {said.strip()}" if said.strip() == "timed out" else ""


class PowerOff(Fault):
    name = "power-off"
    parameters = _DEVICE
    summary = "A device has lost its power."
    shows = "Nothing on it answers, and no port at the other end of its cables has carrier."
    agent = Agent.GONE
    elsewhere = ("NetOpsBench device_down",)
    patience = 60.0

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        device = where.device(fabric, words["DEVICE"])
        return Plan(device, {"node": device}, (agent_of(device),))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        fabric.unplug(kept["node"])

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        if self.proof(fabric, kept):
            fabric.boot(kept["node"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        device = kept["node"]
        cabled = [(a, b) for cable in fabric.lab.cables for a, b in (cable, (cable.b, cable.a)) if a.node == device]
        if fabric.agent(device) or frr.pids(fabric.node(device).path(frr.RUN)):
            return ""
        if any(where.far_port(fabric, far).up for _, far in cabled):
            return ""
        return f"nothing runs on {kept['node']}, and its ports are dead"


FAULTS = (PowerOff(), KilledAgent(), KilledController(), BlockedController())
