"""Where a fault is put to: ports and devices of a lab, by the words of a command."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from underlace.lab.fabric import Fabric
from underlace.lab.fault import LabError, near
from underlace.lab.namespace import Namespace
from underlace.lab.topology import End, end
from underlace.model.diagnostic import shortened


class Port(NamedTuple):
    """A port of a switch. where: the network namespace of the device that it is in."""

    node: Namespace
    where: str
    name: str

    def link(self) -> dict[str, Any]:
        """What `ip` says of it."""
        said = self.node.run(["ip", "-json", "-stats", "-stats", "link", "show", "dev", self.name], self.where)
        return dict(json.loads(said)[0])

    @property
    def up(self) -> bool:
        """Whether it has carrier."""
        return "LOWER_UP" in self.link()["flags"]


def device(fabric: Fabric, name: str) -> str:
    """A switch of the lab, by its name. Raises LabError."""
    if name not in fabric.lab.switches:
        raise LabError(f"{shortened(name)} is no switch of this lab", near(name, fabric.lab.switches))
    return name


def places(node: Namespace) -> Iterator[str]:
    """The network namespaces of a switch that hold ports: the underlay's, and its VRFs."""
    yield ""
    yield from sorted(path.name for path in node.path("/run/netns").iterdir())


def cabled(fabric: Fabric, text: str) -> tuple[End, End]:
    """A switch port with a cable, as intent writes it (`swp1@leaf1`), and the other end. Raises LabError."""
    here = end(text)
    for cable in fabric.lab.cables:
        for near_end, far_end in (cable, (cable.b, cable.a)):
            if near_end == here and here.node in fabric.lab.switches:
                return here, far_end
    known = sorted(str(e) for cable in fabric.lab.cables for e in cable if e.node in fabric.lab.switches)
    raise LabError(f"{shortened(text)} is no switch port with a cable", near(text, known))


def port(fabric: Fabric, text: str) -> Port:
    """Where a switch port is now. Raises LabError."""
    here = end(text)
    node = fabric.node(device(fabric, here.node))
    for where in places(node):
        if here.port in {link["ifname"] for link in json.loads(node.run(["ip", "-json", "link", "show"], where))}:
            return Port(node, where, here.port)
    raise LabError(f"{text} is not there", "A fault with its cable may have taken it away; see what is broken.")


def far_port(fabric: Fabric, far: End) -> Port:
    """The other end of a cable, wherever it is."""
    if far.node in fabric.lab.switches:
        return port(fabric, str(far))
    return Port(fabric.node(far.node), "", far.port)


def number(words: Mapping[str, str], name: str, least: float, most: float) -> float:
    """A word that is a number. Raises LabError."""
    try:
        value = float(words[name])
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise LabError(f"{name} is {shortened(words[name])}", f"Give a number from {least:g} to {most:g}.")
    return value
