"""Documents of every kind by chance, for one small fabric: most fit together, some do not."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from support.controlled import doc
from underlace.controller.document import Document
from underlace.kinds.registry import KINDS
from underlace.model.ids import Ref

LEAVES = ("leaf1", "leaf2", "leaf3")
SWITCHES = (*LEAVES, "spine1", "spine3")
SITES = ("dc1", "dc2")
TENANTS = ("acme", "bolt")
VPCS = (("acme", "red"), ("bolt", "blue"), ("system", "border"))
ALLOCATIONS = {
    "red": ("10.1.0.0/16", "2001:db8::/32"),
    "blue": ("10.1.0.0/16", "10.2.0.0/16"),
    "border": ("10.3.0.0/16",),
}
PREFIXES = {
    "red": ("10.1.1.0/24", "10.1.2.0/24", "2001:db8:1::/64"),
    "blue": ("10.1.1.0/24", "10.2.1.0/24"),
    "border": ("10.3.1.0/24", "10.3.0.0/20"),
}
DISTINCT = {"red": "10.1.2.0/24", "blue": "10.2.1.0/24", "border": "10.3.1.0/24"}
"""Red and blue overlap in part: a peering of theirs that opens more than these is refused."""

names = st.sampled_from(("one", "two", "three"))
leaves = st.sampled_from(LEAVES)
tenants = st.sampled_from(TENANTS)
vpcs = st.sampled_from(VPCS)
ports = st.builds(lambda n, leaf: f"swp{n}@{leaf}", st.integers(3, 6), leaves)
vnis = st.sampled_from((None, 1, 2, 3, 10_000, 10_002))
"""Few, so that one is often requested again while its last owner's devices have not let go of it."""


def _set(**fields: Any) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v is not None}


sites = st.builds(
    lambda name, f, p, m: doc("site", name, **_set(fabric_as=f, public_asn=p, anycast_mac=m)),
    st.sampled_from(SITES),
    st.sampled_from((65_000, 65_000, 65_001)),
    st.sampled_from((None, 64_500)),
    st.sampled_from((None, "02:00:5e:00:01:02")),
)
tenant_documents = st.builds(
    lambda name, text: doc("tenant", name, **_set(description=text)),
    st.sampled_from((*TENANTS, "corp")),
    st.sampled_from((None, "Corp.")),
)
"""Corp has nothing, so it can go without anything else."""

nic_labels = st.dictionaries(
    st.sampled_from(("iface.eth1", "iface.eth2", "rack")),
    st.sampled_from(("disks", "disks, bolt/disks", "bolt/disks", "nothing")),
)
servers = st.builds(
    lambda name, site, nics, role, tenant, labels: Document(
        Ref("server", "-", name), _set(site=site, nics=[{"name": n} for n in nics], role=role, tenant=tenant), labels
    ),
    st.sampled_from(("host1", "host1", "host2", "spine2")),
    st.sampled_from(("dc1", *SITES)),
    st.sampled_from((("eth1",), ("eth1", "eth2"), ("eth1", "eth2"))),
    st.sampled_from((None, None, "router")),
    st.sampled_from((None, *TENANTS, "acme")),
    nic_labels,
)
profiles = st.builds(
    lambda name, mtu, rate, evpn: doc(
        "profile", name, underlay=_set(mtu=mtu), protection=_set(icmp_rate=rate), overlay=_set(evpn=evpn)
    ),
    st.sampled_from(("default", "wide", "narrow")),
    st.sampled_from((None, 9_100)),
    st.sampled_from((None, 50)),
    st.sampled_from((None, None, "route-servers")),
)
switches = st.builds(
    lambda name, site, asn, profile, loopback, serves: doc(
        "switch",
        name,
        **_set(
            site=site,
            role="spine" if name.startswith("spine") else "leaf",
            ports=8,
            asn=asn,
            profile=profile,
            loopback=loopback,
            route_server=serves and name.startswith("spine"),
        ),
    ),
    st.sampled_from(SWITCHES),
    st.sampled_from(("dc1", *SITES)),
    st.sampled_from((None, None, 4_200_000_100, 4_200_000_101)),
    st.sampled_from((None, "wide")),
    st.sampled_from((None, None, "10.255.0.7", "10.255.0.1")),
    st.booleans(),
)
links = st.builds(
    lambda leaf, underlay, addresses: doc(
        "link",
        f"{leaf}-spine1",
        a=f"swp1@{leaf}",
        b=f"swp{LEAVES.index(leaf) + 1}@spine1",
        underlay=underlay,
        **(addresses if underlay else {}),
    ),
    leaves,
    st.booleans(),
    st.sampled_from(
        ({}, {"numbered": True}, {"addresses": ["10.253.0.3/31"]}, {"addresses": ["fd00::2/127"], "numbered": True})
    ),
)
cables = st.builds(
    lambda n, leaf, nic: doc("link", f"host{n}", a=f"swp{n + 2}@{leaf}", b=f"{nic}@host{n}"),
    st.integers(1, 2),
    leaves,
    st.sampled_from(("eth1", "eth2")),
)
overrides = st.builds(
    lambda port, mtu, tenant, enabled: doc("port", port, **_set(mtu=mtu, tenant=tenant, enabled=enabled)),
    ports,
    st.sampled_from((None, 9_000)),
    st.sampled_from((None, "acme")),
    st.booleans(),
)

