"""Traceroute: the way of packets from a device."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Address, Parameters, Query, Row


class Asked(Parameters, frozen=True, kw_only=True):
    to: Address
    hops: Annotated[int, Meta(ge=1, le=30, description="As many hops are asked.")] = 12


class Hop(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF that it was sent in; `default` is the underlay.")]
    to: Annotated[str, Meta(description="The address.")]
    hop: Annotated[int, Meta(description="How far it is.")]
    address: Annotated[str, Meta(description="Who answered.")]
    ms: Annotated[float, Meta(description="How long the answer took.")]
    said: Annotated[str, Meta(description="`on the way`, `reached`, `unreachable`, `nothing`.")]


QUERY = Query(
    name="traceroute",
    summary="The way of packets to an address, hop by hop, from a device, in a VPC or the underlay.",
    row=Hop,
    parameters=Asked,
    in_vpc=True,
    active=True,
)
