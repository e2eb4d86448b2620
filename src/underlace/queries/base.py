"""What a live query is: parameters, rows, and the probe of a device OS that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

SECONDS = 2.0
"""How long a device may work on a query that says nothing else."""


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of parameters: typed, bounded, each with a description. Those of a query with `in_vpc` come with a `vpc`
    that the controller turns into the `vrf` that devices know."""


class Nothing(Parameters, frozen=True):
    """No parameters."""


class Row(msgspec.Struct, frozen=True):
    """Base of rows, with a description for every field. A device's answer of another shape is no answer."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A series of every row. value: the field that has it; values: numbers for its words, others count as 0."""

    name: str
    help: str
    value: str
    labels: tuple[str, ...]
    type: Literal["gauge", "counter"] = "gauge"
    values: Mapping[object, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """active: it sends packets, instead of only looking; then devices have to be named. by_agent: agents answer it
    themselves, whatever their device's OS."""

    name: str
    summary: str
    row: type[Row]
    parameters: type[Parameters] = Nothing
    probe: str = ""
    in_vpc: bool = False
    active: bool = False
    by_agent: bool = False
    seconds: float = SECONDS
    metrics: tuple[Metric, ...] = ()

    @property
    def asked(self) -> str:
        """The probe that answers: of the same name, unless another is named."""
        return self.probe or self.name

    def patience(self, parameters: Parameters) -> float:
        """Seconds that a device may work on it; what a parameter `seconds` asks for comes on top."""
        return self.seconds + float(getattr(parameters, "seconds", 0))


Address = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9a-fA-F.:]{2,45}$", description="An IPv4 or IPv6 address.", max_length=45)
]
AnyAddress = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-fA-F.:]{2,45})?$", max_length=45)]
AnyPrefix = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-fA-F.:]{2,45}(/[0-9]{1,3})?)?$", max_length=49)]
"""The same, or none."""
Vni = Annotated[int, msgspec.Meta(ge=0, le=16_777_215, description="Only of this VNI; 0 for all.")]
