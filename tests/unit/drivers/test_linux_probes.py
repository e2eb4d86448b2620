"""Probes on what real FRR said, 8.4 and 10.3: rows of the shape that the query promises, with what was there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.captures import CASES, VERSIONS, Case, capture
from underlace.drivers.linux.probes import probes
from underlace.drivers.linux.probes.base import Odd, Said, documents
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


@pytest.mark.parametrize(("state", "up"), [("Established", 90), ("Active", 0), ("Idle", 0)])
def test_a_session_that_is_down_is_up_for_no_time(state: str, up: int) -> None:
    """FRR counts there how long it has been down."""
    peers = {"swp1": {"remoteAs": 2, "state": state, "peerUptimeMsec": 90_000}}
    said = [capture("8.4", CASES[0]).said[0]._replace(output=json.dumps({"ipv4Unicast": {"as": 1, "peers": peers}}))]
    (row,) = probes()["bgp-summary"].rows({}, said)
    assert row["uptime_seconds"] == up


@pytest.mark.parametrize("value", ["vpc-1; reboot", "../vpc-1", "vpc-", "-h", "default"])
@pytest.mark.parametrize("probe", [q.asked for q in QUERIES.values() if q.in_vpc])
def test_a_vrf_that_is_none_of_ours_becomes_no_command(probe: str, value: str) -> None:
    with pytest.raises(Odd, match="is no VRF"):
        list(probes()[probe].steps({"vrf": value, "to": "192.0.2.1", "port": 80}, []))


def test_json_after_json() -> None:
    assert list(documents('{"a":1}\n{}\n[2],3 ')) == [{"a": 1}, {}, [2], 3]
    with pytest.raises(Odd, match="is not JSON"):
        list(documents("% Unknown command"))


def only(found: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The one row that has these values."""
    (row,) = [r for r in found if all(r[name] == value for name, value in wanted.items())]
    return row


BOTH = pytest.mark.parametrize("version", VERSIONS)


@BOTH
def test_bgp_neighbor(version: str) -> None:
    found = rows(version, "bgp-neighbor")
    swp1 = only(found, vrf="default", peer="swp1")
    assert (swp1["state"], swp1["admin"], swp1["bfd"], swp1["hostname"]) == ("Established", "up", "Up", "spine1")
    assert (swp1["as_configured"], swp1["as_seen"], swp1["local_as"]) == ("external", 4200000000, 4200000002)
    assert swp1["received"]["l2vpn evpn"] > 0
    assert swp1["sent"]["ipv4 unicast"] > 0
    assert only(found, vrf="vpc-2", peer="192.0.2.1")["as_configured"] == "64496"
    assert [(r["vrf"], r["peer"]) for r in rows(version, "bgp-neighbor-in-a-vpc")] == [("vpc-2", "192.0.2.1")]


def test_a_neighbour_of_another_as_than_configured() -> None:
    """As FRR 8.4 shows it: the notification is there, an AS that was seen is not."""
    told = (
        '{"default":{"vrfId":0,"swp1":{"remoteAs":0,"localAs":5,"bgpState":"Idle","adminShutDown":true,'
        '"connectionsDropped":3,"lastResetTimerMsecs":1500,"lastResetDueTo":"BGP Notification send",'
        '"lastErrorCodeSubcode":"0202","lastNotificationReason":"OPEN Message Error/Bad Peer AS"}}}'
    )
    running = "router bgp 5\n neighbor swp1 interface remote-as 65009\nexit\n!\n neighbor swp1 remote-as 9\n"
    case = capture("8.4", next(c for c in CASES if c.probe == "bgp-neighbor"))
    said = [case.said[0]._replace(output=told), case.said[1]._replace(output=running)]
    (row,) = probes()["bgp-neighbor"].rows({}, said)
    assert (row["as_configured"], row["as_seen"], row["admin"], row["flaps"]) == ("65009", 0, "down", 3)
    assert row["last_notification"] == "OPEN Message Error/Bad Peer AS (2/2)"
    assert (row["last_reset"], row["last_reset_seconds"]) == ("BGP Notification send", 1)


