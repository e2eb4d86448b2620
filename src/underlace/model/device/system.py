"""The device itself: identity in the fabric, and what protects it."""

from __future__ import annotations

from underlace.model.device.base import NOTHING, DeviceObject, Key


class System(DeviceObject, frozen=True, tag="system"):
    """Identity. loopback: IPv4 of the underlay, the VTEP address of a leaf; mac: router MAC in all VRFs;
    mtu: of underlay ports; os_version: of what it runs, where intent says it, for defaults that depend on it."""

    hostname: str
    loopback: str | None = None
    mac: str | None = None
    vtep: bool | None = None
    mtu: int | None = None
    os_version: str | None = None

    @property
    def key(self) -> Key:
        return ("system",)


class Protection(DeviceObject, frozen=True, tag="protection"):
    """The closed underlay and the input policy (law 11, hazards 2 and 18).

    vteps: loopbacks from which VXLAN is taken. underlay: prefixes of loopbacks, links: of fabric links; nothing from
    a non-underlay port may reach either, and fabric sessions carry addresses of the former only. icmp_rate: ICMP
    packets per second that the device answers.
    """

    vteps: frozenset[str] = frozenset()
    underlay: frozenset[str] = frozenset()
    icmp_rate: int | None = None
    links: frozenset[str] = NOTHING

    @property
    def key(self) -> Key:
        return ("protection",)


class Port(DeviceObject, frozen=True, tag="port"):
    """A front-panel port. underlay: carries fabric links; any other port is guarded. addresses: of a fabric link that
    is numbered, with their length."""

    name: str
    underlay: bool | None = None
    enabled: bool | None = None
    mtu: int | None = None
    description: str | None = None
    addresses: frozenset[str] = NOTHING

    @property
    def key(self) -> Key:
        return ("port", self.name)


class Lag(DeviceObject, frozen=True, tag="lag"):
    """What makes one port of several (IEEE 802.1AX). Needs the capability `lags`. Its `Port` has the same name.

    mode: "lacp" or "static". minimum_links: members that must carry, or the port is down.
    """

    name: str
    members: frozenset[str] = frozenset()
    mode: str | None = None
    minimum_links: int | None = None

    @property
    def key(self) -> Key:
        return ("lag", self.name)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset(("port", port) for port in (self.name, *self.members))

    @property
    def claims(self) -> frozenset[str]:
        return frozenset(f"port:{member}" for member in self.members)
