"""Network numbers: what is computed from them, and what is refused."""

from __future__ import annotations

import pytest

from underlace.model.net import interface, network, point, route_distinguisher, route_target, router_mac, span, wide


def test_text_order_is_number_order() -> None:
    numbers = [0, 1, 9, 10, 255, 256, 2**32, 2**128 - 1]
    assert sorted(map(wide, numbers)) == [wide(n) for n in numbers]


def test_spans_of_families_never_overlap() -> None:
    low4, high4 = span(network("0.0.0.0/0"))
    low6, _ = span(network("::/0"))
    assert low4 < high4 < low6
    assert low4 < point("10.0.0.1") < high4 < point("::1")
    assert span(network("10.0.0.0/31")) == (point("10.0.0.0"), point("10.0.0.1"))


def test_host_bits_are_an_error_in_a_network_only() -> None:
    with pytest.raises(ValueError, match="host bits"):
        network("10.0.0.1/24")
    assert str(interface("10.0.0.1/24").network) == "10.0.0.0/24"


def test_route_distinguishers_have_16_bits() -> None:
    assert route_distinguisher("10.0.0.101", 65_535) == "10.0.0.101:65535"
    for number in (0, 65_536):
        with pytest.raises(ValueError, match="16 bits"):
            route_distinguisher("10.0.0.101", number)


def test_route_targets_have_a_2_byte_as() -> None:
    assert route_target(65_000, 16_777_215) == "65000:16777215"
    for number in (0, 65_536, 4_200_000_000):
        with pytest.raises(ValueError, match="2 bytes"):
            route_target(number, 1)


def test_router_macs_are_local_and_distinct() -> None:
    assert router_mac("10.255.0.1") == "02:00:0a:ff:00:01"
    assert router_mac("10.255.0.2") != router_mac("10.255.0.1")