@BOTH
def test_bgp_routes(version: str) -> None:
    found = rows(version, "bgp-routes")
    own = only(found, vrf="default", prefix="10.255.0.3/32")
    assert (own["best"], own["peer"], own["as_path"]) == (True, "", "")
    spine = only(found, vrf="default", prefix="10.255.0.1/32", best=True)
    assert (spine["as_path"], spine["origin"]) == ("4200000000", "IGP")
    assert {"default", "vpc-2", "vpc-60"} <= {r["vrf"] for r in found}
    one = rows(version, "bgp-routes-to-an-address")
    assert {r["prefix"] for r in one} == {"10.255.0.4/32"}
    assert {r["peer"] for r in one} == {"swp1", "swp2"}
    assert [r["best"] for r in one].count(True) == 1
    assert all(r["multipath"] for r in one)
    six = rows(version, "bgp-routes-in-a-vpc")
    assert {r["vrf"] for r in six} == {"vpc-60"}
    assert "2001:db8:1:1::/64" in {r["prefix"] for r in six}
    assert rows(version, "bgp-routes-of-none") == []


@BOTH
def test_evpn(version: str) -> None:
    found = rows(version, "evpn")
    assert {r["type"] for r in found} == {2, 3, 5}
    flood = next(r for r in found if r["rd"] == "10.255.0.3:1" and r["type"] == 3)
    assert (flood["address"], flood["vnis"], flood["next_hop"]) == ("10.255.0.3", [10001], "10.255.0.3")
    host = next(r for r in found if r["address"] == "203.0.113.12")
    assert host["vnis"] == [10000, 10001]
    assert host["mac"]
    of_a_vpc = rows(version, "evpn-prefixes-of-a-vpc")
    assert {(r["rd"], r["type"]) for r in of_a_vpc} == {("10.255.0.4:3", 5)}
    assert "10.1.1.0/24" in {r["address"] for r in of_a_vpc}
    case = capture(version, next(c for c in CASES if c.file == "evpn.json"))
    some = list(probes()["evpn"].rows({"vni": 10001}, case.said))
    assert some
    assert all(10001 in r["vnis"] for r in some)  # type: ignore[operator]


@BOTH
def test_vnis(version: str) -> None:
    found = rows(version, "vnis")
    l2 = only(found, vni=10005)
    assert (l2["type"], l2["vrf"], l2["vtep"], l2["interface"]) == ("L2", "vpc-60", "10.255.0.3", "vni10005")
    assert l2["remote_vteps"] == ["10.255.0.4"]
    assert l2["macs"] > 0
    l3 = only(found, vni=10002)
    assert (l3["type"], l3["vrf"], l3["state"], l3["router_mac"]) == ("L3", "vpc-60", "Up", "02:00:0a:ff:00:03")
    case = capture(version, next(c for c in CASES if c.file == "vnis.json"))
    assert [r["vni"] for r in probes()["vnis"].rows({"vni": 10002}, case.said)] == [10002]


@BOTH
def test_routes(version: str) -> None:
    found = rows(version, "routes")
    remote = only(found, vrf="default", prefix="10.255.0.4/32")
    assert (remote["protocol"], remote["selected"], remote["installed"]) == ("bgp", True, True)
    assert {hop.split()[1] for hop in remote["next_hops"]} == {"swp1", "swp2"}
    assert only(found, vrf="vpc-2", prefix="0.0.0.0/0")["protocol"] == "bgp"
    assert [r["prefix"] for r in rows(version, "routes-to-an-address")] == ["10.255.0.4/32"]
    assert {r["vrf"] for r in rows(version, "routes-in-a-vpc")} == {"vpc-60"}


