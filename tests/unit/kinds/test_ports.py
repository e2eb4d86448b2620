"""Ports as text."""

from __future__ import annotations

import pytest

from underlace.kinds.ports import front_ports, is_front_port, is_lag, listed, member_claim, split, whole_claim


def test_front_ports_are_numbered_from_one() -> None:
    assert front_ports(3) == ["swp1", "swp2", "swp3"]
    assert all(is_front_port(p, 3) for p in front_ports(3))


@pytest.mark.parametrize("port", ["swp0", "swp4", "swp01", "swp", "eth1", "swp1.5", "mgmt0", "swp²", "swp-1", "Swp1"])
def test_other_ports_are_not_there(port: str) -> None:
    assert not is_front_port(port, 3)


@pytest.mark.parametrize("port", ["bond", "bond0", "bond01", "bond10000", "bond1.5", "swp1", "bond²", "Bond1"])
def test_other_names_are_no_lags(port: str) -> None:
    assert not is_lag(port)
    assert is_lag("bond1")
    assert is_lag("bond9999")


def test_split() -> None:
    assert split("swp5@leaf1") == ("swp5", "leaf1")


def _overlap(one: int | None, other: int | None) -> bool:
    a, b = member_claim("swp1@leaf1", one, "/a"), member_claim("swp1@leaf1", other, "/b")
    return a.space == b.space and a.low <= b.high and b.low <= a.high


def test_a_vlan_once_and_untagged_once() -> None:
    assert _overlap(None, None)
    assert _overlap(7, 7)
    assert not _overlap(None, 7)
    assert not _overlap(7, 70)


@pytest.mark.parametrize("vlan", [None, 1, 4_094])
def test_a_whole_port_excludes_every_member(vlan: int | None) -> None:
    whole, member = whole_claim("swp1@leaf1", "/a"), member_claim("swp1@leaf1", vlan, "/b")
    assert whole.space == member.space
    assert whole.low <= member.low <= member.high <= whole.high


def test_long_lists_are_cut() -> None:
    assert listed(["b", "a"]) == "a, b"
    assert listed("gfedcba") == "a, b, c, d, e and 2 more"
