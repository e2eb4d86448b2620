"""What the probes that send packets have in common: steps that are no programs, and their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from underlace.drivers.linux.probes import arguments
from underlace.drivers.linux.probes.base import Arguments, Said, Step
from underlace.model.question import Row

ECHO, PATH_MTU, CONNECT = "icmp-echo", "path-mtu", "tcp-connect"
"""Steps: an address, and JSON of the rest."""


def step(word: str, asked: Arguments, **rest: Any) -> Step:
    """A step to the address `to`, in the VPC or the underlay."""
    return Step((word, str(arguments.address(asked, "to")), json.dumps(rest)), arguments.netns(asked))


def told(said: Sequence[Said]) -> Any:
    """What came of it."""
    return json.loads(said[0].output)


def place(asked: Arguments) -> Row:
    """The first fields of every such row."""
    return {"vrf": arguments.vrf(asked) or arguments.DEFAULT, "to": str(arguments.address(asked, "to"))}


def milliseconds(one: dict[str, Any]) -> float:
    return round(float(one.get("ms", 0.0)), 3)
