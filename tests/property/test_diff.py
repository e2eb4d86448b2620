"""The engine: what is ordered is accepted by a device that refuses, whatever the two states are."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from underlace.diff.change import changes
from underlace.diff.order import batches, ordered
from underlace.model.change import Change, Key, Verb

NAMES = [f"o{n}" for n in range(7)]
CLAIMS = ["p", "q", "r"]


class Thing(msgspec.Struct, frozen=True):
    """One of a few things of two kinds, with arbitrary references and claims."""

    name: str
    value: int
    targets: frozenset[str]
    claims: frozenset[str]

    @property
    def key(self) -> Key:
        return _key(self.name)

    @property
    def refs(self) -> frozenset[Key]:
        return frozenset(_key(target) for target in self.targets)


State = dict[Key, Thing]


def _key(name: str) -> Key:
    return ("even" if int(name[1:]) % 2 == 0 else "odd", name)


@st.composite
def states(draw: st.DrawFn) -> State:
    """References point to smaller names, so that one state has no cycle; two states together may."""
    state: State = {}
    held: set[str] = set()
    order = draw(st.permutations(NAMES))
    for name in order[: draw(st.integers(0, len(NAMES)))]:
        targets = frozenset(o.name for o in state.values() if draw(st.booleans()))
        claims = frozenset(c for c in CLAIMS if c not in held and draw(st.integers(0, 2)) == 0)
        held |= claims
        thing = Thing(name, draw(st.integers(0, 2)), targets, claims)
        state[thing.key] = thing
    return state


class Device:
    """Refuses dangling references, removal of what is referred to, and double claims."""

    def __init__(self, state: State) -> None:
        self.state = dict(state)

    def run(self, plan: Iterable[Change[Thing]]) -> None:
        for change in plan:
            self._run(change)

    def _run(self, change: Change[Thing]) -> None:
        if change.after is None:
            others = (o for k, o in self.state.items() if k != change.key)
            assert not any(change.key in o.refs for o in others), f"{change.key} is still referred to"
            del self.state[change.key]
            return
        assert (change.key in self.state) == (change.verb is Verb.UPDATE)
        assert all(target in self.state for target in change.after.refs), f"{change.key} dangles"
        others = (o for k, o in self.state.items() if k != change.key)
        assert not any(o.claims & change.after.claims for o in others), f"{change.key} takes what is held"
        self.state[change.key] = change.after


@given(states())
def test_nothing_to_do_between_equal_states(state: State) -> None:
    assert changes(state, dict(state)) == []
    assert ordered(state, dict(state)) == []


@settings(max_examples=1500)
@given(states(), states())
def test_the_plan_is_accepted_and_converges(actual: State, desired: State) -> None:
    device = Device(actual)
    device.run(ordered(actual, desired))
    assert device.state == desired


@settings(max_examples=500)
@given(states(), states(), st.data())
def test_a_crash_at_any_step_converges_afterwards(actual: State, desired: State, data: st.DataObject) -> None:
    plan = ordered(actual, desired)
    device = Device(actual)
    device.run(plan[: data.draw(st.integers(0, len(plan)))])
    device.run(ordered(device.state, desired))
    assert device.state == desired


@settings(max_examples=300)
@given(states(), states(), st.randoms(use_true_random=False))
def test_input_order_does_not_matter(actual: State, desired: State, random: Random) -> None:
    def shuffled(state: State) -> State:
        entries = list(state.items())
        random.shuffle(entries)
        return dict(entries)

    assert ordered(shuffled(actual), shuffled(desired)) == ordered(actual, desired)


@settings(max_examples=500)
@given(states(), states(), st.randoms(use_true_random=False))
def test_a_batch_may_run_in_any_order(actual: State, desired: State, random: Random) -> None:
    device = Device(actual)
    for batch in batches(changes(actual, desired), actual, desired):
        assert len({(change.key[0], change.verb) for change in batch}) == 1
        random.shuffle(batch)
        device.run(batch)
    assert device.state == desired


@settings(max_examples=300)
@given(states(), states())
def test_going_back_restores_everything(actual: State, desired: State) -> None:
    device = Device(actual)
    device.run(ordered(actual, desired))
    device.run(ordered(desired, actual))
    assert device.state == actual
