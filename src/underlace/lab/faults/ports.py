"""Faults of a switch port itself: shut, flapping, or of another MTU than the other end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

from underlace.lab.fabric import Fabric, wait_for
from underlace.lab.faults import where
from underlace.lab.faults.base import Agent, Fault, Kept, Parameter, Plan
from underlace.lab.process import spawn
from underlace.lab.state import start_time
from underlace.lab.topology import End, end

PORT = Parameter("PORT", "a switch port with a cable, as intent writes it: swp1@leaf1")


def _plan(text: str, other: End, **kept: object) -> Plan:
    device = end(text).node
    return Plan(text, {"port": text, "far": str(other), **kept}, (f"whether {text} is up",), (device,))


class Shut(Fault):
    name = "shut"
    parameters = (PORT,)
    summary = "A port is administratively down."
    shows = "The port is down by its own will, and the other end has no carrier; the sessions over it are down."
    agent = Agent.MENDS
    elsewhere = ("NIKA link_down", "NetOpsBench link_down", "NetArena disable_interface")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        _, far = where.cabled(fabric, words["PORT"])
        return _plan(words["PORT"], far)

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        _set(fabric, kept, "down")

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        _set(fabric, kept, "up")

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        near, far = where.port(fabric, kept["port"]), where.far_port(fabric, end(kept["far"]))
        if "UP" in near.link()["flags"] or far.up:
            return ""
        return f"{kept['port']} is administratively down, {kept['far']} has no carrier"


def _set(fabric: Fabric, kept: Kept, state: str) -> None:
    near = where.port(fabric, kept["port"])
    near.node.ip([f"link set {near.name} {state}"], near.where)


class Flap(Fault):
    name = "flap"
    parameters = (PORT, Parameter("SECONDS", "how long it stays down, and up", "1"))
    summary = "A port goes down and up, all the time."
    shows = "Carrier changes at both ends by the second; sessions over it come and go."
    agent = Agent.DISTURBS
    elsewhere = ("NIKA link_flap", "NetOpsBench link_flapping")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        _, far = where.cabled(fabric, words["PORT"])
        seconds = where.number(words, "SECONDS", 0.1, 3_600)
        return _plan(words["PORT"], far, seconds=seconds, changes=_changes(fabric, str(far)))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        near = where.port(fabric, kept["port"])
        program = [sys.executable, "-m", "underlace.lab.faults.inside", "flap", near.name, str(kept["seconds"])]
        log = fabric.state.directory / "logs" / "flap.log"
        pid = spawn(near.node.command(program, near.where), near.node.environment(), log)
        fabric.state.record(self.name, kept["port"], pid)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        process = fabric.state.running(self.name, kept["port"])
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
            wait_for(f"the flapping of {kept['port']} to end", lambda: start_time(process.pid) != process.start)
        _set(fabric, kept, "up")

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        changes = _changes(fabric, kept["far"]) - kept["changes"]
        if fabric.state.running(self.name, kept["port"]) is None or changes < 2:
            return ""
        return f"carrier of {kept['far']} has changed {changes} times since"


def _changes(fabric: Fabric, far: str) -> int:
    return int(where.far_port(fabric, end(far)).link()["stats64"]["tx"]["carrier_changes"])


class Mtu(Fault):
    name = "mtu"
    parameters = (PORT, Parameter("BYTES", "what it takes from now on", "1500"))
    summary = "A port takes smaller packets than the other end of its cable sends."
    shows = "Small packets pass, large ones are lost without a word; sessions stay up until they send much."
    agent = Agent.MENDS
    elsewhere = ("NIKA mtu_mismatch", "NetOpsBench mtu_mismatch")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        _, far = where.cabled(fabric, words["PORT"])
        before = where.port(fabric, words["PORT"]).link()["mtu"]
        least = int(where.number(words, "BYTES", 1_280, before - 1))
        kept = {"port": words["PORT"], "far": str(far), "before": before, "mtu": least}
        return Plan(words["PORT"], kept, (f"the MTU of {words['PORT']}",), (end(words["PORT"]).node,))

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        _set(fabric, kept, f"mtu {kept['mtu']}")

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        _set(fabric, kept, f"mtu {kept['before']}")

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        near, far = where.port(fabric, kept["port"]), where.far_port(fabric, end(kept["far"]))
        here, there = near.link()["mtu"], far.link()["mtu"]
        if here >= kept["before"] or not _swallowed(near, far, there):
            return ""
        return f"{kept['port']} takes {here} bytes, {kept['far']} sends {there}, and a packet of that size is lost"


def _swallowed(near: where.Port, far: where.Port, size: int) -> bool:
    """Whether the far end sends a packet that it may send, and the near end never gets it."""

    def dropped() -> int:
        return int(far.link()["stats64"]["tx"]["dropped"])

    before = dropped()
    far.node.run(
        [
            sys.executable,
            "-m",
            "underlace.lab.faults.inside",
            "frames",
            far.name,
            near.link()["address"],
            "5",
            str(size),
        ],
        far.where,
    )
    return dropped() - before >= 5


FAULTS = (Shut(), Flap(), Mtu())
