"""Services of devices: does each of them run, and answer?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Query, Row


class Service(Row, frozen=True):
    service: Annotated[str, Meta(description="A daemon of FRR, `lldpd`, or the `agent`.")]
    state: Annotated[str, Meta(description="`up`, `down`, or `hangs`: it runs and does not answer.")]
    needed: Annotated[bool, Meta(description="Whether the device does its work only with it.")]
    detail: Annotated[str, Meta(description="Its version, or what is wrong.")]


QUERY = Query(
    name="services",
    summary="Services of devices: FRR's daemons, lldpd, the agent.",
    row=Service,
)
