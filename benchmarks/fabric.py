"""The neutral fabric as intent of Underlace: parsed documents, as they would come out of a YAML file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from benchmarks.topology import Topology
from underlace.model.document import Document
from underlace.model.ids import NO_TENANT

TENANT = "bench"


def documents(t: Topology) -> Iterator[Document]:
    """Fabric first, then what the tenant wants."""
    yield from _fabric(t)
    yield from _servers(t)
    yield from _tenant(t)


def fabric_document(kind: str, name: str, spec: dict[str, Any]) -> Document:
    return Document(kind, NO_TENANT, name, {}, spec)


def tenant_document(kind: str, name: str, spec: dict[str, Any], tenant: str = TENANT) -> Document:
    return Document(kind, tenant, name, {}, spec)


def _fabric(t: Topology) -> Iterator[Document]:
    yield fabric_document("site", "dc1", {"fabric_as": 65_000})
    yield tenant_document("allocation", "loopbacks", {"prefix": "10.254.0.0/22"}, "system")
    yield tenant_document("subnet", "loopbacks", {"prefix": "10.254.0.0/22", "purpose": "loopback"}, "system")
    for n in range(1, t.spines + 1):
        yield fabric_document("switch", f"spine{n}", {"site": "dc1", "role": "spine", "ports": t.leaves})
    ports = t.spines + 2 * -(-t.servers // t.leaves) + 1
    for n in range(1, t.leaves + 1):
        yield fabric_document("switch", f"leaf{n}", {"site": "dc1", "role": "leaf", "ports": ports})
        for s in range(1, t.spines + 1):
            link = {"a": f"swp{s}@leaf{n}", "b": f"swp{n}@spine{s}", "underlay": True}
            yield fabric_document("link", f"leaf{n}-spine{s}", link)


def switch_port(t: Topology, leaf: int, number: int) -> str:
    return f"swp{t.spines + number}@leaf{leaf}"


def spare_port(t: Topology, leaf: int) -> str:
    """The last port of a leaf, which no server is on."""
    return switch_port(t, leaf, 2 * -(-t.servers // t.leaves) + 1)


def _servers(t: Topology) -> Iterator[Document]:
    nics = defaultdict(list)
    for port in t.ports():
        nics[port.server].append(port)
    for server, ports in nics.items():
        yield fabric_document("server", server, {"site": "dc1", "nics": [{"name": p.nic} for p in ports]})
        for p in ports:
            link = {"a": f"{p.nic}@{server}", "b": switch_port(t, p.leaf, p.number)}
            yield fabric_document("link", f"{server}-{p.nic}", link)


def _tenant(t: Topology) -> Iterator[Document]:
    yield fabric_document("tenant", TENANT, {})
    for n in range(1, t.vrfs + 1):
        yield tenant_document("vpc", f"vpc{n}", {})
    members = defaultdict(list)
    for port in t.ports():
        for tag in port.vlans:
            members[tag].append({"port": switch_port(t, port.leaf, port.number), "vlan": tag})
    for vlan in t.all_vlans():
        vpc = f"vpc{vlan.vrf}"
        for family, prefix in (("v4", vlan.prefix4), ("v6", vlan.prefix6)):
            name = f"net{vlan.id}-{family}"
            yield tenant_document("allocation", name, {"prefix": prefix, "vpc": vpc})
            yield tenant_document("subnet", name, {"prefix": prefix, "vpc": vpc})
        gateways = [vlan.gateway4, vlan.gateway6]
        yield tenant_document("vnet", f"net{vlan.id}", {"vpc": vpc, "gateways": gateways, "ports": members[vlan.id]})