@BOTH
def test_ports(version: str) -> None:
    found = rows(version, "ports")
    uplink = only(found, port="swp1")
    assert (uplink["vrf"], uplink["admin"], uplink["oper"], uplink["mtu"]) == ("default", "up", "up", 9216)
    assert (uplink["speed"], uplink["carrier_changes"] > 0, uplink["rx_bytes"] > 0) == (10_000, True, True)
    assert only(found, port="swp3")["oper"] == "down"
    assert only(found, port="swp5")["vrf"] == "vpc-60"
    assert len(found) == 16
    case = capture(version, next(c for c in CASES if c.file == "ports.json"))
    assert [r["port"] for r in probes()["ports"].rows({"port": "swp5"}, case.said)] == ["swp5"]


@BOTH
def test_macs_and_neighbours(version: str) -> None:
    found = rows(version, "macs")
    remote = only(found, vni=10002, mac="02:00:0a:ff:00:04")
    assert (remote["where"], remote["vtep"], remote["vrf"]) == ("remote", "10.255.0.4", "vpc-60")
    assert [r["port"] for r in found if r["where"] == "local" and r["vni"] == 10005] == ["swp5"]
    assert not [r for r in found if r["mac"].startswith(("33:33", "01:00:5e"))]
    known = {r["address"]: r for r in rows(version, "neighbours")}
    assert (known["10.1.1.11"]["learnt"], known["10.1.1.11"]["interface"]) == ("local", "br10005")
    assert (known["10.255.0.4"]["learnt"], known["10.255.0.4"]["mac"]) == ("evpn", "02:00:0a:ff:00:04")
    case = capture(version, next(c for c in CASES if c.probe == "neighbours"))
    assert len(list(probes()["neighbours"].rows({"address": "10.1.1.11"}, case.said))) == 1


@BOTH
def test_acl_counters(version: str) -> None:
    found = rows(version, "acl-counters")
    assert {r["vrf"] for r in found} == {"vpc-60"}
    assert {r["table"] for r in found} >= {"underlace"}
    assert only(found, table="underlace", chain="input", rule="")["action"] == "drop"


@BOTH
def test_services(version: str) -> None:
    found = {r["service"]: r for r in rows(version, "services")}
    for daemon in ("zebra", "bgpd", "staticd", "bfdd", *(["mgmtd"] if version == "10.3" else [])):
        assert (found[daemon]["state"], found[daemon]["needed"]) == ("up", True)
        assert found[daemon]["detail"].startswith(f"FRR {version}")
    assert ("mgmtd" in found) == (version == "10.3")
    assert found["agent"]["state"] == "up"
    assert (found["lldpd"]["state"], found["lldpd"]["needed"]) == ("down", False)


@pytest.mark.parametrize(
    ("probe", "arguments"),
    [
        ("bgp-neighbor", {"peer": "swp1 json"}),
        ("bgp-neighbor", {"peer": "../swp1"}),
        ("bgp-routes", {"prefix": "10.0.0.0/8 json"}),
        ("bgp-routes", {"prefix": "10.0.0.0/99"}),
        ("routes", {"prefix": "; show run"}),
        ("evpn", {"type": 9}),
        ("evpn", {"type": "5 json"}),
        ("evpn", {"vni": True}),
        ("vnis", {"vni": -1}),
        ("macs", {"vni": 1 << 24}),
        ("ports", {"port": "lo"}),
        ("neighbours", {"address": "x"}),
    ],
)
def test_arguments_that_are_none_become_no_command(probe: str, arguments: dict[str, Any]) -> None:
    def ask() -> None:
        steps = list(probes()[probe].steps(arguments, []))
        list(probes()[probe].rows(arguments, [Said(step, "[]") for step in steps]))

    with pytest.raises(Odd):
        ask()


def test_lldp() -> None:
    (row,) = rows("8.4", "lldp")
    assert (row["port"], row["system"], row["remote_port"]) == ("swp1", "spine1", "swp1")
    assert (row["remote_description"], row["chassis"], row["age_seconds"]) == ("underlace", "8e:6b:78:ab:1f:9a", 3)