lags = st.builds(
    lambda members, leaf, mtu, tenant: doc("lag", f"bond1@{leaf}", members=members, **_set(mtu=mtu, tenant=tenant)),
    st.sampled_from((["swp5"], ["swp5", "swp6"], ["swp6", "swp7"])),
    leaves,
    st.sampled_from((None, 9_000)),
    st.sampled_from((None, "acme")),
)


def _of(prefixes: dict[str, tuple[str, ...]]) -> st.SearchStrategy[tuple[tuple[str, str], str]]:
    return vpcs.flatmap(lambda v: st.tuples(st.just(v), st.sampled_from(prefixes[v[1]])))


def allocation(vpc: tuple[str, str], prefix: str, wider: bool = False) -> Document:
    held = str(ip_network(prefix).supernet()) if wider else prefix
    return doc("allocation", f"{vpc[1]}-{prefix}", vpc[0], prefix=held, vpc="/".join(vpc))


def subnet(vpc: tuple[str, str], prefix: str, purpose: str | None = None) -> Document:
    return doc("subnet", f"{vpc[1]}-{prefix}", vpc[0], **_set(prefix=prefix, vpc="/".join(vpc), purpose=purpose))


allocations = st.builds(lambda x, wider: allocation(*x, wider), _of(ALLOCATIONS), st.booleans())
subnets = st.builds(lambda x, purpose: subnet(*x, purpose), _of(PREFIXES), st.sampled_from((None, None, "inactive")))
loopbacks = st.builds(
    lambda p: doc("subnet", f"loopbacks-{p}", "system", prefix=p, purpose="loopback"),
    st.sampled_from(("10.255.0.0/28", "10.254.0.0/28")),
)
fabric_links = st.builds(
    lambda p, site: doc("subnet", f"links-{p}", "system", **_set(prefix=p, purpose="underlay", sites=site)),
    st.sampled_from(("10.253.0.0/29", "10.253.0.8/29", "fd00::/126")),
    st.sampled_from((None, None, ["dc1"])),
)
vpc_documents = st.builds(lambda v, vni: doc("vpc", v[1], v[0], **_set(vni=vni)), vpcs, vnis)


def _gateway(prefix: str) -> str:
    network, _, length = prefix.partition("/")
    return f"{network}1/{length}" if ":" in network else f"{network[:-1]}1/{length}"


