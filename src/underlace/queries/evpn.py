"""EVPN routes of devices, by VNI, type and route distinguisher."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Parameters, Query, Row, Vni


class Asked(Parameters, frozen=True):
    vni: Vni = 0
    type: Annotated[int, Meta(ge=0, le=5, description="Only routes of this type; 0 for all.")] = 0
    rd: Annotated[
        str, Meta(pattern=r"^[0-9.:]{0,32}$", description="Only with this route distinguisher.", max_length=32)
    ] = ""


class Path(Row, frozen=True):
    rd: Annotated[str, Meta(description="Route distinguisher: the device that announced it, and a number there.")]
    type: Annotated[int, Meta(description="2 MAC and address, 3 flooding, 5 prefix.")]
    route: Annotated[str, Meta(description="The route as EVPN writes it.")]
    mac: Annotated[str, Meta(description="MAC address, of type 2.")]
    address: Annotated[str, Meta(description="Address or prefix; of type 3 the VTEP.")]
    vnis: Annotated[list[int], Meta(description="VNIs, by its route targets.")]
    route_targets: Annotated[list[str], Meta(description="Route targets.")]
    next_hop: Annotated[str, Meta(description="VTEP that frames go to.")]
    best: Annotated[bool, Meta(description="Whether it is the path that is used.")]
    as_path: Annotated[str, Meta(description="The ASes on the way.")]


QUERY = Query(
    name="evpn",
    summary="EVPN routes, by VNI, type and route distinguisher.",
    row=Path,
    parameters=Asked,
)