def test_a_neighbour_with_a_hostile_name() -> None:
    """What came over the wire is a text and nothing else when somebody sees it."""
    case = capture("8.4", next(c for c in CASES if c.probe == "lldp"))
    name = "\\u001b[2J\\u001b]0;pwned\\u0007" + "\\u202e" + "x" * 5_000
    said = [case.said[0]._replace(output=case.said[0].output.replace("spine1", name, 1))]
    (row,) = shaped(QUERIES["lldp"].row, probes()["lldp"].rows({}, said))
    assert row.system == "[2J]0;pwned" + "x" * 244 + "…"  # type: ignore[attr-defined]


def sent(probe: str, came: object, **arguments: Any) -> list[dict[str, Any]]:
    """Rows of a probe that sends packets, and of what came back."""
    asked = {"to": "192.0.2.2", "vrf": "vpc-7", **arguments}
    (step,) = probes()[probe].steps(asked, [])
    assert step.netns == "vpc-7"
    assert step.words[1] == "192.0.2.2"
    found = list(probes()[probe].rows(asked, [Said(step, json.dumps(came))]))
    shaped(QUERIES[probe].row, found)
    assert all((row["vrf"], row["to"]) == ("vpc-7", "192.0.2.2") for row in found)
    return found


def reply(ms: float) -> dict[str, Any]:
    return {"kind": "reply", "source": "192.0.2.2", "ms": ms, "mtu": 0}


def test_ping() -> None:
    (row,) = sent("ping", [reply(1.0), {"kind": "", "why": ""}, reply(3.0), reply(2.0)], count=4)
    assert (row["sent"], row["received"], row["loss_percent"]) == (4, 3, 25)
    assert (row["least_ms"], row["mean_ms"], row["most_ms"], row["said"]) == (1.0, 2.0, 3.0, "")
    far = {"kind": "unreachable", "source": "192.0.2.9", "ms": 1.0, "mtu": 0}
    (row,) = sent("ping", [far, far, {"kind": "refused", "why": "Message too long"}])
    assert (row["loss_percent"], row["said"]) == (100, "Message too long, unreachable from 192.0.2.9")


def test_traceroute() -> None:
    way = {"kind": "exceeded", "source": "192.0.2.9", "ms": 1.0, "mtu": 0}
    found = sent("traceroute", [way, {"kind": "", "why": ""}, reply(2.0), reply(2.5)], hops=4)
    assert [(r["hop"], r["address"], r["said"]) for r in found] == [
        (1, "192.0.2.9", "on the way"),
        (2, "", "nothing"),
        (3, "192.0.2.2", "reached"),
    ]
    (row,) = sent("traceroute", [{"kind": "refused", "why": "Network is unreachable"}] * 12)
    assert row["said"] == "Network is unreachable"


@pytest.mark.parametrize(
    ("came", "state", "said"),
    [
        ({"kind": "open", "source": "192.0.2.2", "ms": 1.0}, "open", ""),
        ({"kind": "refused", "source": "192.0.2.2", "ms": 1.0}, "refused", ""),
        ({"kind": "unreachable", "source": "192.0.2.9", "ms": 1.0}, "unreachable", "by 192.0.2.9"),
        ({"kind": "", "why": ""}, "no answer", ""),
        ({"kind": "refused-here", "why": "Network is unreachable"}, "not sent", "Network is unreachable"),
    ],
)
def test_tcp(came: dict[str, Any], state: str, said: str) -> None:
    (row,) = sent("tcp", came, port=80)
    assert (row["port"], row["state"], row["said"]) == (80, state, said)


def test_path_mtu() -> None:
    (row,) = sent("path-mtu", {"mtu": 1400, "source": "192.0.2.9", "sure": True})
    assert (row["mtu"], row["limited_by"], row["exact"]) == (1400, "192.0.2.9", True)


@pytest.mark.parametrize("probe", [q.name for q in QUERIES.values() if q.active])
@pytest.mark.parametrize("to", ["", "red", "192.0.2.2/24", "-h", "192.0.2.2 x"])
def test_what_is_no_address_gets_no_packet(probe: str, to: str) -> None:
    with pytest.raises(Odd):
        list(probes()[probe].steps({"to": to, "port": 80}, []))
