"""MAC addresses in the bridges of V-Nets: where is this host?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Parameters, Query, Row, Vni


class Asked(Parameters, frozen=True):
    vni: Vni = 0
    mac: Annotated[str, Meta(description="Only this MAC address.", pattern=r"^[0-9A-Fa-f:]{0,17}$")] = ""


class Entry(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it.")]
    vni: Annotated[int, Meta(description="VNI of the V-Net.")]
    mac: Annotated[str, Meta(description="The MAC address.")]
    where: Annotated[str, Meta(description="`local` behind a port, `remote` behind another device, `own`.")]
    port: Annotated[str, Meta(description="The link that it is behind.")]
    vtep: Annotated[str, Meta(description="The device that it is behind, if it is remote.")]
    idle_seconds: Annotated[int, Meta(description="How long no frame of it was seen.")]


QUERY = Query(
    name="macs",
    summary="MAC addresses of V-Nets: behind which port or device.",
    row=Entry,
    parameters=Asked,
    in_vpc=True,
)
