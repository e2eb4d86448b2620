"""Probes on what real FRR said, 8.4 and 10.3: rows of the shape that the query promises, with what was there."""

from __future__ import annotations

from typing import Any

import pytest

from support.captures import CASES, VERSIONS, Case, capture
from underlace.drivers.linux.probes import probes
from underlace.drivers.linux.probes.base import Odd, documents
from underlace.live.shape import shaped
from underlace.queries.base import Row
from underlace.queries.registry import QUERIES


def rows(version: str, name: str) -> list[dict[str, Any]]:
    case = next(c for c in CASES if c.file == f"{name}.json")
    return capture(version, case).rows(case.probe)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_rows_are_what_the_query_promises(version: str, case: Case) -> None:
    query = next(q for q in QUERIES.values() if q.asked == case.probe)
    found: tuple[Row, ...] = shaped(query.row, capture(version, case).rows(case.probe))
    assert found or case.name.endswith("-of-none")


@pytest.mark.parametrize("version", VERSIONS)
def test_bgp_summary(version: str) -> None:
    found = {(r["vrf"], r["peer"], r["afi"]): r for r in rows(version, "bgp-summary")}
    swp1 = found["default", "swp1", "l2vpn"]
    assert (swp1["state"], swp1["local_as"], swp1["peer_as"]) == ("Established", 4200000002, 4200000000)
    assert swp1["safi"] == "evpn"
    assert swp1["hostname"] == "spine1"
    assert swp1["received"] > 0
    assert swp1["sent"] > 0
    assert swp1["messages_received"] > 0
    isp = found["vpc-2", "192.0.2.1", "ipv4"]
    assert (isp["local_as"], isp["peer_as"]) == (64500, 64496)
    assert found["vpc-2", "2001:db8:ffff::1", "ipv6"]["safi"] == "unicast"


@pytest.mark.parametrize("version", VERSIONS)
def test_bgp_summary_of_one_vrf(version: str) -> None:
    assert {r["vrf"] for r in rows(version, "bgp-summary-in-a-vpc")} == {"vpc-2"}
    assert rows(version, "bgp-summary-of-none") == []


def test_a_session_that_was_shut_down_has_no_prefixes() -> None:
    text = '{"ipv4Unicast":{"as":1,"peers":{"swp1":{"remoteAs":2,"state":"Idle (Admin)","peerUptimeMsec":0}}}}'
    case = capture("8.4", CASES[0])
    said = [case.said[0]._replace(output=text)]
    (row,) = probes()["bgp-summary"].rows({}, said)
    assert (row["state"], row["local_as"], row["received"], row["hostname"]) == ("Idle (Admin)", 1, 0, "")


@pytest.mark.parametrize("value", ["vpc-1; reboot", "../vpc-1", "vpc-", "-h", "default"])
@pytest.mark.parametrize("probe", [q.asked for q in QUERIES.values() if q.in_vpc])
def test_a_vrf_that_is_none_of_ours_becomes_no_command(probe: str, value: str) -> None:
    with pytest.raises(Odd, match="is no VRF"):
        list(probes()[probe].steps({"vrf": value, "address": "192.0.2.1"}, []))


def test_json_after_json() -> None:
    assert list(documents('{"a":1}\n{}\n[2],3 ')) == [{"a": 1}, {}, [2], 3]
    with pytest.raises(Odd, match="is not JSON"):
        list(documents("% Unknown command"))
