"""Labels of servers with real packets: a labelled host joins its V-Net, and leaves it with its label."""

from __future__ import annotations

from typing import Any

import pytest

from lab.test_hazards import host, segment
from support.fabric import apply, converged, judged
from underlace.lab.expect import NOBODY, matrix
from underlace.lab.fabric import Fabric


def labelled(name: str, port: str, tenant: str, label: str, *addresses: str) -> list[dict[str, Any]]:
    """A tenant's host on a port, with a label or without."""
    server, link = host(name, port, "1", *addresses)
    server["spec"]["tenant"] = tenant
    return [{**server, "labels": {"iface.eth1": label} if label else {}}, link]


def disks(tenant: str, vpc: str) -> list[dict[str, Any]]:
    """A V-Net without a port by name."""
    *subnets, vnet = segment(vpc, tenant, "disks", (1, 30))
    vnet["spec"]["port_labels"] = [{"label": "storage"}]
    return [*subnets, vnet]


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """The same label of two tenants."""
    return (
        *disks("acme", "red"),
        *disks("bolt", "blue"),
        *labelled("k1", "swp11@leaf1", "acme", "storage", "10.1.30.11/24", "2001:db8:1:30::11/64"),
        *labelled("k2", "swp11@leaf2", "acme", "storage", "10.1.30.12/24", "2001:db8:1:30::12/64"),
        *labelled("k3", "swp11@leaf3", "acme", "storage", "10.1.30.13/24", "2001:db8:1:30::13/64"),
        *labelled("n1", "swp12@leaf1", "bolt", "storage", "10.1.30.11/24", "2001:db8:1:30::11/64"),
    )


def answers(fabric: Fabric) -> dict[tuple[str, str], str]:
    return {(f.source, f.address): f.answer for f in matrix(fabric.current_intent()).flows}


def test_hosts_are_where_their_labels_put_them(fabric: Fabric) -> None:
    found = answers(fabric)
    assert found["k1", "10.1.30.12"] == "k2"
    assert found["r3", "2001:db8:1:30::12"] == "k2"
    assert found["b1", "10.1.30.11"] == "n1"
    assert found["n1", "10.1.30.12"] == NOBODY
    assert judged(fabric).wrong == ()


def test_a_host_goes_and_comes_with_its_label(fabric: Fabric) -> None:
    server, _ = labelled("k3", "swp11@leaf3", "acme", "storage", "10.1.30.13/24", "2001:db8:1:30::13/64")
    apply(fabric, {**server, "labels": {}})
    assert answers(fabric)["k1", "10.1.30.13"] == NOBODY
    assert judged(fabric).wrong == ()
    apply(fabric, server)
    assert answers(fabric)["k1", "10.1.30.13"] == "k3"
    converged(fabric)
    assert judged(fabric).wrong == ()
