"""How devices of one sort are run: underlay timers and MTU, EVPN sessions, device protection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field

from underlace.kinds.base import Kind, Spec, finding
from underlace.kinds.fields import UnderlayMtu
from underlace.kinds.ports import listed
from underlace.model.device import Bfd
from underlace.model.diagnostic import Diagnostic
from underlace.model.net import MTU_RANGE, VXLAN_OVERHEAD
from underlace.model.resource import Mark, Resource, View


def timers_space(profile: str) -> str:
    """Marks of the BFD timers of a profile."""
    return f"timers/{profile}"


def mtu_space(profile: str) -> str:
    """Marks of the underlay MTU of a profile."""
    return f"underlay-mtu/{profile}"


def evpn_space(profile: str) -> str:
    """Marks of how EVPN sessions of a profile's devices run."""
    return f"evpn/{profile}"


class BfdSpec(Spec):
    transmit: int = Field(
        default=300, strict=True, ge=10, le=60_000, description="Milliseconds between packets sent."
    )
    receive: int = Field(
        default=300, strict=True, ge=10, le=60_000, description="Milliseconds between packets that are expected."
    )
    multiplier: int = Field(
        default=3, strict=True, ge=2, le=255, description="Packets missed before the neighbour counts as lost."
    )


class UnderlaySpec(Spec):
    mtu: UnderlayMtu = Field(
        default=9_216, description="MTU of fabric links; a V-Net's is at least 50 lower, for the VXLAN header."
    )
    bfd: BfdSpec = Field(default=BfdSpec(), description="BFD timers (RFC 5880) of all sessions of the device.")


class ProtectionSpec(Spec):
    icmp_rate: int = Field(
        default=100,
        strict=True,
        ge=1,
        le=100_000,
        description="ICMP packets per second that a device answers to a port; to a VPC, 16 times as many.",
    )


class OverlaySpec(Spec):
    evpn: Literal["hop-by-hop", "route-servers"] = Field(
        default="hop-by-hop",
        description="Where EVPN sessions run. `hop-by-hop`: on every fabric link, beside the underlay's. "
        "`route-servers`: between the loopbacks of leaves and of the switches marked `route_server`, two at least; "
        "fabric links carry IPv4 only. The same on all devices.",
    )


class ProfileSpec(Spec):
    underlay: UnderlaySpec = Field(default=UnderlaySpec(), description="Links between the devices of the fabric.")
    overlay: OverlaySpec = Field(default=OverlaySpec(), description="How VPCs are told to other devices.")
    protection: ProtectionSpec = Field(default=ProtectionSpec(), description="What a device answers at all.")


def bfd_timers(spec: ProfileSpec) -> Bfd:
    bfd = spec.underlay.bfd
    return Bfd(bfd.transmit, bfd.receive, bfd.multiplier)


class Profile(Kind[ProfileSpec]):
    name: ClassVar[str] = "profile"
    tenanted: ClassVar[bool] = False
    summary: ClassVar[str] = (
        "Underlay timers and MTU, EVPN sessions and protection of devices. `default` is built in."
    )
    spec = ProfileSpec
    columns: ClassVar[tuple[str, ...]] = ("underlay.mtu", "underlay.bfd.transmit", "protection.icmp_rate")
    order: ClassVar[int] = 30

    def marks(self, r: Resource[ProfileSpec], view: View) -> Iterable[Mark]:
        bfd = r.spec.underlay.bfd
        yield Mark(timers_space(r.ref.name), f"{bfd.transmit} {bfd.receive} {bfd.multiplier}")
        yield Mark(mtu_space(r.ref.name), str(r.spec.underlay.mtu))
        yield Mark(evpn_space(r.ref.name), r.spec.overlay.evpn)

    def check(self, r: Resource[ProfileSpec], view: View) -> Iterable[Diagnostic]:
        """V-Nets on the devices of this profile must fit through their links.

        Reads all of them, so only when the MTU is not already the largest there is. A V-Net checks itself when it or
        one of its devices changes.
        """
        room = r.spec.underlay.mtu - VXLAN_OVERHEAD
        if r.spec.underlay.mtu >= MTU_RANGE[1]:
            return
        large = {
            f"{vnet.ref.tenant}/{vnet.ref.name} ({vnet.spec.mtu})"
            for switch in view.referrers(r.ref, "switch")
            for vnet in view.referrers(switch.ref, "vnet")
            if vnet.spec.mtu > room
        }
        if large:
            yield finding(
                r,
                "/spec/underlay/mtu",
                "mtu-too-large",
                "A V-Net's packets do not fit through the underlay",
                f"An underlay MTU of {r.spec.underlay.mtu} leaves {room} for V-Nets on devices with profile "
                f"{r.ref.name}; on them are {listed(large)}.",
                "Choose a larger MTU here, or a smaller one for these V-Nets.",
            )


KIND = Profile()
