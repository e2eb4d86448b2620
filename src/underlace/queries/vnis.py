"""VNIs as the control plane of a device has them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Metric, Parameters, Query, Row, Vni


class Asked(Parameters, frozen=True):
    vni: Vni = 0


class Entry(Row, frozen=True):
    vni: Annotated[int, Meta(description="The VNI.")]
    type: Annotated[str, Meta(description="`L2` of a V-Net, `L3` of a VPC.")]
    vrf: Annotated[str, Meta(description="The VRF as the device calls it.")]
    state: Annotated[str, Meta(description="`Up` or `Down`, of type L3.")]
    vtep: Annotated[str, Meta(description="Address of the device in the underlay.")]
    remote_vteps: Annotated[list[str], Meta(description="Devices that frames are flooded to, of type L2.")]
    macs: Annotated[int, Meta(description="MAC addresses known, of type L2.")]
    neighbours: Annotated[int, Meta(description="ARP and ND entries known, of type L2.")]
    router_mac: Annotated[str, Meta(description="MAC address of the device as a router, of type L3.")]
    interface: Annotated[str, Meta(description="Its VXLAN link.")]


LABELS = ("vni", "type", "interface", "vrf")

QUERY = Query(
    name="vnis",
    summary="VNIs of devices: type, VRF, remote VTEPs, how many MAC addresses.",
    row=Entry,
    parameters=Asked,
    metrics=(
        Metric("frr_bgp_l2vpn_evpn_mac_count_total", "MAC addresses of the VNI.", "macs", LABELS),
        Metric("frr_bgp_l2vpn_evpn_arp_nd_count_total", "ARP and ND entries of the VNI.", "neighbours", LABELS),
    ),
)
