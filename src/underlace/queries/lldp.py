"""Neighbours by LLDP: what is at the other end of the cable?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Query, Row


class Neighbor(Row, frozen=True):
    port: Annotated[str, Meta(description="The port of the device.")]
    system: Annotated[str, Meta(description="What the other end calls itself.")]
    remote_port: Annotated[str, Meta(description="The port at the other end.")]
    remote_description: Annotated[str, Meta(description="What the other end says of that port.")]
    chassis: Annotated[str, Meta(description="The other end's identifier, most often a MAC address.")]
    age_seconds: Annotated[int, Meta(description="How long it has been there.")]


QUERY = Query(
    name="lldp",
    summary="What LLDP sees at the other end of each cable.",
    row=Neighbor,
)
