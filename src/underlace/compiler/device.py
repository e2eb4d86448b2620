"""Rules for all objects of one device together.

A plan needs only the fragments that an edit touches, never the whole device, because the claims that kinds make hold
these rules by themselves:

    a port in two fragments            claim port/<port>: access, routed and underlay use exclude each other
    a VNI in two fragments             one pool for all VNIs: a number has one owner, an owner one VPC
    an RD in two fragments             one pool per device for VRFs and L2VNIs
    a session's port outside           the session and the routed port are one resource's, in one fragment

`check_device` is what these claims promise. Tests run it on whole devices of random fabrics; a controller may run it
where it has a whole device at hand.
"""

from __future__ import annotations

from collections.abc import Iterable

from underlace.model.device import DeviceObject
from underlace.model.device.base import Key
from underlace.model.diagnostic import Diagnostic, Where


def check_device(device: str, objects: Iterable[DeviceObject]) -> list[Diagnostic]:
    """Two objects that hold one thing, and objects that stand on nothing. Needs all objects of the device."""
    found: list[Diagnostic] = []
    holders: dict[str, Key] = {}
    present = {item.key: item for item in objects}
    for key in sorted(present):
        item = present[key]
        for claim in sorted(item.claims):
            first = holders.setdefault(claim, key)
            if first != key:
                found.append(_fault(device, f"{_spoken(first)} and {_spoken(key)} both hold {claim}"))
        for reference in sorted(item.refs - present.keys()):
            found.append(_fault(device, f"{_spoken(key)} stands on {_spoken(reference)}, which is not there"))
    return found


def _fault(device: str, detail: str) -> Diagnostic:
    return Diagnostic(
        Where(device=device),
        "device-inconsistent",
        "The objects of a device do not fit together",
        f"On {device}, {detail}.",
        "Report this: it is a fault of Underlace, not of what was asked for.",
    )


def _spoken(key: Key) -> str:
    return " ".join(key)
