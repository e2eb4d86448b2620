"""Ports as text, `PORT@DEVICE`: which exist, and what may share one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from underlace.model.ids import Ref, fabric
from underlace.model.resource import Claim, Reference

MANAGEMENT = "mgmt0"
"""The port of every switch towards the out-of-band network. Agents live behind it; it is never configured."""

_LAG = re.compile(r"bond[1-9][0-9]{0,3}")

_UNTAGGED = "0000"
_LAST = "4095"


def split(text: str) -> tuple[str, str]:
    """("swp5", "leaf1") of "swp5@leaf1"."""
    port, _, device = text.partition("@")
    return port, device


def front_ports(count: int) -> list[str]:
    """The front-panel ports of a switch that has `count` of them."""
    return [f"swp{n}" for n in range(1, count + 1)]


def is_front_port(port: str, count: int) -> bool:
    number = port[3:]
    return (
        port.startswith("swp") and number.isascii() and number.isdigit() and number[0] != "0" and int(number) <= count
    )


def is_lag(port: str) -> bool:
    """Whether a port is a link aggregation group, which a `lag` makes of front-panel ports."""
    return _LAG.fullmatch(port) is not None


def member_references(port: str, pointer: str) -> list[Reference]:
    """What a V-Net's port stands for beside its switch: a lag, which must be there, or what describes the port."""
    lag = is_lag(split(port)[0])
    return [Reference(fabric("lag" if lag else "port", port), pointer, soft=not lag)]


def port_references(port: str, pointer: str) -> list[Reference]:
    """A port stands for its switch, and for the `port` resource that may describe it."""
    return [
        Reference(fabric("switch", split(port)[1]), pointer),
        Reference(fabric("port", port), pointer, soft=True),
    ]


def end_references(port: str, pointer: str) -> list[Reference]:
    """An end of a cable: on a switch or on a server. The rule that one of them exists is the link's."""
    device = split(port)[1]
    kinds = (("switch", device), ("server", device), ("port", port))
    return [Reference(fabric(kind, name), pointer, soft=True) for kind, name in kinds]


def device_claim(ref: Ref) -> Claim:
    """Switches and servers share one name space."""
    return Claim("device", ref.name, ref.name, "/name", f"the device name {ref.name}")


def cable_claim(port: str, pointer: str) -> Claim:
    return Claim("cable", port, port, pointer, f"the cable of port {port}")


def whole_claim(port: str, pointer: str) -> Claim:
    """The port for one purpose only: a fabric link, or a routed session. No V-Net may use it."""
    return Claim(f"port/{port}", _UNTAGGED, _LAST, pointer, f"port {port}")


def member_claim(port: str, vlan: int | None, pointer: str) -> Claim:
    """Untagged in one V-Net only; a VLAN once."""
    if vlan is None:
        return Claim(f"port/{port}", _UNTAGGED, _UNTAGGED, pointer, f"port {port}, untagged")
    tag = f"{vlan:04d}"
    return Claim(f"port/{port}", tag, tag, pointer, f"VLAN {vlan} on port {port}")


def listed(names: Iterable[str], limit: int = 5) -> str:
    """Names for a sentence: the first few, sorted, and how many more."""
    ordered = sorted(names)
    rest = len(ordered) - limit
    return ", ".join(ordered[:limit]) + (f" and {rest} more" if rest > 0 else "")