members = st.lists(st.tuples(ports, st.sampled_from((None, 10, 20))), max_size=4, unique_by=lambda m: m[0])
selections = st.sampled_from(((), (), ({"label": "disks"},), ({"label": "disks", "vlan": 30}, {"label": "nothing"})))
vnets = vpcs.flatmap(
    lambda v: st.builds(
        lambda name, members, labels, prefixes, vni: doc(
            "vnet",
            name,
            v[0] if v[0] != "system" else "acme",
            **_set(
                vpc="/".join(v),
                port_labels=[*labels],
                ports=[_set(port=p, vlan=vlan) for p, vlan in members],
                gateways=sorted(map(_gateway, prefixes)),
                vni=vni,
            ),
        ),
        names,
        members,
        selections,
        st.sets(st.sampled_from(PREFIXES[v[1]]), max_size=2),
        vnis,
    )
)
routed_vnets = vpcs.flatmap(
    lambda v: st.builds(
        lambda name, members, prefixes: doc(
            "vnet",
            name,
            v[0] if v[0] != "system" else "acme",
            vpc="/".join(v),
            type="l3vpn",
            subnets=sorted(prefixes),
            ports=[_set(port=p, addresses=address) for p, address in members],
        ),
        names,
        st.lists(
            st.tuples(ports, st.sampled_from((None, None, ["10.1.1.8/31"], ["10.3.1.9/31"]))),
            max_size=3,
            unique_by=lambda m: m[0],
        ),
        st.sets(st.sampled_from(PREFIXES[v[1]]), max_size=2),
    )
)
statics = vpcs.flatmap(
    lambda v: st.builds(
        lambda name, prefix, next_hop, blackhole, devices: doc(
            "static-route",
            name,
            v[0] if v[0] != "system" else "acme",
            vpc="/".join(v),
            prefix=prefix,
            **(_set(next_hop=next_hop) if not blackhole else {"blackhole": True}),
            devices=sorted(devices),
        ),
        names,
        st.sampled_from(("10.50.0.0/24", "10.51.0.0/24", "0.0.0.0/0")),
        st.sampled_from(("10.1.1.9", "10.1.2.9", "10.2.1.9", "10.3.1.9")),
        st.booleans(),
        st.sets(st.sampled_from(SWITCHES), max_size=1),
    )
)
peerings = st.builds(
    lambda a, b, some: doc(
        "vpc-peering",
        f"{a[1]}-{b[1]}",
        "acme",
        a={"vpc": "/".join(a)} | ({"prefixes": [DISTINCT[a[1]]]} if some else {}),
        b={"vpc": "/".join(b)} | ({"prefixes": [DISTINCT[b[1]]]} if some else {}),
    ),
    vpcs,
    vpcs,
    st.booleans(),
)
sessions = st.builds(
    lambda port, v, bfd: doc(
        "bgp-peer",
        "up",
        "system",
        vpc=f"{v[0]}/{v[1]}",
        port=port,
        local_addresses=["192.0.2.0/31"],
        remote_addresses=["192.0.2.1"],
        remote_asn=64_496,
        bfd=bfd,
    ),
    ports,
    vpcs,
    st.booleans(),
)
STRATEGIES: dict[str, st.SearchStrategy[Document]] = {
    "site": sites,
    "tenant": tenant_documents,
    "profile": profiles,
    "switch": switches,
    "server": servers,
    "link": links | cables,
    "port": overrides,
    "lag": lags,
    "vpc": vpc_documents,
    "allocation": allocations,
    "subnet": subnets | loopbacks | fabric_links,
    "vnet": vnets | routed_vnets,
    "static-route": statics,
    "vpc-peering": peerings,
    "bgp-peer": sessions,
}
documents = st.one_of(*STRATEGIES.values(), *(vnets,) * 4, *(routed_vnets,) * 2)

