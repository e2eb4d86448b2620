"""Facts: what a resource says about a device, and why; merged without regard to order."""

from __future__ import annotations

from typing import NamedTuple

from underlace.model.device.base import DeviceObject
from underlace.model.ids import Ref

BASE = "base"


def port_scope(port: str) -> str:
    return f"port:{port}"


def vrf_scope(vrf: str) -> str:
    return f"vrf:{vrf}"


class FragmentKey(NamedTuple):
    """The unit of recompute, hash, transfer, diff and proof: all objects of one scope of one device."""

    device: str
    scope: str


class Fact(NamedTuple):
    """`because` says that `device` has `object` (or a part of it: fields that are None give way) in `scope`."""

    device: str
    scope: str
    object: DeviceObject
    because: Ref
