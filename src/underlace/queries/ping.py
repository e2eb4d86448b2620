"""Ping: does an address answer a device?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Address, Parameters, Query, Row


class Asked(Parameters, frozen=True, kw_only=True):
    to: Address
    count: Annotated[int, Meta(ge=1, le=10, description="How many are sent, ten a second.")] = 3
    size: Annotated[int, Meta(ge=64, le=9_216, description="Bytes of the packet; it is never fragmented.")] = 84


class Result(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF that it was sent in; `default` is the underlay.")]
    to: Annotated[str, Meta(description="The address.")]
    sent: Annotated[int, Meta(description="Packets sent.")]
    received: Annotated[int, Meta(description="Answers.")]
    loss_percent: Annotated[int, Meta(description="Of a hundred, how many are lost.")]
    least_ms: Annotated[float, Meta(description="The quickest answer.")]
    mean_ms: Annotated[float, Meta(description="The mean.")]
    most_ms: Annotated[float, Meta(description="The slowest.")]
    said: Annotated[str, Meta(description="What came instead of answers, and from whom.")]


QUERY = Query(
    name="ping",
    summary=(
        "Whether an address answers, from a device, in a VPC or the underlay. In a VPC, answers to a gateway that "
        "other devices have as well may go to one of them."
    ),
    row=Result,
    parameters=Asked,
    in_vpc=True,
    active=True,
    seconds=2.5,
)
