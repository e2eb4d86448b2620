"""Drift: what a device holds otherwise than it should, right now."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from underlace.queries.base import Query, Row


class Difference(Row, frozen=True):
    scope: Annotated[str, Meta(description="Part of the configuration that it belongs to.")]
    item: Annotated[str, Meta(description="What differs, as the device's driver names it.")]
    change: Annotated[str, Meta(description="`missing`, `changed`, or `extra` where it should not be.")]
    wanted: Annotated[str, Meta(description="How it should be.")]
    found: Annotated[str, Meta(description="How it is.")]


QUERY = Query(
    name="drift",
    summary=(
        "What the device holds otherwise than its last confirmed state says, before its agent mends it. During an "
        "apply that is what is under way. In a VRF that should not be there at all nothing is looked for."
    ),
    row=Difference,
    by_agent=True,
)
