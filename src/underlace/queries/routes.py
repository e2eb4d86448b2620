"""Routes as the device has them for forwarding: selected, installed, and by which next hops."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from underlace.queries.base import AnyPrefix, Parameters, Query, Row


class Asked(Parameters, frozen=True):
    prefix: Annotated[
        AnyPrefix,
        Meta(description="Only what leads to this prefix or address; in the underlay, unless a VPC is named."),
    ] = ""
    family: Annotated[Literal["ipv4", "ipv6"], Meta(description="Address family, where no prefix says it.")] = "ipv4"


class Route(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it; `default` is the underlay.")]
    prefix: Annotated[str, Meta(description="Where the route leads.")]
    protocol: Annotated[str, Meta(description="Where it comes from: `bgp`, `connected`, `static`, `kernel`.")]
    selected: Annotated[bool, Meta(description="Whether it is the one that is used for this prefix.")]
    installed: Annotated[bool, Meta(description="Whether the kernel has it.")]
    distance: Annotated[int, Meta(description="Administrative distance.")]
    metric: Annotated[int, Meta(description="Metric.")]
    next_hops: Annotated[list[str], Meta(description="Next hops: address and link, or `blackhole`.")]


QUERY = Query(
    name="routes",
    summary="Routes of devices: protocol, next hops, and whether they are installed.",
    row=Route,
    parameters=Asked,
    in_vpc=True,
)
