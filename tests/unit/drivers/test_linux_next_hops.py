"""What the keeper of next hops reads and puts back. The cure itself, on real FRR: tests/lab/test_next_hops.py."""

from __future__ import annotations

import struct

import pytest

from underlace.drivers.linux.next_hops import LOOKS, concerns, looks, lost, used, vtep_of

ROUTES = """[
 {"dst":"10.1.1.12","gateway":"10.255.0.4","dev":"br10002","protocol":"bgp","flags":["onlink"]},
 {"dst":"default","nexthops":[{"gateway":"10.255.0.5","dev":"br10002"},{"gateway":"192.0.2.1","dev":"swp16"}]},
 {"dst":"10.9.0.0/16","dev":"pr1"}]"""


def test_used_are_the_vteps_behind_bridges_only() -> None:
    assert used(ROUTES) == {("10.255.0.4", "br10002"), ("10.255.0.5", "br10002")}
    assert used("") == set()


@pytest.mark.parametrize(
    ("gateway", "vtep"),
    [
        ("10.255.0.4", "10.255.0.4"),
        ("::ffff:10.255.0.4", "10.255.0.4"),
        ("::ffff:aff:4", "10.255.0.4"),
        ("fe80::1", None),
    ],
)
def test_vtep_of(gateway: str, vtep: str | None) -> None:
    assert vtep_of(gateway) == vtep


def test_lost_puts_back_what_is_used_and_missing() -> None:
    routes = [("10.255.0.4", "br7"), ("::ffff:10.255.0.4", "br7"), ("10.255.0.5", "br7"), ("fe80::1", "br7")]
    neighbours = '[{"dst":"10.255.0.5","dev":"br7","lladdr":"02:00:0a:ff:00:05"},{"dst":"10.255.0.4","dev":"br7"}]'
    entries = '[{"mac":"02:00:0a:ff:00:05","ifname":"vni7","dst":"10.255.0.5"}]'
    of_ip, of_bridge = lost(routes, neighbours, entries)
    how = "lladdr 02:00:0a:ff:00:04 dev br7 nud noarp extern_learn protocol zebra"
    assert of_ip == [f"neigh replace 10.255.0.4 {how}", f"neigh replace ::ffff:10.255.0.4 {how}"]
    assert of_bridge == ["fdb replace 02:00:0a:ff:00:04 dev vni7 dst 10.255.0.4 self extern_learn"]


def test_nothing_is_put_back_when_nothing_is_missing() -> None:
    neighbours = '[{"dst":"10.255.0.5","dev":"br7","lladdr":"02:00:0a:ff:00:05"}]'
    entries = '[{"mac":"02:00:0a:ff:00:05","ifname":"vni7","dst":"10.255.0.5"}]'
    assert lost([("10.255.0.5", "br7")], neighbours, entries) == ([], [])


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def _neighbour(flags: int) -> bytes:
    return struct.pack("=BBHiHBB", 2, 0, 0, 7, 0x40, flags, 1)


def _route(protocol: int) -> bytes:
    return struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, protocol, 0, 1, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (_message(29, _neighbour(0x10)), True),
        (_message(29, _neighbour(0)), False),
        (_message(28, _neighbour(0x10)), False),
        (_message(24, _route(186)), True),
        (_message(24, _route(73)), False),
        (_message(28, _neighbour(0)) + _message(24, _route(186)), True),
        (b"", False),
        (b"\x01" * 20, False),
    ],
)
def test_concerns(data: bytes, expected: bool) -> None:
    assert concerns(data) is expected


def test_a_late_look_puts_no_new_one_off() -> None:
    """A VRF that was looked at a second after a loss waits for its last look; packets of the next loss must not."""
    left = [look for look in looks(100.0) if look > 102.0]
    assert left == [105.0]
    assert looks(102.0, left) == [102.0 + after for after in LOOKS]


def test_a_busy_vrf_is_looked_at() -> None:
    due = looks(100.0)
    for n in range(10):
        due = looks(100.0 + n / 100, due)
    assert due[0] == 100.0 + LOOKS[0]
