"""Routes as BGP has them: from whom, by which path, and which is used."""

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


class Path(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it; `default` is the underlay.")]
    prefix: Annotated[str, Meta(description="Where the route leads.")]
    best: Annotated[bool, Meta(description="Whether it is the path that is used.")]
    multipath: Annotated[bool, Meta(description="Whether it is used beside the best.")]
    valid: Annotated[bool, Meta(description="Whether it may be used.")]
    next_hop: Annotated[str, Meta(description="Where packets go next.")]
    peer: Annotated[str, Meta(description="Who announced it; empty for the device itself.")]
    as_path: Annotated[str, Meta(description="The ASes on the way.")]
    origin: Annotated[str, Meta(description="`IGP`, `EGP` or `incomplete`.")]


QUERY = Query(
    name="bgp-routes",
    summary="Routes as BGP has them: paths, next hops, and which is best.",
    row=Path,
    parameters=Asked,
    in_vpc=True,
)
