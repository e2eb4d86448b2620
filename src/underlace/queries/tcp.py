"""TCP: is a port open?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Address, Parameters, Query, Row


class Asked(Parameters, frozen=True, kw_only=True):
    to: Address
    port: Annotated[int, Meta(ge=1, le=65_535, description="The TCP port.")]


class Result(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF that it was sent in; `default` is the underlay.")]
    to: Annotated[str, Meta(description="The address.")]
    port: Annotated[int, Meta(description="The TCP port.")]
    state: Annotated[str, Meta(description="`open`, `refused`, `unreachable`, `no answer`, `not sent`.")]
    ms: Annotated[float, Meta(description="How long the answer took.")]
    said: Annotated[str, Meta(description="Why it was not sent, or who answered in place of the address.")]


QUERY = Query(
    name="tcp",
    summary="Whether a TCP port is open, from a device, in a VPC or the underlay. No connection is made.",
    row=Result,
    parameters=Asked,
    in_vpc=True,
    active=True,
    seconds=2.5,
)
