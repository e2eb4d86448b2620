"""Room for a large lab in the machine's neighbour tables, on files that stand in for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from underlace.lab import intent, neighbours
from underlace.lab.intent import Intent
from underlace.lab.state import State

NAMES = ("gc_thresh1", "gc_thresh2", "gc_thresh3")
USUAL = [128, 512, 1024]


@pytest.fixture
def system(tmp_path: Path) -> Path:
    for family in ("ipv4", "ipv6"):
        place = tmp_path / "net" / family / "neigh/default"
        place.mkdir(parents=True)
        for name, value in zip(NAMES, USUAL, strict=True):
            (place / name).write_text(f"{value}\n")
    return tmp_path / "net"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.create(tmp_path / "lab")


def held(system: Path, family: str = "ipv4") -> list[int]:
    return [int((system / family / "neigh/default" / name).read_text()) for name in NAMES]


def hosts(count: int) -> Intent:
    spec: dict[str, Any] = {"vpc": "red", "ports": [{"port": f"swp1@leaf{n}"} for n in range(count)]}
    documents = [
        {"kind": "tenant", "name": "acme", "spec": {}},
        {"kind": "vpc", "tenant": "acme", "name": "red", "spec": {}},
        {"kind": "vnet", "tenant": "acme", "name": "web", "spec": spec},
    ]
    return intent.parse(documents, Path())


def test_a_small_lab_leaves_the_machine_alone(system: Path, state: State) -> None:
    assert neighbours.make_room(hosts(20), state, system) == ""
    assert held(system) == USUAL


def test_a_large_lab_has_room_and_gives_it_back(system: Path, state: State) -> None:
    wanted = hosts(30)
    assert "930 neighbours" in neighbours.make_room(wanted, state, system)
    for family in ("ipv4", "ipv6"):
        assert held(system, family)[1] >= neighbours.needed(wanted)
        assert held(system, family) == sorted(held(system, family))
    neighbours.give_back(state, system)
    assert held(system) == held(system, "ipv6") == USUAL


def test_even_more_hosts_have_room(system: Path, state: State) -> None:
    wanted = hosts(300)
    neighbours.make_room(wanted, state, system)
    assert held(system)[1] >= neighbours.needed(wanted) > 65_536


def test_what_somebody_else_has_set_meanwhile_stays(system: Path, state: State) -> None:
    neighbours.make_room(hosts(30), state, system)
    (system / "ipv4/neigh/default/gc_thresh3").write_text("200000\n")
    neighbours.give_back(state, system)
    assert held(system) == [128, 512, 200_000]


def test_whoever_may_not_is_told_what_to_do(system: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(neighbours, "_write", forbidden)
    said = neighbours.make_room(hosts(30), state, system)
    assert "Permission denied" in said
    assert "sysctl -w net.ipv4.neigh.default.gc_thresh3=131072 " in said
    assert held(system) == USUAL


def test_a_namespace_that_has_no_such_setting_is_left_alone(tmp_path: Path, state: State) -> None:
    assert neighbours.make_room(hosts(30), state, tmp_path / "none") == ""
