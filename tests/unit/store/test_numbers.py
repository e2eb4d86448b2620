"""Numbers: occupancy, gaps and cursors, quarantine and its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from support import databases
from underlace.store import numbers
from underlace.store.numbers import Held
from underlace.store.store import Store


@pytest.fixture(scope="module")
def store(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(databases.migrated(tmp_path_factory.mktemp("numbers")))
    yield opened
    opened.close()


@given(taken=st.sets(st.integers(1, 12)), low=st.integers(1, 12), high=st.integers(1, 12))
def test_the_first_free_number(store: Store, taken: set[int], low: int, high: int) -> None:
    def work(c: Connection) -> int | None:
        numbers.take(c, [Held("p", n, 1 if n % 2 else None, f"s{n}") for n in taken])
        numbers.take(c, [Held("other", n, 1, f"o{n}") for n in range(1, 13)])
        return numbers.first_free(c, "p", low, high)

    expected = min((n for n in range(low, high + 1) if n not in taken), default=None)
    if low > high:
        return
    assert store.rehearse(work) == expected


def test_a_number_is_free_when_the_last_device_has_confirmed(store: Store) -> None:
    def work(c: Connection) -> None:
        numbers.take(c, [Held("vni", 7, 1, "vni"), Held("vni", 8, 2, "vni"), Held("vni", 9, 3, "vni")])
        numbers.disown(c, [("vni", 7), ("vni", 8)])
        numbers.enclose(c, {("vni", 7): {"a": 5, "b": 6}, ("vni", 8): {"a": 5}})
        assert numbers.at(c, [("vni", 7)])[("vni", 7)].owner is None
        numbers.take(c, [Held("vni", 8, 4, "vni", waiting=True)])
        assert numbers.clear(c, "a", 4) == []
        assert numbers.quarantined(c, [("vni", 7), ("vni", 8)]) == {
            ("vni", 7): {"a": 5, "b": 6},
            ("vni", 8): {"a": 5},
        }
        freed = numbers.clear(c, "a", 5)
        assert freed == [Held("vni", 8, 4, "vni", waiting=False)]
        assert set(numbers.at(c, [("vni", n) for n in (7, 8, 9)])) == {("vni", 7), ("vni", 8), ("vni", 9)}
        assert numbers.clear(c, "b", 6) == []
        assert set(numbers.at(c, [("vni", n) for n in (7, 8, 9)])) == {("vni", 8), ("vni", 9)}

    store.rehearse(work)


def test_what_others_need_is_counted(store: Store) -> None:
    def work(c: Connection) -> None:
        numbers.write_needs(c, [], [(1, 9, "rd/a"), (2, 9, "rd/a"), (2, 9, "rd/b")])
        assert numbers.needs_of(c, [2]) == {(2, 9, "rd/a"), (2, 9, "rd/b")}
        numbers.write_needs(c, [(2, 9, "rd/a"), (2, 9, "rd/b")], [])
        assert numbers.still_needed(c, [(9, "rd/a"), (9, "rd/b")]) == {(9, "rd/a")}

    store.rehearse(work)


@pytest.mark.parametrize("first", ["vni", "rd/leaf1"])
def test_pools_of_devices_and_others_are_apart_whichever_comes_first(tmp_path: Path, first: str) -> None:
    store = Store.open(databases.migrated(tmp_path))
    held = [Held("vni", 5, 1, "vni"), Held("rd/leaf1", 6, 1, "rd/leaf1"), Held("rd/leaf2", 7, 1, "rd/leaf2")]

    def write(c: Connection) -> None:
        for number in sorted(held, key=lambda n: n.pool != first):
            numbers.take(c, [number])

    store.write(write)
    with store.read() as c:
        assert set(numbers.of_owners(c, [1])) == set(held)
        assert numbers.common(c, [1]) == held[:1]
        assert set(numbers.of_slots(c, [(1, n.slot) for n in held])) == set(held)
        assert numbers.of_slots(c, [(1, "rd/leaf9"), (2, "vni")]) == []
    store.close()
