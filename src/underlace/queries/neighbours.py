"""Neighbours: which MAC address has this address?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import AnyAddress, Parameters, Query, Row


class Asked(Parameters, frozen=True):
    address: Annotated[AnyAddress, Meta(description="Only this address.")] = ""


class Entry(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it; `default` is the underlay.")]
    address: Annotated[str, Meta(description="The address.")]
    mac: Annotated[str, Meta(description="Its MAC address; empty when nobody answered.")]
    interface: Annotated[str, Meta(description="The link that it is on.")]
    state: Annotated[str, Meta(description="`REACHABLE`, `STALE`, `FAILED`, `NOARP`: as the kernel says it.")]
    learnt: Annotated[str, Meta(description="`evpn` from other devices, `local` by asking.")]


QUERY = Query(
    name="neighbours",
    summary="ARP and ND entries: which MAC address has an address, and who says so.",
    row=Entry,
    parameters=Asked,
    in_vpc=True,
)
