"""Fabric links with addresses, beside some without, with real packets: they carry the fabric, and nobody else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support.fabric import apply, converged, judged
from underlace.lab.fabric import Fabric

LINKS4, LINKS6 = "10.254.0.0/24", "fd00:0:0:1::/112"


def subnet(name: str, prefix: str) -> list[dict[str, Any]]:
    return [
        {"kind": "allocation", "tenant": "system", "name": name, "spec": {"prefix": prefix}},
        {"kind": "subnet", "tenant": "system", "name": name, "spec": {"prefix": prefix, "purpose": "underlay"}},
    ]


def link(leaf: int, spine: int, **spec: Any) -> dict[str, Any]:
    ends = {"a": f"swp{spine}@leaf{leaf}", "b": f"swp{leaf}@spine{spine}", "underlay": True}
    return {"kind": "link", "name": f"leaf{leaf}-spine{spine}", "spec": {**ends, **spec}}


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """Both links of leaf1, one of leaf2 by a stated address; the others have none."""
    return (
        *subnet("links", LINKS4),
        *subnet("links-v6", LINKS6),
        link(1, 1, numbered=True),
        link(1, 2, numbered=True),
        link(2, 1, addresses=["10.254.0.9/31"]),
    )


def routes(fabric: Fabric, device: str, *options: str) -> set[str]:
    said = fabric.node(device).run(["ip", "route", "show", *options])
    return {line.split()[0] for line in said.splitlines() if line[:1].isdigit()}


def test_every_flow_passes_and_only_loopbacks_are_told(fabric: Fabric) -> None:
    assert judged(fabric).wrong == ()
    others = {"leaf2", "leaf3", "spine1", "spine2"}
    answers = {d: fabric.api.get(f"/v1/resources/switch/-/{d}")["status"]["addresses"]["loopback"][0] for d in others}
    assert routes(fabric, "leaf1", "proto", "bgp") == set(answers.values())
    assert routes(fabric, "leaf1", "proto", "kernel") == {"10.254.0.0/31", "10.254.0.2/31"}
    told = fabric.node("leaf3").run(["vtysh", "-c", "show bgp ipv4 unicast json"])
    assert "10.254.0.0/" not in told
    assert "10.254.0.8/" not in told


def test_sessions_run_between_the_links_addresses(fabric: Fabric) -> None:
    said = fabric.node("spine1").run(["vtysh", "-c", "show bgp neighbors"])
    others = set(re.findall(r"Foreign host: (\S+?),", said))
    assert {"10.254.0.0", "10.254.0.9"} <= others
    assert [other for other in others if other.startswith("fe80:")]
    bfd = fabric.node("leaf1").run(["vtysh", "-c", "show bfd peers brief"])
    up = {line.split()[2] for line in bfd.splitlines() if " up " in line}
    assert {"10.254.0.1", "10.254.0.3"} <= up, bfd


def test_the_links_are_closed_to_everybody_else(fabric: Fabric) -> None:
    """Law 11: what enters by a port that is not underlay reaches no address of a link."""
    guard = fabric.node("leaf1").run(["nft", "list", "table", "netdev", "underlace_swp5"], fabric.vrf("acme/red"))
    assert "10.254.0.0/24" in guard
    assert "fd00:0:0:1::/112" in guard
    for address in ("10.254.0.0", "10.254.0.1", "10.254.0.8"):
        asked = [{"id": "x", "protocol": "tcp", "address": address, "timeout": 0.5}]
        assert fabric.probe("r1", asked)["x"] == ""


def test_a_link_is_numbered_and_made_unnumbered_under_way(fabric: Fabric) -> None:
    apply(fabric, link(2, 2, numbered=True), link(1, 1))
    converged(fabric)
    assert routes(fabric, "leaf1", "proto", "kernel") == {"10.254.0.2/31"}
    assert judged(fabric).wrong == ()
