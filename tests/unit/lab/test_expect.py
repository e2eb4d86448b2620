"""The flow matrix from intent: equal to the one written by hand, and right about each rule of routing."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from lab.quickstart_matrix import matrix as by_hand
from underlace.lab import intent
from underlace.lab.expect import NOBODY, Matrix, matrix

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"

Documents = list[dict[str, Any]]


def answers(found: Matrix) -> dict[tuple[str, str], str]:
    return {(flow.source, flow.address): flow.answer for flow in found.flows}


@pytest.fixture(scope="module")
def original() -> intent.Intent:
    return intent.read(QUICKSTART)


@pytest.fixture
def documents(original: intent.Intent) -> Documents:
    return deepcopy([dict(d) for d in original.documents])


def spec(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    (found,) = [d["spec"] for d in documents if (d["kind"], d["name"]) == (kind, name)]
    assert isinstance(found, dict)
    return found


def without(documents: Documents, kind: str, name: str) -> Documents:
    kept = [d for d in documents if (d["kind"], d["name"]) != (kind, name)]
    assert len(kept) == len(documents) - 1
    return kept


def expected(documents: Documents, original: intent.Intent) -> dict[tuple[str, str], str]:
    return answers(matrix(intent.parse(documents, QUICKSTART, original.played)))


def test_the_quickstart_equals_the_matrix_written_by_hand(original: intent.Intent) -> None:
    found = matrix(original)
    assert answers(found) == by_hand()
    assert found.undecided == ()


def test_full_size_packets_have_the_smaller_mtu_of_both_ends(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "vnet", "red-db")["mtu"] = 1_400
    found = matrix(intent.parse(documents, QUICKSTART, original.played))
    sizes = {(f.source, f.answer): f.size for f in found.flows if f.answer}
    assert sizes["r1", "r2"] == 9_000
    assert sizes["r1", "r3"] == sizes["r3", "r1"] == 1_400
    assert sizes["d1", "isp1"] == 9_000


def test_without_the_peering_shared_and_red_never_meet(documents: Documents, original: intent.Intent) -> None:
    found = expected(without(documents, "vpc-peering", "red-shared"), original)
    assert found["r1", "10.9.1.11"] == found["s1", "10.1.1.11"] == NOBODY
    assert found["s1", "10.9.2.12"] == "s2"


def test_a_peering_opens_only_the_prefixes_that_it_names(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "vpc-peering", "red-shared")["b"]["prefixes"] = ["10.9.1.0/24"]
    found = expected(documents, original)
    assert found["r1", "10.9.1.11"] == "s1"
    assert found["r1", "10.9.2.12"] == NOBODY
    assert found["s2", "10.1.1.11"] == NOBODY, "the answer of r1 has no way back to s2"
    assert found["r1", "2001:db8:9:1::11"] == NOBODY


def test_a_v_net_without_gateway_reaches_its_own_segment_only(documents: Documents, original: intent.Intent) -> None:
    del spec(documents, "vnet", "red-web")["gateways"]
    found = expected(documents, original)
    assert found["r1", "10.1.1.12"] == "r2"
    assert found["r1", "10.1.2.13"] == found["r3", "10.1.1.11"] == found["s1", "10.1.1.11"] == NOBODY


def test_a_host_out_of_its_v_net_reaches_nobody(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "vnet", "red-web")["ports"].pop(0)
    found = expected(documents, original)
    assert {a for (source, _), a in found.items() if source == "r1"} == {NOBODY}
    assert found["r2", "10.1.1.11"] == NOBODY


def test_a_port_that_is_disabled_carries_nothing(documents: Documents, original: intent.Intent) -> None:
    documents.append({"kind": "port", "name": "swp5@leaf1", "spec": {"enabled": False}})
    found = expected(documents, original)
    assert found["r2", "10.1.1.11"] == NOBODY
    assert found["b2", "10.1.1.11"] == "b1"


def test_what_is_not_announced_gets_no_answer_from_outside(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "bgp-peer", "isp1")["announce"] = []
    found = expected(documents, original)
    assert found["isp1", "203.0.113.11"] == NOBODY
    assert found["d1", "198.51.100.1"] == NOBODY, "isp1 has no way back"
    assert found["d1", "198.51.100.2"] == "isp2"


def test_only_common_subnets_are_announced(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "subnet", "dmz-v4")["purpose"] = "inactive"
    found = expected(documents, original)
    assert found["isp1", "203.0.113.11"] == NOBODY
    assert found["isp1", "2001:db8:d::11"] == "d1"


def test_two_hosts_with_one_address_in_a_segment_are_undecided(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "server", "r2")["nics"][0]["addresses"][0] = "10.1.1.11/24"
    found = matrix(intent.parse(documents, QUICKSTART, original.played))
    assert ("r3", "10.1.1.11") in found.undecided
    assert ("s1", "10.1.1.11") in found.undecided


def test_two_upstreams_that_announce_the_same_are_undecided(documents: Documents, original: intent.Intent) -> None:
    played = deepcopy(original.played)
    for side in played["routers"].values():
        side["announce"] = ["0.0.0.0/0"]
    found = matrix(intent.parse(documents, QUICKSTART, played))
    assert ("d1", "198.51.100.1") in found.undecided


def routed(documents: Documents, port: str, *addresses: str, **member: Any) -> None:
    """A host `l1` on a link of the V-Net `rail` of VPC red."""
    nics = [{"name": "eth1", "addresses": [*addresses]}]
    vnet = {"vpc": "red", "type": "l3vpn", "subnets": ["10.1.9.0/24"], "ports": [{"port": port, **member}]}
    documents += [
        {"kind": "server", "name": "l1", "spec": {"site": "dc1", "nics": nics}},
        {"kind": "link", "name": "l1", "spec": {"a": "eth1@l1", "b": port}},
        {"kind": "vnet", "tenant": "acme", "name": "rail", "spec": vnet},
    ]


def test_a_host_on_a_link_of_its_own_reaches_its_vpc(documents: Documents, original: intent.Intent) -> None:
    routed(documents, "swp11@leaf1", "10.1.9.1/31")
    found = expected(documents, original)
    assert found["l1", "10.1.1.12"] == "r2"
    assert found["r3", "10.1.9.1"] == "l1"
    assert found["s1", "10.1.9.1"] == NOBODY, "no subnet says that it may be reached from elsewhere"
    assert found["b1", "10.1.9.1"] == NOBODY


def test_a_host_that_says_another_link_than_its_port_has_reaches_nobody(
    documents: Documents, original: intent.Intent
) -> None:
    routed(documents, "swp11@leaf1", "10.1.9.1/31", addresses=["10.1.8.0/31"])
    found = expected(documents, original)
    assert found["l1", "10.1.1.12"] == NOBODY
    assert found["r3", "10.1.9.1"] == NOBODY


def test_what_is_behind_a_host_is_reached_from_its_vpc(documents: Documents, original: intent.Intent) -> None:
    spec(documents, "server", "r2")["nics"][0]["addresses"] += ["10.50.0.1/32", "10.60.0.1/32"]
    for name, prefix, target in (
        ("behind", "10.50.0.0/24", {"next_hop": "10.1.1.12"}),
        ("wrong", "10.60.0.0/24", {"next_hop": "10.1.2.13"}),
    ):
        route = {"vpc": "red", "prefix": prefix, **target}
        documents.append({"kind": "static-route", "tenant": "acme", "name": name, "spec": route})
    found = expected(documents, original)
    assert found["r3", "10.50.0.1"] == found["r1", "10.50.0.1"] == "r2"
    assert found["b3", "10.50.0.1"] == found["s1", "10.50.0.1"] == NOBODY
    assert found["r1", "10.60.0.1"] == NOBODY, "r3 does not hold it and does not forward"


def test_a_blackhole_delivers_to_nobody(documents: Documents, original: intent.Intent) -> None:
    route = {"vpc": "border", "prefix": "198.51.100.1/32", "blackhole": True}
    assert expected(documents, original)["d1", "198.51.100.1"] == "isp1"
    documents.append({"kind": "static-route", "tenant": "system", "name": "drop", "spec": route})
    assert expected(documents, original)["d1", "198.51.100.1"] == NOBODY


def test_a_label_of_a_host_puts_it_into_a_v_net(documents: Documents, original: intent.Intent) -> None:
    web = spec(documents, "vnet", "red-web")
    web["ports"], web["port_labels"] = web["ports"][1:], [{"label": "web"}]
    server = next(d for d in documents if (d["kind"], d["name"]) == ("server", "r1"))
    assert expected(documents, original)["r2", "10.1.1.11"] == NOBODY
    server["labels"] = {"iface.eth1": "acme/web"}
    assert expected(documents, original)["r2", "10.1.1.11"] == "r1"
    server["labels"] = {"iface.eth1": "bolt/web"}
    assert expected(documents, original)["r2", "10.1.1.11"] == NOBODY
