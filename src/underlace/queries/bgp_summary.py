"""BGP sessions of devices, by address family: are they up, and what do they carry?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Metric, Query, Row


class Session(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it; `default` is the underlay.")]
    peer: Annotated[str, Meta(description="The neighbour: its address, or the port that it is on.")]
    afi: Annotated[str, Meta(description="Address family: `ipv4`, `ipv6`, `l2vpn`.")]
    safi: Annotated[str, Meta(description="What of the family: `unicast`, `evpn`.")]
    state: Annotated[str, Meta(description="`Established`, or what the session is doing instead; `Idle (Admin)`.")]
    local_as: Annotated[int, Meta(description="AS of the device in this session.")]
    peer_as: Annotated[int, Meta(description="AS of the neighbour as configured; 0 while `external` is all that is.")]
    uptime_seconds: Annotated[int, Meta(description="Since when it is up, or 0.")]
    received: Annotated[int, Meta(description="Prefixes received.")]
    sent: Annotated[int, Meta(description="Prefixes sent.")]
    messages_received: Annotated[int, Meta(description="BGP messages received.")]
    messages_sent: Annotated[int, Meta(description="BGP messages sent.")]
    flaps: Annotated[int, Meta(description="How often the session was lost since the device's BGP started.")]
    hostname: Annotated[str, Meta(description="What the neighbour calls itself.")] = ""


LABELS = ("vrf", "afi", "safi", "local_as", "peer", "peer_as")

QUERY = Query(
    name="bgp-summary",
    summary="BGP sessions: state, prefixes and flaps, by address family.",
    row=Session,
    in_vpc=True,
    metrics=(
        Metric(
            "frr_bgp_peer_state",
            "State of the session: 2 shut down by its administrator, 1 established, 0 down.",
            "state",
            LABELS,
            values={"Established": 1, "Idle (Admin)": 2},
        ),
        Metric("frr_bgp_peer_uptime_seconds", "How long the session has been up.", "uptime_seconds", LABELS),
        Metric(
            "frr_bgp_peer_prefixes_received_count_total", "Prefixes received from the neighbour.", "received", LABELS
        ),
        Metric("frr_bgp_peer_prefixes_advertised_count_total", "Prefixes sent to the neighbour.", "sent", LABELS),
        Metric(
            "frr_bgp_peer_message_received_total", "BGP messages received.", "messages_received", LABELS, "counter"
        ),
        Metric("frr_bgp_peer_message_sent_total", "BGP messages sent.", "messages_sent", LABELS, "counter"),
    ),
)
