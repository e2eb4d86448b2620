"""Path MTU: how large may a packet be?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Address, Parameters, Query, Row


class Asked(Parameters, frozen=True, kw_only=True):
    to: Address
    most: Annotated[int, Meta(ge=1_280, le=65_535, description="The largest that is tried.")] = 9_216


class Result(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF that it was sent in; `default` is the underlay.")]
    to: Annotated[str, Meta(description="The address.")]
    mtu: Annotated[int, Meta(description="Bytes of the largest packet that was answered; 0 for none.")]
    limited_by: Annotated[str, Meta(description="Who said that larger ones are too large; nobody: a black hole.")]
    exact: Annotated[bool, Meta(description="Whether there was time to find the very byte.")]


QUERY = Query(
    name="path-mtu",
    summary="The largest packet that an address answers, from a device, in a VPC or the underlay.",
    row=Result,
    parameters=Asked,
    in_vpc=True,
    active=True,
    seconds=5.0,
)
