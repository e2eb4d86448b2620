"""Counters of packet filters: what was dropped, and by which rule?"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Parameters, Query, Row


class Asked(Parameters, frozen=True):
    table: Annotated[
        str, Meta(description="Only of this table, as `underlace_swp5`.", pattern=r"^[a-z0-9_.-]{0,64}$")
    ] = ""


class Rule(Row, frozen=True):
    vrf: Annotated[str, Meta(description="The VRF as the device calls it; `default` is the underlay.")]
    table: Annotated[str, Meta(description="The table; `underlace_<port>` guards a port.")]
    chain: Annotated[str, Meta(description="The chain.")]
    rule: Annotated[str, Meta(description="The rule; empty is what nothing else took.")]
    action: Annotated[str, Meta(description="`drop`, `accept`, or what else becomes of the packet.")]
    packets: Annotated[int, Meta(description="Packets that it took.")]
    bytes: Annotated[int, Meta(description="Bytes of them.")]


QUERY = Query(
    name="acl-counters",
    summary="Counters of packet filters, rules of others included.",
    row=Rule,
    parameters=Asked,
    in_vpc=True,
)
