"""What a fault is: a name, what it is put to, and four things that it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from underlace.lab.fabric import Fabric

Kept = dict[str, Any]
"""What a fault has to remember, as JSON: `undo` may run in another process, much later."""

PROOF_SECONDS = 30.0
"""How long a fault may take to show, or to be gone."""


def agent_of(device: str) -> str:
    """What a fault claims that takes away a device's agent."""
    return f"the agent of {device}"


class Agent(StrEnum):
    """What the agent of the device has to do with a fault."""

    MENDS = "mends"
    """It owns what is changed and would put it back at its next look; so it does not look while the fault lasts."""

    DISTURBS = "disturbs"
    """It would put back what is changed, again and again, and end nothing; so it does not look either."""

    LEAVES = "leaves"
    """It owns nothing of what is changed, and leaves it alone."""

    GONE = "gone"
    """The fault is, or takes away, the agent itself."""


class Parameter(NamedTuple):
    """A word after the fault's name. default: of one that may be left out."""

    name: str
    help: str
    default: str | None = None


class Plan(NamedTuple):
    """What injecting would do, worked out before anything is changed.

    target: how it is called for people. claims: what no other fault may touch meanwhile. devices: those whose agents
    would mend it.
    """

    target: str
    kept: Kept
    claims: tuple[str, ...]
    devices: tuple[str, ...] = ()


class Fault(ABC):
    """summary: what is broken. shows: how it is noticed. elsewhere: what public lists of faults call it."""

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    summary: ClassVar[str]
    shows: ClassVar[str]
    agent: ClassVar[Agent] = Agent.LEAVES
    elsewhere: ClassVar[tuple[str, ...]] = ()
    patience: ClassVar[float] = PROOF_SECONDS

    @abstractmethod
    def plan(self, fabric: Fabric, words: Mapping[str, str]) -> Plan:
        """What the words mean in this lab. Changes nothing. Raises LabError when it makes no sense there."""

    @abstractmethod
    def inject(self, fabric: Fabric, kept: Kept) -> None:
        """Break it."""

    @abstractmethod
    def undo(self, fabric: Fabric, kept: Kept) -> None:
        """Put back what was there; also after an injection that stopped half way, and a second time."""

    @abstractmethod
    def proof(self, fabric: Fabric, kept: Kept) -> str:
        """What shows now that it is in effect, in words; "" when nothing does."""

    @property
    def usage(self) -> str:
        """Name and parameters, as they are typed."""
        return " ".join(
            [self.name, *(p.name if p.default is None else f"[{p.name}]" for p in self.parameters)],
        )
