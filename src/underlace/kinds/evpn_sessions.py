"""EVPN sessions of a device: on its fabric links, or with route servers.

hop-by-hop       every fabric session carries EVPN; spines pass it on
route-servers    leaf ── multihop eBGP, loopback to loopback ── route server, which leaves next hops as they are;
                 fabric sessions carry the loopbacks alone
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from underlace.kinds.base import finding
from underlace.model.device import EvpnPeer
from underlace.model.diagnostic import Diagnostic
from underlace.model.ids import fabric
from underlace.model.resource import Mark, Resource, View, Watch

ROUTE_SERVER = "route-server"
"""Marks of the loopbacks of route servers."""

VTEP = "vtep"
"""Marks of the loopbacks of all leaves: the sources that VXLAN is taken from."""

_MODES = "evpn-sessions"
"""Marks of the modes in which devices run."""

LEAST = 2
"""Route servers without which the loss of one would take EVPN away."""

Switch = Resource[Any]


def mode(switch: Switch, view: View) -> str:
    profile = view.get(fabric("profile", switch.spec.profile))
    return "hop-by-hop" if profile is None else str(profile.spec.overlay.evpn)


def on_links(switch: Switch | None, view: View) -> bool | None:
    """Whether the device's fabric sessions carry EVPN: False, or nothing said."""
    return False if switch is not None and mode(switch, view) == "route-servers" else None


def role(r: Switch, view: View) -> str | None:
    """What EVPN is to the device's router."""
    if r.spec.role == "leaf":
        return "vtep"
    return "transit" if mode(r, view) == "hop-by-hop" or r.spec.route_server else None


def marks(r: Switch, view: View) -> Iterable[Mark]:
    yield Mark(_MODES, mode(r, view))
    if r.spec.role == "spine" and r.spec.route_server and (loopback := view.number(r.ref, "loopback")) is not None:
        yield Mark(ROUTE_SERVER, str(ip_address(loopback)))


def watches(r: Switch, view: View) -> Iterable[Watch]:
    yield Watch(_MODES)
    if mode(r, view) == "route-servers":
        yield Watch(ROUTE_SERVER)
        if r.spec.route_server:
            yield Watch(VTEP)


def peers(r: Switch, loopback: str, view: View) -> Iterable[EvpnPeer]:
    if mode(r, view) == "route-servers" and (r.spec.role == "leaf" or r.spec.route_server):
        for peer in sorted(view.marked(ROUTE_SERVER if r.spec.role == "leaf" else VTEP)):
            yield EvpnPeer(peer, loopback)


def check(r: Switch, view: View) -> Iterable[Diagnostic]:
    if r.spec.route_server and r.spec.role != "spine":
        yield finding(
            r,
            "/spec/route_server",
            "not-a-spine",
            "Only spines are route servers",
            f"Switch {r.ref.name} is marked route_server; its role is {r.spec.role}.",
            "Mark a switch whose role is spine. One that only serves routes is a spine, too.",
        )
    found = len(view.marked(ROUTE_SERVER))
    if mode(r, view) == "route-servers" and found < LEAST:
        yield finding(
            r,
            "/spec/profile",
            "too-few-route-servers",
            "EVPN would depend on fewer than two route servers",
            f"Profile {r.spec.profile} of switch {r.ref.name} has EVPN sessions with route servers; there "
            f"{'is 1' if found == 1 else 'are none'}.",
            "Mark two spines: route_server: true.",
        )
    if len(view.marked(_MODES)) > 1:
        yield finding(
            r,
            "/spec/profile",
            "evpn-sessions-differ",
            "Devices would have EVPN sessions of different kinds",
            f"Profile {r.spec.profile} of switch {r.ref.name} says {mode(r, view)}; the profiles of others say "
            "otherwise, and no routes would pass between the two.",
            "Change overlay.evpn of all profiles in use in one change.",
        )
