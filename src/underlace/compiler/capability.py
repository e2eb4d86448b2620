"""Whether a device can do what its fragments ask: a refusal of the plan here, instead of a failed apply there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from underlace.model.capability import Capabilities
from underlace.model.device import BgpRouter, DeviceObject, L2Vni, Lag, Port, Protection, System, TaggedPort, Vrf
from underlace.model.device.bgp import DEFAULT_VRF
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.ids import Ref
from underlace.model.net import RD_RANGE
from underlace.model.wire import CANNOT

Because = Callable[[DeviceObject], Iterable[Ref]]
"""Who asked for an object."""


class _Gap(NamedTuple):
    """What is missing: a key of `Capabilities.why`, and a sentence about what was asked for."""

    feature: str
    detail: str
    remedy: str


def nobody(_: DeviceObject) -> Iterable[Ref]:
    return ()


def limited(capabilities: Capabilities, told: Iterable[Diagnostic]) -> Capabilities:
    """What a device can do: what its OS can, without what it says that it lacks itself."""
    lacks = {one.where.pointer.removeprefix("/"): one.detail for one in told if one.code == CANNOT}
    off = {name: why for name, why in lacks.items() if getattr(capabilities, name, None) is True}
    return replace(capabilities, **dict.fromkeys(off, False), why=capabilities.why | off) if off else capabilities


def check_capabilities(
    device: str, objects: Iterable[DeviceObject], capabilities: Capabilities, because: Because = nobody
) -> list[Diagnostic]:
    """What of these objects the device's OS cannot do, one diagnostic per resource that asked for it."""
    found: set[Diagnostic] = set()
    for item in objects:
        for gap in _gaps(item, capabilities):
            found |= {_lacking(device, owner, gap, capabilities) for owner in because(item)} or {
                _lacking(device, None, gap, capabilities)
            }
    return sorted(found)


def check_budget(device: str, vrfs: int, capabilities: Capabilities) -> list[Diagnostic]:
    """Whether the device can hold so many VPCs. The caller counts the `vrf:` fragments that the device will have."""
    if vrfs <= capabilities.max_vrfs:
        return []
    return [
        Diagnostic(
            Where(device=device),
            "too-many-vrfs",
            "A device would hold more VPCs than it can",
            f"{device} would have {vrfs:,} VRFs; {_system(capabilities)} holds {capabilities.max_vrfs:,}."
            f"{_why('max_vrfs', capabilities)}",
            "Place V-Nets, peerings or sessions of some VPCs on other leaves.",
        )
    ]


def _gaps(item: DeviceObject, capabilities: Capabilities) -> Iterator[_Gap]:
    match item:
        case System():
            yield from _system_gaps(item, capabilities)
        case Port(mtu=int() as mtu) if mtu > capabilities.max_underlay_mtu:
            yield _mtu(f"port {item.name}", mtu, capabilities)
        case Protection() if not capabilities.closed_underlay:
            yield _Gap(
                "closed_underlay",
                "the underlay must be closed to everything that enters by another port",
                "Use a device that can filter at its ports: without that, tenants could forge VXLAN.",
            )
        case TaggedPort() if not capabilities.tagged_ports:
            yield _Gap(
                "tagged_ports",
                f"port {item.port} is to carry VLAN {item.vlan} tagged",
                "Make the port an untagged member (leave vlan out), or use another device.",
            )
        case Lag() if not capabilities.lags:
            yield _Gap(
                "lags",
                f"{item.name} is to be made of {', '.join(sorted(item.members))}",
                "Use its ports one by one, each a member of the V-Net, or use another device.",
            )
        case BgpRouter(vrf=vrf, maximum_paths=int() as paths) if (
            vrf != DEFAULT_VRF and paths > capabilities.vrf_maximum_paths
        ):
            yield _Gap(
                "vrf_maximum_paths",
                f"{vrf} is to use {paths} equal paths; in a VRF it uses at most {capabilities.vrf_maximum_paths}",
                "Ask for fewer paths.",
            )
        case Vrf(rd=str() as rd) | L2Vni(rd=str() as rd) if not _is_rd(rd):
            yield _Gap(
                "rd",
                f"{rd} is no route distinguisher with a number of 16 bits; a device would cut it in silence",
                "Report this: numbers of route distinguishers are allocated by the controller.",
            )


def _system_gaps(item: System, capabilities: Capabilities) -> Iterator[_Gap]:
    if "version" in capabilities.why:
        yield _Gap("version", "it is to be configured", "Upgrade it, and write the new os_version into its switch.")
    if item.mtu is not None and item.mtu > capabilities.max_underlay_mtu:
        yield _mtu("the underlay", item.mtu, capabilities)


def _mtu(what: str, mtu: int, capabilities: Capabilities) -> _Gap:
    return _Gap(
        "max_underlay_mtu",
        f"{what} is to have an MTU of {mtu}; its largest is {capabilities.max_underlay_mtu}",
        f"Choose at most {capabilities.max_underlay_mtu}.",
    )


def _is_rd(text: str) -> bool:
    address, _, number = text.rpartition(":")
    return bool(address) and number.isascii() and number.isdigit() and RD_RANGE[0] <= int(number) <= RD_RANGE[1]


def _lacking(device: str, owner: Ref | None, gap: _Gap, capabilities: Capabilities) -> Diagnostic:
    return Diagnostic(
        Where("" if owner is None else str(owner), device=device),
        "capability-missing",
        "A device cannot do what is asked of it",
        f"On {device} ({_system(capabilities)}) {gap.detail}.{_why(gap.feature, capabilities)}",
        gap.remedy,
    )


def _system(capabilities: Capabilities) -> str:
    return f"{capabilities.os} {capabilities.version}".strip()


def _why(feature: str, capabilities: Capabilities) -> str:
    why = capabilities.why.get(feature, "")
    return f" {why}" if why else ""
