"""Random intents without fault, in which every kind occurs: for tests of what holds for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from underlace.model.document import Document

_PORTS = 10
_FIRST_FREE = 4
"""Ports below it carry the underlay."""


class _Ports:
    """Front-panel ports and lags that are still free, and VLANs on trunks."""

    def __init__(self, leaves: list[str]) -> None:
        self._free = {leaf: [f"swp{n}@{leaf}" for n in range(_FIRST_FREE, _PORTS + 1)] for leaf in leaves}
        self._vlan = 1

    def take(self, leaf: str, cable: bool = False) -> str | None:
        """A free one; with `cable`, one that is no lag."""
        found = [port for port in self._free[leaf] if not (cable and port.startswith("bond"))]
        if not found:
            return None
        self._free[leaf].remove(found[-1])
        return found[-1]

    def offer(self, leaf: str, port: str) -> None:
        self._free[leaf].append(port)

    def vlan(self) -> int:
        self._vlan += 1
        return self._vlan


def document(kind: str, name: str, spec: dict[str, Any] | None = None, tenant: str = "-") -> Document:
    return Document(kind, tenant, name, {}, spec or {})


@st.composite
def intents(draw: st.DrawFn) -> list[Document]:
    """Documents of a small fabric and its tenants, in no particular order."""
    found = list(_fabric(draw))
    leaves = [d.name for d in found if d.kind == "switch" and d.spec["role"] == "leaf"]
    ports = _Ports(leaves)
    found += _ports(draw, ports, leaves)
    found += _lags(draw, ports, leaves)
    vpcs = list(_tenants(draw, found))
    for i, (tenant, vpc, block) in enumerate(vpcs):
        found += _vnets(draw, ports, leaves, tenant, vpc, block)
        found += _links(draw, ports, leaves, tenant, vpc, block)
        if draw(st.booleans()):
            found += _session(draw, ports, leaves, tenant, vpc, i)
    found += _peerings(draw, vpcs)
    return draw(st.permutations(found))


def _fabric(draw: st.DrawFn) -> Iterator[Document]:
    sites = ["dc1", "dc2"][: draw(st.integers(1, 2))]
    for i, site in enumerate(sites):
        yield document("site", site, {"public_asn": draw(st.sampled_from([None, 64_500 + i]))})
        prefix = f"10.25{4 + i}.0.0/24"
        yield document("allocation", f"loopbacks-{site}", {"prefix": prefix}, "system")
        spec = {"prefix": prefix, "purpose": "loopback", "sites": [site]}
        yield document("subnet", f"loopbacks-{site}", spec, "system")
    for name, prefix in (("links", "10.253.0.0/24"), ("links-v6", "fd00::/120")):
        yield document("allocation", name, {"prefix": prefix}, "system")
        yield document("subnet", name, {"prefix": prefix, "purpose": "underlay"}, "system")
    bfd = {"transmit": draw(st.integers(50, 500)), "multiplier": draw(st.integers(2, 9))}
    devices = [f"spine{i}" for i in range(1, draw(st.integers(1, 2)) + 1)]
    served = len(devices) > 1 and draw(st.booleans())
    overlay = {"evpn": "route-servers" if served else "hop-by-hop"}
    yield document("profile", "fast", {"underlay": {"bfd": bfd, "mtu": 9_200}, "overlay": overlay})
    yield document("profile", "default", {"overlay": overlay})
    devices += [f"leaf{i}" for i in range(1, draw(st.integers(1, 3)) + 1)]
    for device in devices:
        yield document(
            "switch",
            device,
            {
                "site": draw(st.sampled_from(sites)),
                "role": device.rstrip("0123456789"),
                "ports": _PORTS,
                "profile": draw(st.sampled_from(["default", "fast"])),
                "route_server": served and device.startswith("spine"),
            },
        )
    yield document("switch", "oob1", {"site": sites[0], "role": "oob", "ports": _PORTS})
    for i, device in enumerate(devices, 1):
        yield document("link", f"{device}-oob", {"a": f"mgmt0@{device}", "b": f"swp{i}@oob1"})
    spines = [d for d in devices if d.startswith("spine")]
    for i, leaf in enumerate((d for d in devices if d.startswith("leaf")), 1):
        for n, spine in enumerate(spines, 1):
            spec: dict[str, Any] = {"a": f"swp{n}@{leaf}", "b": f"swp{i}@{spine}", "underlay": True}
            spec |= draw(st.sampled_from([{}, {"numbered": True}]))
            yield document("link", f"{leaf}-{spine}", spec)


def _ports(draw: st.DrawFn, ports: _Ports, leaves: list[str]) -> Iterator[Document]:
    """A server with a cable, and a port that is written down."""
    leaf = draw(st.sampled_from(leaves))
    server = {"site": "dc1", "nics": [{"name": "eth1", "addresses": ["10.9.9.9/24"]}]}
    labels = draw(st.sampled_from([{}, {"iface.eth1": "t0/disks"}, {"iface.eth1": "t0/disks, t1/disks"}]))
    yield Document("server", "-", "r1", labels, server)
    port = ports.take(leaf)
    assert port is not None
    yield document("link", "r1-leaf", {"a": "eth1@r1", "b": port})
    enabled, mtu = draw(st.booleans()), draw(st.sampled_from([None, 9_100]))
    yield document("port", port, {"enabled": enabled, "mtu": mtu, "description": "to r1"})


def _lags(draw: st.DrawFn, ports: _Ports, leaves: list[str]) -> Iterator[Document]:
    """Lags that others may be given, first of all."""
    for leaf in draw(st.lists(st.sampled_from(leaves), unique=True, max_size=2)):
        taken = [ports.take(leaf, cable=True) for _ in range(draw(st.integers(1, 2)))]
        members = [port.partition("@")[0] for port in taken if port is not None]
        mode = draw(st.sampled_from(["lacp", "static"]))
        yield document("lag", f"bond1@{leaf}", {"members": members, "mode": mode})
        ports.offer(leaf, f"bond1@{leaf}")


def _tenants(draw: st.DrawFn, found: list[Document]) -> Iterator[tuple[str, str, int]]:
    """(tenant, VPC, second byte of its addresses): some VPCs have the same addresses."""
    for t in range(draw(st.integers(1, 2))):
        tenant = f"t{t}"
        found.append(document("tenant", tenant))
        for v in range(draw(st.integers(1, 2))):
            vpc, block = f"vpc{v}", draw(st.integers(1, 3))
            found.append(document("vpc", vpc, {}, tenant))
            for family, prefix in (("v4", f"10.{block}.0.0/16"), ("v6", f"2001:db8:{block}::/48")):
                found.append(document("allocation", f"{vpc}-{family}", {"prefix": prefix, "vpc": vpc}, tenant))
            yield tenant, vpc, block


def _vnets(
    draw: st.DrawFn, ports: _Ports, leaves: list[str], tenant: str, vpc: str, block: int
) -> Iterator[Document]:
    for n in range(draw(st.integers(0, 2))):
        gateways = []
        for family, prefix, gateway in (
            ("v4", f"10.{block}.{n}.0/24", f"10.{block}.{n}.1/24"),
            ("v6", f"2001:db8:{block}:{n}::/64", f"2001:db8:{block}:{n}::1/64"),
        ):
            if draw(st.booleans()):
                name = f"{vpc}-{n}-{family}"
                yield document("subnet", name, {"prefix": prefix, "vpc": vpc}, tenant)
                gateways.append(gateway)
        members = []
        for leaf in draw(st.lists(st.sampled_from(leaves), max_size=3)):
            if (port := ports.take(leaf)) is not None:
                members.append({"port": port} | ({"vlan": ports.vlan()} if draw(st.booleans()) else {}))
        spec = {"vpc": vpc, "gateways": gateways, "ports": members, "mtu": draw(st.sampled_from([1_500, 9_000]))}
        if draw(st.booleans()):
            spec["port_labels"] = [{"label": "disks", "vlan": ports.vlan()}]
        yield document("vnet", f"{vpc}-{n}", spec, tenant)


def _links(
    draw: st.DrawFn, ports: _Ports, leaves: list[str], tenant: str, vpc: str, block: int
) -> Iterator[Document]:
    """A V-Net of routed links, static routes by its first host, and blackholes."""
    yield document("static-route", f"{vpc}-drop", {"vpc": vpc, "prefix": "172.16.0.0/12", "blackhole": True}, tenant)
    members: list[dict[str, Any]] = []
    for leaf in draw(st.lists(st.sampled_from(leaves), max_size=2)):
        if (port := ports.take(leaf)) is not None:
            members.append({"port": port})
    if not members:
        return
    subnets = [f"10.{block}.9.0/24", f"2001:db8:{block}:9::/64"][: draw(st.integers(1, 2))]
    for prefix in (*subnets, f"10.{block}.8.0/24"):
        yield document("subnet", f"{vpc}-{prefix}", {"prefix": prefix, "vpc": vpc}, tenant)
    given_ = draw(st.booleans())
    if given_:
        members[0]["addresses"] = [f"10.{block}.8.0/31"]
    yield document(
        "vnet", f"{vpc}-links", {"vpc": vpc, "type": "l3vpn", "subnets": subnets, "ports": members}, tenant
    )
    next_hop = f"10.{block}.8.1" if given_ else f"10.{block}.9.1"
    spec = {"vpc": vpc, "prefix": "192.168.0.0/16", "next_hop": next_hop}
    yield document("static-route", f"{vpc}-behind", spec, tenant)


def _session(draw: st.DrawFn, ports: _Ports, leaves: list[str], tenant: str, vpc: str, i: int) -> Iterator[Document]:
    if (port := ports.take(draw(st.sampled_from(leaves)), cable=True)) is None:
        return
    border = draw(st.booleans())
    spec: dict[str, Any] = {
        "port": port,
        "local_addresses": [f"192.0.2.{2 * i}/31", f"2001:db8:ffff::{2 * i:x}/127"],
        "remote_addresses": [f"192.0.2.{2 * i + 1}", f"2001:db8:ffff::{2 * i + 1:x}"],
        "remote_asn": 64_600 + i,
        "bfd": draw(st.booleans()),
        "announce": draw(st.sampled_from([None, []])),
    }
    name = f"{tenant}-{vpc}"
    yield document("bgp-peer", name, spec if border else spec | {"vpc": vpc}, "system" if border else tenant)


def _peerings(draw: st.DrawFn, vpcs: list[tuple[str, str, int]]) -> Iterator[Document]:
    """A chain of VPCs whose addresses differ from those of both neighbours."""
    chain: list[tuple[str, str, int]] = []
    for vpc in vpcs:
        if vpc[2] not in {other[2] for other in chain[-2:]}:
            chain.append(vpc)
    for i, ((tenant, a, _), (other, b, _)) in enumerate(pairwise(chain)):
        if draw(st.booleans()):
            yield document("vpc-peering", f"p{i}", {"a": {"vpc": a}, "b": {"vpc": f"{other}/{b}"}}, tenant)
