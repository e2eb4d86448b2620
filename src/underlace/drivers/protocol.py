"""What a device OS is to the rest of Underlace: pure translations, and one door to the device.

    device objects ──items()──► native items ──diff──► ordered changes ──door.run()──► device
          ▲                         ▲                                                    │
          └───────── model() ───────┴───────────────── door.read() ◄─────────────────────┘

A driver never knows a kind. `Driver` is pure and may be used anywhere; only the agent and the lab open a `Door`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from underlace.model.capability import Capabilities
from underlace.model.change import Change, Disruption, Key, Keyed
from underlace.model.device import DeviceObject, Model
from underlace.model.question import Observed, Value

Items = Mapping[Key, Keyed]
"""Native state by key. Two items are equal exactly when the device needs no command to go from one to the other."""


class Driver(Protocol):
    """The pure half of a device OS."""

    name: str

    def capabilities(self, version: str = "") -> Capabilities:
        """What this OS can do at a version; an empty version means the oldest supported one."""

    def items(self, objects: Iterable[DeviceObject]) -> Items:
        """Native items of a model. Total on any model that passed the compiler's checks."""

    def model(self, items: Items) -> Model:
        """The device objects that native items amount to; what Underlace does not own is left out."""

    def normalise(self, objects: Iterable[DeviceObject]) -> Model:
        """The model with every default resolved, so that `model(items(m)) == normalise(m)`."""

    def text(self, items: Items) -> list[str]:
        """The native configuration as a person would read it, in a stable order; what `config DEVICE` prints."""

    def disruption(self, change: Change[DeviceObject]) -> Disruption:
        """What a change of one device object does to traffic on this OS."""

    def not_carried(self) -> frozenset[tuple[str, str]]:
        """(object tag, field) pairs that this OS does not express. Everything else changes the rendering."""


class Failure(NamedTuple):
    """A change that the device refused: the change's key, the command, and the device's own words."""

    key: Key
    command: str
    answer: str


@runtime_checkable
class Keeper(Protocol):
    """A door to a device of which something must be tended between applies."""

    def keep(self) -> None:
        """Start tending, in the background, for as long as the process lives. Returns at once; may raise OSError."""


class Duplicate(NamedTuple):
    """An address that several hosts of a V-Net claim, by their MAC addresses; a gateway is such a host."""

    vrf: str
    vni: int
    address: str
    macs: tuple[str, ...]


@runtime_checkable
class Observer(Protocol):
    """A door that notices what hosts do to each other."""

    def duplicates(self) -> Sequence[Duplicate]:
        """As of the last full read; of a V-Net on several devices, what this one can see of it."""


@runtime_checkable
class Limited(Protocol):
    """A door to a device that may be able to do less than its OS at that version."""

    def lacks(self) -> Mapping[str, str]:
        """Names of `Capabilities` that this device does not have, and why. May raise OSError."""
        ...


@runtime_checkable
class Prober(Protocol):
    """A door that answers live questions: the one part of it that any thread may use, beside what reads and
    applies."""

    def probe(self, name: str, arguments: Mapping[str, Value], seconds: float) -> Observed:
        """What a probe finds now. Raises OSError when it finds nothing, or not within so many seconds."""
        ...


class Door(Protocol):
    """The only way to a device. Synchronous; every call may raise OSError when the device does not answer at all."""

    def read(self, scope: Collection[Key] | None = None) -> Items:
        """Actual owned state: everything, or at least the items with these keys (and what they stand on)."""

    def run(self, plan: Sequence[Change[Keyed]]) -> list[Failure]:
        """Carry out changes in the order given; stop at the first refusal. Each step is idempotent after a crash."""

    def life(self) -> str:
        """A name for the time from one boot to the next: whatever a reboot clears is of one life."""

    def version(self) -> str:
        """The OS version as the device says it, e.g. "8.4.4"."""

    def save(self, items: Items) -> None:
        """Write boot files for this state: a reboot starts from it. Called only after confirm (hazards 19)."""
