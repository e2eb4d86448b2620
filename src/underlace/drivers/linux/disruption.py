"""What a change of a device object does to traffic on Linux."""

from __future__ import annotations

from collections.abc import Mapping

from underlace.model.change import Change, Disruption, Verb
from underlace.model.device import (
    AccessPort,
    BgpNeighbor,
    BgpRouter,
    DeviceObject,
    EvpnPeer,
    L2Vni,
    Lag,
    Leak,
    Port,
    RoutedPort,
    Svi,
    System,
    TaggedPort,
    Vrf,
)

_FIELDS: Mapping[type[DeviceObject], Mapping[str, Disruption]] = {
    # The loopback is every tunnel's source; the others rebuild links or routers.
    System: {
        "loopback": Disruption.OUTAGE,
        "mac": Disruption.FLAP,
        "mtu": Disruption.FLAP,
        "os_version": Disruption.FLAP,
    },
    # Other addresses come with another session, whose own change says what it hurts.
    Port: {"underlay": Disruption.OUTAGE, "enabled": Disruption.OUTAGE, "mtu": Disruption.FLAP},
    BgpRouter: {
        "asn": Disruption.OUTAGE,
        "router_id": Disruption.OUTAGE,
        "evpn": Disruption.OUTAGE,
        "maximum_paths": Disruption.FLAP,
    },
    BgpNeighbor: {
        "remote_as": Disruption.OUTAGE,
        "local_as": Disruption.OUTAGE,
        "fabric": Disruption.OUTAGE,
        "bfd": Disruption.HITLESS,
        "evpn": Disruption.OUTAGE,
    },
    EvpnPeer: {"source": Disruption.OUTAGE},
    Vrf: {
        "l3vni": Disruption.OUTAGE,
        "rd": Disruption.FLAP,
        "import_targets": Disruption.OUTAGE,
        "export_targets": Disruption.OUTAGE,
    },
    L2Vni: {
        "vrf": Disruption.OUTAGE,
        "rd": Disruption.FLAP,
        "import_targets": Disruption.OUTAGE,
        "export_targets": Disruption.OUTAGE,
        "mtu": Disruption.FLAP,
    },
    Svi: {"vrf": Disruption.OUTAGE, "mac": Disruption.FLAP, "addresses": Disruption.HITLESS},
    # A port that changes its namespace goes down and comes up again (hazards 5).
    AccessPort: {"vni": Disruption.OUTAGE, "vrf": Disruption.OUTAGE},
    # Another mode is another bond; a member that leaves takes its flows to the others.
    Lag: {"mode": Disruption.OUTAGE, "members": Disruption.FLAP, "minimum_links": Disruption.FLAP},
    TaggedPort: {"vni": Disruption.OUTAGE, "vrf": Disruption.OUTAGE},
    RoutedPort: {"vrf": Disruption.OUTAGE, "addresses": Disruption.HITLESS, "mtu": Disruption.FLAP},
    Leak: {"number": Disruption.FLAP, "side": Disruption.FLAP},
}
"""By the field that changes; any other field is hitless."""

_GONE = frozenset({"system", "bgp-router", "bgp-neighbor", "evpn-peer", "vrf", "l2vni", "svi"})
"""Types whose removal takes something away from what stays. Removing anything else hurts only what is removed."""

_MOVES = frozenset({"access-port", "routed-port", "lag"})
"""Types whose coming or going moves a port between namespaces, or into a lag."""


def disruption(change: Change[DeviceObject]) -> Disruption:
    """The worst that a change does to traffic on this device."""
    kind = change.key[0]
    if change.before is None or change.after is None:
        if kind in _MOVES:
            return Disruption.OUTAGE
        return Disruption.OUTAGE if change.verb is Verb.DELETE and kind in _GONE else Disruption.HITLESS
    table = _FIELDS.get(type(change.after), {})
    touched = (f for f in change.after.__struct_fields__ if getattr(change.before, f) != getattr(change.after, f))
    return max((table.get(field, Disruption.HITLESS) for field in touched), default=Disruption.HITLESS)
