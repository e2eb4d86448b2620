"""Addresses that zebra has missed, in its own words."""

from __future__ import annotations

from underlace.drivers.linux.addresses import unknown
from underlace.drivers.linux.native import Address

SAID = """
{"lo": {"status": "up", "vrfName": "vpc-1", "addresses": []},
 "br1": {"status": "up", "vrfName": "vpc-1", "addresses": ["10.1.1.1/24"]},
 "lo": {"status": "up", "vrfName": "default", "addresses": ["10.255.0.1/32"]},
 "pr1": {"status": "up", "vrfName": "vpc-1", "addresses": []},
 "pr1": {"status": "up", "vrfName": "vpc-2", "addresses": ["10.9.9.9/31"]}}
{"br2": {"status": "up", "vrfName": "vpc-2", "addresses": ["2001:db8::1/64"]}}
"""


def test_what_zebra_lists_is_known_whatever_else_has_the_same_name() -> None:
    known = [
        Address("", "lo", "10.255.0.1/32"),
        Address("vpc-1", "br1", "10.1.1.1/24"),
        Address("vpc-2", "pr1", "10.9.9.9/31"),
        Address("vpc-2", "br2", "2001:db8::1/64"),
    ]
    assert unknown(known, SAID) == frozenset()


def test_what_it_does_not_list_is_missed() -> None:
    missed = [Address("vpc-1", "br1", "10.1.2.1/24"), Address("vpc-1", "pr1", "10.9.9.9/31")]
    assert unknown(missed, SAID) == frozenset(missed)


def test_link_local_addresses_are_never_listed_and_a_link_may_be_news() -> None:
    assert (
        unknown([Address("vpc-1", "br1", "fe80::1/64"), Address("vpc-1", "br7", "10.7.0.1/24")], SAID) == frozenset()
    )
    assert unknown([], "") == frozenset()


def test_a_release_that_answers_otherwise_is_not_judged() -> None:
    assert unknown([Address("vpc-1", "br1", "10.1.2.1/24")], "% Unknown command") == frozenset()
