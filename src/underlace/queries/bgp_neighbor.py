"""BGP neighbours in detail: why a session is down, who tore it down, which AS was expected."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Parameters, Query, Row


class Asked(Parameters, frozen=True):
    peer: Annotated[
        str,
        Meta(
            description="Only this neighbour: its address or port.", pattern=r"^[0-9A-Za-z.:]{0,45}$", max_length=45
        ),
    ] = ""


class Neighbor(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it; `default` is the underlay.")]
    peer: Annotated[str, Meta(description="The neighbour: its address, or the port that it is on.")]
    state: Annotated[str, Meta(description="`Established`, or what the session is doing instead.")]
    admin: Annotated[str, Meta(description="`up`, or `down` when an administrator shut it down.")]
    local_as: Annotated[int, Meta(description="AS of the device in this session.")]
    as_configured: Annotated[str, Meta(description="AS that the neighbour must have: a number, or `external`.")]
    as_seen: Annotated[int, Meta(description="AS that the neighbour has; 0 while there is no session.")]
    uptime_seconds: Annotated[int, Meta(description="Since when it is up, or 0.")]
    received: Annotated[dict[str, int], Meta(description="Prefixes accepted, by address family.")]
    sent: Annotated[dict[str, int], Meta(description="Prefixes sent, by address family.")]
    flaps: Annotated[int, Meta(description="How often the session was lost since the device's BGP started.")]
    last_reset: Annotated[str, Meta(description="Why it was last lost, or does not come up.")]
    last_reset_seconds: Annotated[int, Meta(description="How long ago, 0 for never.")]
    last_notification: Annotated[str, Meta(description="The last NOTIFICATION in words, with its code/subcode.")]
    bfd: Annotated[str, Meta(description="State of its BFD session; empty without one.")]
    hostname: Annotated[str, Meta(description="What the neighbour calls itself.")]


QUERY = Query(
    name="bgp-neighbor",
    summary="BGP neighbours: state, last reset and notification, AS configured and seen, prefixes, flaps.",
    row=Neighbor,
    parameters=Asked,
    in_vpc=True,
)
