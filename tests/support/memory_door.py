"""A device in memory behind a `Door`, with faults to inject, and the trivial driver that goes with it.

The native items of `MemoryDriver` are the device objects themselves. `MemoryDoor` refuses what a device would refuse:
a reference to what is still to come, a claim that another thing holds. A plan that is wrong even on what the device
last showed raises `WrongOrder`, because that is a fault of the engine and not of the device.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from underlace.drivers.protocol import Duplicate, Failure, Items
from underlace.model.capability import Capabilities
from underlace.model.change import Change, Disruption, Key, Keyed
from underlace.model.device import DeviceObject, Model


class Killed(BaseException):
    """The agent's process ends here: nothing after this runs, as with SIGKILL."""


class WrongOrder(BaseException):
    """A plan that could not work even if the device were as it was last read.

    Not an Exception: the agent must not take it for a fault of the device.
    """


class MemoryDriver:
    """Items are the device objects."""

    name = "memory"

    def capabilities(self, version: str = "") -> Capabilities:
        return Capabilities(os="memory", version=version)

    def items(self, objects: Iterable[DeviceObject]) -> Items:
        return {one.key: one for one in objects}

    def model(self, items: Items) -> Model:
        return {key: item for key, item in items.items() if isinstance(item, DeviceObject)}

    def normalise(self, objects: Iterable[DeviceObject]) -> Model:
        return {one.key: one for one in objects}

    def text(self, items: Items) -> list[str]:
        return [repr(items[key]) for key in sorted(items)]

    def disruption(self, change: Change[DeviceObject]) -> Disruption:
        return Disruption.HITLESS

    def not_carried(self) -> frozenset[tuple[str, str]]:
        return frozenset()


@dataclass
class Faults:
    """What goes wrong. Operations are counted from 0 over the door's life (`MemoryDoor.operations`).

    refuse: operations that the device refuses, with its words. refuse_keys: the same by key, for ever.
    hang: operations at which the device stops answering. die: operations right after which the agent dies;
    die_before: right before which. lie: what a read shows instead of the truth; None hides an item.
    mangle: what the device makes of an item that it is told to hold (FRR cuts a route distinguisher in silence).
    silent: calls of the door that fail from now on. wedged: everything fails until `mend` is called.
    """

    refuse: dict[int, str] = field(default_factory=dict)
    refuse_keys: dict[Key, str] = field(default_factory=dict)
    hang: set[int] = field(default_factory=set)
    die: set[int] = field(default_factory=set)
    die_before: set[int] = field(default_factory=set)
    lie: dict[Key, Keyed | None] = field(default_factory=dict)
    mangle: dict[Key, Keyed] = field(default_factory=dict)
    silent: int = 0
    wedged: bool = False


class MemoryDoor:
    """Holds `state`; `done`: changes carried out; `reads`: scopes read (None: all); `boot`: boot files.

    claimed: the addresses that several hosts claim. lacking: what the device cannot do, and why. lives: boots until
    now.
    """

    def __init__(self, state: Items | None = None) -> None:
        self.state: dict[Key, Keyed] = dict(state or {})
        self.boot: dict[Key, Keyed] | None = None
        self.faults = Faults()
        self.operations = 0
        self.done: list[Change[Keyed]] = []
        self.reads: list[frozenset[Key] | None] = []
        self.saves = 0
        self.lives = 1
        self.claimed: list[Duplicate] = []
        self.lacking: dict[str, str] = {}
        self._shown: dict[Key, Keyed] = {}

    def read(self, scope: Collection[Key] | None = None) -> Items:
        self._answer()
        self.reads.append(None if scope is None else frozenset(scope))
        shown: dict[Key, Keyed] = dict(self.state)
        for key, item in self.faults.lie.items():
            if item is None:
                shown.pop(key, None)
            else:
                shown[key] = item
        found = {key: item for key, item in shown.items() if scope is None or key in scope}
        rest = {} if scope is None else {key: item for key, item in self._shown.items() if key not in scope}
        self._shown = rest | found
        return found

    def run(self, plan: Sequence[Change[Keyed]]) -> list[Failure]:
        self._answer()
        check_order(self._shown, plan)
        for position, change in enumerate(plan):
            number, self.operations = self.operations, self.operations + 1
            if number in self.faults.die_before:
                raise Killed
            if number in self.faults.hang:
                raise TimeoutError(f"no answer to {change.verb} {'/'.join(change.key)}")
            words = self.faults.refuse.get(number) or self.faults.refuse_keys.get(change.key)
            words = words or objection(self.state, change, plan[position + 1 :])
            if words is not None:
                return [Failure(change.key, f"{change.verb} {'/'.join(change.key)}", words)]
            self._carry_out(change)
            if number in self.faults.die:
                raise Killed
        return []

    def life(self) -> str:
        return f"life {self.lives}"

    def version(self) -> str:
        self._answer()
        return "1.0"

    def save(self, items: Items) -> None:
        self._answer()
        self.saves += 1
        self.boot = dict(items)

    def duplicates(self) -> list[Duplicate]:
        return self.claimed

    def lacks(self) -> dict[str, str]:
        return self.lacking

    def reboot(self) -> None:
        """Power comes back: the device runs what its boot files say."""
        self.state = dict(self.boot or {})

    def mend(self) -> None:
        self.faults = Faults()

    def _carry_out(self, change: Change[Keyed]) -> None:
        if change.after is None:
            self.state.pop(change.key, None)
        else:
            self.state[change.key] = self.faults.mangle.get(change.key, change.after)
        self.done.append(change)

    def _answer(self) -> None:
        if self.faults.wedged:
            raise TimeoutError("vtysh: no answer")
        if self.faults.silent > 0:
            self.faults.silent -= 1
            raise ConnectionRefusedError("vtysh: connection refused")


def check_order(state: Items, plan: Sequence[Change[Keyed]]) -> None:
    """Raise WrongOrder where a device in this state would refuse the plan because of its order alone."""
    now = dict(state)
    for position, change in enumerate(plan):
        if words := objection(now, change, plan[position + 1 :]):
            raise WrongOrder(words)
        now.pop(change.key, None)
        if change.after is not None:
            now[change.key] = change.after


def objection(state: Items, change: Change[Keyed], later: Sequence[Change[Keyed]]) -> str | None:
    """Why a device in this state does not take a change that `later` ones follow."""
    if change.after is None:
        return None
    coming = {one.key for one in later if one.after is not None}
    for ref in change.after.refs:
        if ref in coming and ref not in state:
            return f"{change.key} is made before {ref}, which it stands on"
    for key, item in state.items():
        both = item.claims & change.after.claims if key != change.key else None
        if both:
            return f"{change.key} is made while {key} still holds {sorted(both)}"
    return None
