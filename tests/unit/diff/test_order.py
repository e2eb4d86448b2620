"""Orders that a device accepts, by example; `tests/property/test_diff.py` has the rules."""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec
import pytest

from underlace.diff.change import changes
from underlace.diff.order import batches, order, ordered
from underlace.model.change import Key


class Thing(msgspec.Struct, frozen=True):
    name: str
    targets: frozenset[Key] = frozenset()
    held: frozenset[str] = frozenset()
    value: int = 0
    kind: str = "thing"

    @property
    def key(self) -> Key:
        return (self.kind, self.name)

    @property
    def refs(self) -> frozenset[Key]:
        return self.targets

    @property
    def claims(self) -> frozenset[str]:
        return self.held


State = dict[Key, Thing]


def thing(name: str, *targets: str, claims: Collection[str] = (), value: int = 0, kind: str = "thing") -> Thing:
    refs: frozenset[Key] = frozenset(("thing", target) for target in targets)
    return Thing(name, refs, frozenset(claims), value, kind)


def state(*things: Thing) -> State:
    return {one.key: one for one in things}


def steps(actual: State, desired: State) -> list[str]:
    return [f"{change.verb} {change.key[-1]}" for change in ordered(actual, desired)]


def test_what_is_referred_to_comes_first() -> None:
    assert steps({}, state(thing("a", "b"), thing("b", "c"), thing("c"))) == ["create c", "create b", "create a"]


def test_a_new_thing_waits_for_the_update_of_what_it_refers_to() -> None:
    """By name it would come first: "a" < "b"."""
    assert steps(state(thing("b")), state(thing("a", "b"), thing("b", value=1))) == ["update b", "create a"]


def test_what_is_referred_to_goes_last() -> None:
    assert steps(state(thing("a", "b"), thing("b", "c"), thing("c")), {}) == ["delete a", "delete b", "delete c"]


def test_a_referrer_that_stays_lets_go_first() -> None:
    assert steps(state(thing("a", "b"), thing("b")), state(thing("a"))) == ["update a", "delete b"]


def test_a_referrer_that_stays_waits_for_its_new_target() -> None:
    assert steps(state(thing("z")), state(thing("z", "y"), thing("y"))) == ["create y", "update z"]


def test_a_claim_is_taken_after_it_was_given_up() -> None:
    actual, desired = state(thing("z", claims="p")), state(thing("a", claims="p"))
    assert steps(actual, desired) == ["delete z", "create a"]
    desired = state(thing("z"), thing("a", claims="p"))
    assert steps(actual, desired) == ["update z", "create a"]


def test_of_what_several_hold_all_old_ones_go_before_any_new_one_comes() -> None:
    actual = state(thing("x", claims="p"), thing("y", claims="p"), thing("stays", claims="p"))
    desired = state(thing("a", claims="p"), thing("b", claims="p"), thing("stays", claims="p"))
    assert steps(actual, desired) == ["delete x", "delete y", "create a", "create b"]


def test_two_that_swap_claims_are_replaced() -> None:
    actual = state(thing("a", claims="p"), thing("b", claims="q"))
    desired = state(thing("a", claims="q"), thing("b", claims="p"))
    found = steps(actual, desired)
    assert found.index("delete a") < found.index("create a")
    assert found.index("delete b") < found.index("create b")
    assert max(found.index("delete a"), found.index("delete b")) < min(
        found.index("create a"), found.index("create b")
    )


def test_a_replaced_thing_takes_along_whoever_refers_to_it_at_any_distance() -> None:
    tail = (thing("c", "a"), thing("d", "c"))
    actual = state(thing("a", claims="p"), thing("b", claims="q"), *tail)
    desired = state(thing("a", claims="q"), thing("b", claims="p"), *tail)
    found = steps(actual, desired)
    assert found.index("delete d") < found.index("delete c") < found.index("delete a")
    assert found.index("create a") < found.index("create c") < found.index("create d")


def test_references_to_nothing_known_are_ignored() -> None:
    assert steps({}, state(thing("a", "elsewhere"))) == ["create a"]


def test_kinds_stay_together() -> None:
    desired = state(
        *(thing(f"x{n}", kind="link") for n in range(3)), *(thing(f"x{n}", kind="route") for n in range(4))
    )
    found = batches(changes({}, desired), {}, desired)
    assert [{change.key[0] for change in batch} for batch in found] == [{"route"}, {"link"}]


def test_a_kind_waits_until_all_of_it_is_ready() -> None:
    """A namespace's own filter goes with the guards of the ports that are put there."""
    space = thing("space")

    def inside(name: str, kind: str, *on: Thing) -> Thing:
        return Thing(name, frozenset(one.key for one in (space, *on)), frozenset(), 0, kind)

    ports = [inside(f"swp{n}", "placement") for n in range(3)]
    guards = [inside(f"guard{n}", "nft", port) for n, port in enumerate(ports)]
    desired = state(space, inside("filter", "nft"), inside("bridge", "bridge"), *ports, *guards)
    found = batches(changes({}, desired), {}, desired)
    assert [{change.key[0] for change in batch} for batch in found] == [{"thing"}, {"placement"}, {"nft"}, {"bridge"}]


def test_a_part_of_the_changes_can_be_ordered() -> None:
    desired = state(thing("a", "b"), thing("b"), thing("c"))
    part = [change for change in changes({}, desired) if change.key[-1] != "c"]
    assert [change.key[-1] for change in order(part, {}, desired)] == ["b", "a"]


def test_a_cycle_of_new_things_is_a_fault_of_the_caller() -> None:
    desired = state(thing("a", "b"), thing("b", "a"))
    with pytest.raises(ValueError, match="cycle"):
        ordered({}, desired)


def _fabric(first: int, last: int, value: int) -> State:
    found: State = {}
    for n in range(first, last):
        space = thing(f"n{n}", kind="thing")
        bridge = Thing(f"b{n}", frozenset({space.key}), frozenset({f"vni:{n % 4000}/{n}"}), value, "bridge")
        tunnel = Thing(f"v{n}", frozenset({bridge.key}), frozenset(), value, "tunnel")
        address = Thing(f"a{n}", frozenset({bridge.key, space.key}), frozenset(), value, "address")
        found |= state(space, bridge, tunnel, address)
    return found


def test_twenty_thousand_changes_take_less_than_a_second() -> None:
    actual, desired = _fabric(0, 4_000, 0), _fabric(1_000, 6_000, 1)
    started = time.process_time()
    plan = ordered(actual, desired)
    spent = time.process_time() - started
    assert len(plan) >= 20_000 - 3_000
    assert spent < 1.0
