"""How often an agent looks for drift. One that holds a fault does all else as ever: answers, reports, applies.

An agent that is stopped would be a second fault; one that is told to look next year is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from underlace.agent.config import AgentConfig
from underlace.lab import agents
from underlace.lab.fabric import Fabric, wait_for

_NEVER = 365 * 86_400.0
_USUAL: float = next(f.default for f in msgspec.structs.fields(AgentConfig) if f.name == "read_interval")
_RECOVERED = '"event":"recovered"'


def _settings(fabric: Fabric, device: str) -> dict[str, Any]:
    return dict(json.loads(agents.config_path(fabric.state.directory, device).read_text()))


def interval(fabric: Fabric, device: str) -> float:
    """Seconds between two looks of a device's agent."""
    return float(_settings(fabric, device).get("read_interval", _USUAL))


def held(fabric: Fabric, device: str) -> bool:
    """Whether a device's agent leaves alone what drifts."""
    return interval(fabric, device) == _NEVER


def hold(fabric: Fabric, device: str) -> None:
    """Have the agent of a device leave alone what drifts from now on."""
    set_interval(fabric, device, _NEVER)


def release(fabric: Fabric, device: str) -> None:
    """Have it look again. It starts anew, and puts back at once what has drifted meanwhile."""
    set_interval(fabric, device, None)


def set_interval(fabric: Fabric, device: str, seconds: float | None) -> None:
    """Have a device's agent look every so often; None: as often as ever."""
    file = agents.config_path(fabric.state.directory, device)
    settings = _settings(fabric, device)
    settings.pop("read_interval", None)
    if seconds is not None:
        settings["read_interval"] = seconds
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps(settings, indent=1))
    whole.replace(file)
    if fabric.agent(device):
        restart(fabric, device)


def restart(fabric: Fabric, device: str) -> None:
    """Restart an agent, and wait until it has looked at its device and put back what it should hold."""
    with away(fabric, [device]):
        pass


@contextmanager
def away(fabric: Fabric, devices: Iterable[str]) -> Iterator[None]:
    """Without the agents that these devices have. They come back, and put back what the devices should hold."""
    running = [device for device in devices if fabric.agent(device)]
    seen = {device: _recoveries(fabric, device) for device in running}
    fabric.stop_agents(running)
    try:
        yield
    finally:
        fabric.start_agents(running)
    for device in running:
        wait_for(f"the agent of {device} to have looked", _later(fabric, device, seen[device]))


def _recoveries(fabric: Fabric, device: str) -> int:
    return agents.log_path(fabric.state.directory, device).read_text().count(_RECOVERED)


def _later(fabric: Fabric, device: str, seen: int) -> Callable[[], bool]:
    return lambda: _recoveries(fabric, device) > seen
