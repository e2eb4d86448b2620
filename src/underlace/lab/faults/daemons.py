"""Daemons of FRR that are dead, or alive and silent."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from underlace.lab import frr
from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError, near
from underlace.lab.faults import where
from underlace.lab.faults.base import Fault, Kept, Parameter, Plan
from underlace.lab.namespace import Namespace

_DAEMONS = ("bgpd", "bfdd", "staticd")
"""zebra is none of them: without it FRR as a whole has to be started anew, and its namespaces with it."""

_PARAMETERS = (
    Parameter("DEVICE", "a switch"),
    Parameter("DAEMON", f"one of {', '.join(_DAEMONS)}", _DAEMONS[0]),
)


def _plan(fabric: Fabric, words: Mapping[str, str]) -> Plan:
    device, daemon = where.device(fabric, words["DEVICE"]), words["DAEMON"]
    if daemon not in _DAEMONS:
        raise LabError(f"{daemon} is no daemon that can be stopped here", near(daemon, _DAEMONS))
    if daemon not in _running(fabric.node(device)):
        raise LabError(f"{daemon} of {device} does not run")
    return Plan(f"{device},{daemon}", {"node": device, "daemon": daemon}, (f"{daemon} of {device}",))


def _running(node: Namespace) -> dict[str, int]:
    return frr.pids(node.path(frr.RUN))


class StoppedDaemon(Fault):
    name = "stopped-daemon"
    parameters = _PARAMETERS
    summary = "A daemon of FRR has died, and nobody starts it again."
    shows = "bgpd: its neighbours end their sessions at once, the switch keeps forwarding until they have. bfdd: the "
    shows += "sessions that it watched end. The agent says that it cannot read or bring what it should hold."
    elsewhere = ("NIKA frr_service_down", "NetOpsBench device_down")

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        return _plan(fabric, words)

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        run = fabric.node(kept["node"]).path(frr.RUN)
        frr.stop(run, [kept["daemon"]], signal.SIGKILL)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        node = fabric.node(kept["node"])
        if kept["daemon"] not in _running(node):
            frr.start_again(node, kept["daemon"])

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        there = _running(fabric.node(kept["node"]))
        if kept["daemon"] in there:
            return ""
        return f"{kept['daemon']} of {kept['node']} is dead; there are {', '.join(there) or 'no others'}"


class HungDaemon(Fault):
    name = "hung-daemon"
    parameters = _PARAMETERS
    summary = "A daemon of FRR hangs: it is there, and does nothing."
    shows = "Whoever asks it waits. bgpd: sessions last until their hold timers end, with BFD up all the while."
    elsewhere = ()

    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        plan = _plan(fabric, words)
        return plan._replace(kept={**plan.kept, "pid": _running(fabric.node(plan.kept["node"]))[plan.kept["daemon"]]})

    def inject(self, fabric: Fabric, kept: Kept) -> None:
        self._tell(fabric, kept, signal.SIGSTOP)

    def undo(self, fabric: Fabric, kept: Kept) -> None:
        self._tell(fabric, kept, signal.SIGCONT)

    def _tell(self, fabric: Fabric, kept: Kept, number: signal.Signals) -> None:
        if _running(fabric.node(kept["node"])).get(kept["daemon"]) == kept["pid"]:
            os.kill(kept["pid"], number)

    def proof(self, fabric: Fabric, kept: Kept) -> str:
        if _running(fabric.node(kept["node"])).get(kept["daemon"]) != kept["pid"] or not _stopped(kept["pid"]):
            return ""
        return f"{kept['daemon']} of {kept['node']} (pid {kept['pid']}) is there and does nothing"


def _stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return False


FAULTS = (StoppedDaemon(), HungDaemon())
