"""What of a lab lives: every part by itself, so that one that is gone hides no other."""

from __future__ import annotations

from typing import Any

from underlace.lab import agents, control, frr, holder
from underlace.lab.fabric import Fabric

Row = dict[str, str]

GONE = "gone"
UNREPORTED = "not reported"
"""Of a device, when there is no controller to ask."""


def rows(fabric: Fabric) -> list[Row]:
    """A row per process that matters: node, role, state."""
    state, known = _controller(fabric)
    found = [_row("-", control.ROLE, state)]
    for role in (holder.ROLE, agents.ROLE):
        found.append(_row("-", role, "running" if fabric.state.running(role) else GONE))
    found += [_row(name, "device", _device(fabric, name, known)) for name in fabric.lab.switches]
    for role, names in (("router", fabric.lab.routers), ("host", fabric.lab.hosts)):
        found += [_row(name, role, "running" if fabric.runs(name) else GONE) for name in names]
    return found


def _row(node: str, role: str, state: str) -> Row:
    return {"node": node, "role": role, "state": state}


def _controller(fabric: Fabric) -> tuple[str, dict[str, Any]]:
    """Its state, and what it says of each device."""
    if fabric.state.running(control.ROLE) is None:
        return GONE, {}
    try:
        fabric.answering()
        return "running", {d["name"]: d for d in fabric.api.get("/v1/devices")["items"]}
    except control.ControllerGone:
        return "does not answer", {}


def _device(fabric: Fabric, name: str, known: dict[str, Any]) -> str:
    if not fabric.runs(name):
        return GONE
    running = frr.pids(fabric.node(name).path(frr.RUN))
    words = [f"no {daemon}" for daemon in frr.DEVICE_DAEMONS if daemon not in running]
    words += [] if fabric.agent(name) else ["no agent"]
    told = known.get(name)
    if told is None:
        return ", ".join([*(words or ["running"]), UNREPORTED])
    return ", ".join([*words, str(told["state"])])