START = (
    doc("site", "dc1"),
    doc("profile", "wide"),
    doc("allocation", "loopbacks", "system", prefix="10.254.0.0/15"),
    doc("allocation", "links", "system", prefix="10.253.0.0/24"),
    doc("allocation", "links-v6", "system", prefix="fd00::/64"),
    doc("subnet", "links-10.253.0.0/29", "system", prefix="10.253.0.0/29", purpose="underlay"),
    doc("subnet", "loopbacks-10.255.0.0/28", "system", prefix="10.255.0.0/28", purpose="loopback"),
    Document(
        Ref("server", "-", "host1"),
        {"site": "dc1", "nics": [{"name": "eth1"}, {"name": "eth2"}], "tenant": "acme"},
        {"iface.eth1": "disks"},
    ),
    doc("link", "host1", a="swp3@leaf1", b="eth1@host1"),
    doc("vnet", "three", "acme", vpc="red", port_labels=[{"label": "disks", "vlan": 30}], gateways=["10.1.2.1/24"]),
    *(doc("tenant", name) for name in TENANTS),
    *(doc("vpc", name, tenant) for tenant, name in VPCS),
    *(allocation(v, p) for v in VPCS for p in ALLOCATIONS[v[1]]),
    *(subnet(v, p) for v in VPCS for p in PREFIXES[v[1]][:2] if p != "10.3.0.0/20"),
    *(
        doc("switch", name, site="dc1", role="spine" if name == "spine1" else "leaf", ports=8)
        for name in ("leaf1", "leaf2", "spine1")
    ),
    doc("link", "leaf1-spine1", a="swp1@leaf1", b="swp1@spine1", underlay=True),
    doc(
        "vnet",
        "one",
        "acme",
        vpc="red",
        ports=[{"port": "swp3@leaf1"}, {"port": "swp3@leaf2"}],
        gateways=["10.1.1.1/24"],
    ),
    doc("vnet", "one", "bolt", vpc="blue", ports=[{"port": "swp4@leaf1"}], gateways=["10.2.1.1/24"], vni=1),
)
FOUNDATION = tuple(d for d in START if d.ref.kind in ("switch", "vpc"))
OFTEN = frozenset({"vnet", "static-route", "vpc-peering", "bgp-peer", "link", "port", "lag"})
"""What others do not refer to."""

SELDOM = frozenset(KINDS)

ALONE: dict[str, tuple[Document, dict[str, Any]]] = {
    "site": (doc("site", "dc3"), {"public_asn": 64_501}),
    "tenant": (doc("tenant", "lone"), {"description": "Lone."}),
    "profile": (doc("profile", "lone"), {"protection": {"icmp_rate": 7}}),
    "switch": (doc("switch", "oob9", site="dc1", role="oob", ports=4), {"ports": 5}),
    "server": (doc("server", "host9", site="dc1"), {"nics": [{"name": "eth1"}]}),
    "link": (doc("link", "lone", a="swp7@leaf1", b="swp7@spine1"), {"underlay": True}),
    "port": (doc("port", "swp8@leaf1"), {"mtu": 1_500}),
    "lag": (doc("lag", "bond8@leaf1", members=["swp8"]), {"mode": "static"}),
    "vpc": (doc("vpc", "lone", "acme"), {"vni": 4_000}),
    "allocation": (doc("allocation", "lone", "acme", prefix="10.9.0.0/16", vpc="red"), {"prefix": "10.9.0.0/17"}),
    "subnet": (doc("subnet", "lone", "acme", prefix="10.1.9.0/24", vpc="red"), {"purpose": "inactive"}),
    "vnet": (doc("vnet", "lone", "acme", vpc="red", ports=[{"port": "swp8@leaf1"}]), {"mtu": 1_400}),
    "static-route": (
        doc("static-route", "lone", "acme", vpc="red", prefix="10.59.0.0/24", blackhole=True),
        {"devices": ["leaf1"]},
    ),
    "vpc-peering": (
        doc("vpc-peering", "lone", "acme", a={"vpc": "red"}, b={"vpc": "system/border"}),
        {"a": {"vpc": "red", "prefixes": ["10.1.2.0/24"]}},
    ),
    "bgp-peer": (
        doc(
            "bgp-peer",
            "lone",
            "system",
            port="swp8@leaf1",
            local_addresses=["198.51.100.0/31"],
            remote_addresses=["198.51.100.1"],
            remote_asn=64_497,
        ),
        {"bfd": True},
    ),
}
"""Of each kind something that nothing else needs, so that it is seldom refused; and an edit of it."""
