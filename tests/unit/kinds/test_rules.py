"""Rules of kinds that the golden files do not show: the other direction of a change, and what is allowed."""

from __future__ import annotations

import pytest

from tests.support.view import MemoryView, drafts_of, view_of
from underlace.kinds.base import Unallocated, number
from underlace.kinds.registry import KINDS
from underlace.model.device import BgpNeighbor
from underlace.model.ids import BORDER_VPC, Ref, fabric
from underlace.model.net import MARTIANS
from underlace.model.resource import Mark, Watch

FABRIC = """
{kind: site, name: dc1, spec: {public_asn: 64500}}
---
{kind: allocation, tenant: system, name: lo, spec: {prefix: 10.255.0.0/24}}
---
{kind: subnet, tenant: system, name: lo, spec: {prefix: 10.255.0.0/24, purpose: loopback, sites: [dc1]}}
---
{kind: switch, name: leaf1, spec: {site: dc1, role: leaf, ports: 8}}
---
{kind: switch, name: leaf2, spec: {site: dc1, role: leaf, ports: 8}}
---
{kind: switch, name: spine1, spec: {site: dc1, role: spine, ports: 8}}
---
{kind: switch, name: oob1, spec: {site: dc1, role: oob, ports: 8}}
---
{kind: tenant, name: acme}
---
{kind: vpc, tenant: acme, name: red}
---
{kind: allocation, tenant: acme, name: red, spec: {prefix: 10.1.0.0/16, vpc: red}}
---
{kind: subnet, tenant: acme, name: web, spec: {prefix: 10.1.1.0/24, vpc: red}}
"""
VNET = """
kind: vnet
tenant: acme
name: web
spec:
  vpc: red
  gateways: [10.1.1.1/24]
  ports: [{port: swp5@leaf1}, {port: swp5@leaf2}, {port: swp6@leaf2, vlan: 9}]
"""
RED = Ref("vpc", "acme", "red")
WEB = Ref("vnet", "acme", "web")


def _view(*more: str) -> MemoryView:
    return view_of("\n---\n".join((FABRIC, *more)))


def _codes(*more: str) -> list[str]:
    return sorted(d.code for d in _view(*more).check())


def test_fabric_is_without_fault() -> None:
    assert _codes() == []
    assert _codes(VNET) == []


MINE = "tenant: acme, name: x, spec: {vpc: red, prefix:"
LOOPBACKS = "tenant: system, name: x, spec: {purpose: loopback, prefix:"


@pytest.mark.parametrize(
    ("document", "codes"),
    [
        (f"{LOOPBACKS} 10.254.0.0/15}}", {"loopback-prefix", "subnet-outside-allocation", "already-claimed"}),
        (f"{LOOPBACKS} '2001:db8::/64'}}", {"loopback-prefix", "subnet-outside-allocation"}),
        (f"{LOOPBACKS} 10.1.1.128/28}}", {"overlaps-underlay", "subnet-outside-allocation"}),
        (f"{LOOPBACKS} 10.1.0.0/16}}", {"overlaps-underlay", "subnet-outside-allocation"}),
        ("tenant: system, name: x, spec: {prefix: 10.255.0.9/32}", {"overlaps-underlay", "already-claimed"}),
        (f"{MINE} 10.1.2.0/24, purpose: inactive}}", set()),
        (
            "tenant: acme, name: x, spec: {prefix: 10.0.0.0/15, vpc: red}",
            {"subnet-outside-allocation", "already-claimed"},
        ),
        (
            "tenant: acme, name: x, spec: {prefix: 10.1.3.0/24, vpc: red, purpose: management}",
            {"purpose-outside-system"},
        ),
    ],
)
def test_subnets(document: str, codes: set[str]) -> None:
    found = _view(f"{{kind: subnet, {document}}}").check()
    assert {d.code for d in found if d.where.resource.endswith("/x")} == codes


@pytest.mark.parametrize(
    "prefix", [*MARTIANS, "127.1.2.0/24", "fe80:1::/64", "::ffff:10.1.2.0/120", "0.0.0.0/0", "::/0"]
)
def test_subnets_that_no_host_can_be_in(prefix: str) -> None:
    space = f"{{kind: allocation, tenant: acme, name: x, spec: {{prefix: '{prefix}', vpc: blue}}}}"
    subnet = f"{{kind: subnet, tenant: acme, name: x, spec: {{prefix: '{prefix}', vpc: blue, purpose: inactive}}}}"
    found = _view("{kind: vpc, tenant: acme, name: blue}", space, subnet).check()
    assert [d.code for d in found if d.where.resource == "subnet/acme/x"] == ["prefix-not-routable"]


@pytest.mark.parametrize(
    "prefix",
    ["10.2.0.0/24", "172.16.0.0/24", "192.168.0.0/24", "100.64.0.0/24", "203.0.113.0/24", "fd00:1::/64", "2600::/64"],
)
def test_subnets_of_private_and_of_public_space(prefix: str) -> None:
    space = f"{{kind: allocation, tenant: acme, name: x, spec: {{prefix: '{prefix}', vpc: blue}}}}"
    subnet = f"{{kind: subnet, tenant: acme, name: x, spec: {{prefix: '{prefix}', vpc: blue}}}}"
    assert _codes("{kind: vpc, tenant: acme, name: blue}", space, subnet) == []


def test_gateways_of_31_bits_have_no_network_address() -> None:
    subnet = "{kind: subnet, tenant: acme, name: p2p, spec: {prefix: 10.1.2.0/31, vpc: red}}"
    vnet = "{kind: vnet, tenant: acme, name: p2p, spec: {vpc: red, gateways: [10.1.2.0/31]}}"
    assert _codes(subnet, vnet) == []


def test_peerings_do_not_lead_two_ways() -> None:
    """Two VPCs with the same prefixes, each peered with a third: in the third their routes would meet."""
    more = []
    for name in ("blue", "green"):
        more += [
            f"{{kind: vpc, tenant: acme, name: {name}}}",
            f"{{kind: allocation, tenant: acme, name: {name}, spec: {{prefix: 10.2.0.0/16, vpc: {name}}}}}",
            f"{{kind: subnet, tenant: acme, name: {name}, spec: {{prefix: 10.2.1.0/24, vpc: {name}}}}}",
            f"{{kind: vpc-peering, tenant: acme, name: {name}, spec: {{a: {{vpc: red}}, b: {{vpc: {name}}}}}}}",
        ]
    view = _view(*more)
    found = view.check()
    assert [d.code for d in found] == ["peering-overlap"] * 2
    assert not any("10.2.1.0/24 of VPC acme/green" in d.detail for d in found if "blue" in d.where.resource)


def test_deleting_a_subnet_concerns_the_gateways_in_it() -> None:
    view = _view(VNET)
    vnet, subnet = view.resources[WEB], view.resources[Ref("subnet", "acme", "web")]
    watched = {watch.space for watch in KINDS["vnet"].watches(vnet, view)}
    assert watched & {mark.space for mark in KINDS["subnet"].marks(subnet, view)}


def test_switch_keeps_its_loopback_inside_the_subnets() -> None:
    """The subnet that its number came from has gone."""
    moved = FABRIC.replace("10.255.0.0/24", "10.253.0.0/24")
    numbers = {n: v for n, v in _view().numbers.items() if n[1] == "loopback"}
    view = MemoryView(drafts_of(moved), numbers=numbers)
    assert {d.code for d in view.check()} == {"loopback-outside-subnet"}


def test_loopbacks_are_host_addresses() -> None:
    view = _view()
    needs = list(KINDS["switch"].needs(view.resources[fabric("switch", "leaf1")], view))
    first, last = 0x0AFF0001, 0x0AFF00FE
    assert [need.ranges for need in needs if need.slot == "loopback"] == [((first, last),)]


def test_out_of_band_switches_are_recorded_only() -> None:
    view = _view()
    oob = view.resources[fabric("switch", "oob1")]
    kind = KINDS["switch"]
    assert [*kind.needs(oob, view), *kind.marks(oob, view), *kind.watches(oob, view), *kind.compile(oob, view)] == []


def test_only_leaves_are_tunnel_endpoints() -> None:
    assert _view().marked("vtep") == {"10.255.0.1", "10.255.0.2"}


def test_vnet_refers_to_each_switch_once_where_a_port_is_too() -> None:
    """A tenant user may name a port that is theirs: the switch behind it must stand at the same field."""
    vnet = _view(VNET).resources[WEB]
    references = list(KINDS["vnet"].refs(vnet))
    switches = [r for r in references if r.target.kind == "switch"]
    assert [(r.target.name, r.pointer) for r in switches] == [
        ("leaf1", "/spec/ports/0/port"),
        ("leaf2", "/spec/ports/1/port"),
    ]
    ports = {r.pointer for r in references if r.target.kind == "port" and r.soft}
    assert {r.pointer for r in switches} <= ports
    assert len(ports) == 3


def test_vnet_needs_follow_its_devices() -> None:
    view = _view(VNET)
    kind, vnet = KINDS["vnet"], view.resources[WEB]
    assert {(n.owner, n.slot) for n in kind.needs(vnet, view, {"leaf2"})} == {
        (WEB, "vni"),
        (WEB, "rd/leaf2"),
        (RED, "rd/leaf2"),
    }
    marks = set(kind.marks(vnet, view))
    assert marks >= {Mark("placed/acme/red", "leaf1"), Mark("placed/acme/red", "leaf2")}
    assert {m.space for m in marks} == {"placed/acme/red", "home/acme/red/10.1.1.0/24"}
    assert {f.device for f in kind.compile(vnet, view, {"leaf2"})} == {"leaf2"}
    assert Watch("overlay/dc1") in set(kind.watches(vnet, view))


def test_layer_two_places_no_routing() -> None:
    view = _view("{kind: vnet, tenant: acme, name: web, spec: {vpc: red, ports: [{port: swp5@leaf1}]}}")
    kind, vnet = KINDS["vnet"], view.resources[WEB]
    assert list(kind.marks(vnet, view)) == []
    assert {n.slot for n in kind.needs(vnet, view) if n.owner == RED} == set()
    assert {type(f.object).__name__ for f in kind.compile(vnet, view)} == {"L2Vni", "Vrf", "AccessPort"}


def test_peering_follows_either_vpc() -> None:
    peering = "{kind: vpc-peering, tenant: acme, name: p, spec: {a: {vpc: red}, b: {vpc: system/border}}}"
    view = _view(VNET, peering)
    kind, r = KINDS["vpc-peering"], view.resources[Ref("vpc-peering", "acme", "p")]
    needs = {(n.owner, n.slot) for n in kind.needs(r, view)}
    assert {(BORDER_VPC, "rd/leaf1"), (BORDER_VPC, "rd/leaf2"), (RED, "rd/leaf1")} <= needs
    assert {f.device for f in kind.compile(r, view, {"leaf1"})} == {"leaf1"}
    assert Watch("placed/acme/red", by_device=True) in set(kind.watches(r, view))


def test_a_number_that_is_missing_is_a_bug() -> None:
    view = _view()
    with pytest.raises(Unallocated, match="switch/-/leaf1 has no hat"):
        number(view, fabric("switch", "leaf1"), "hat")


def test_public_as_is_the_sites() -> None:
    switch = "{kind: switch, name: leaf3, spec: {site: dc1, role: leaf, ports: 8, asn: 64500}}"
    assert _codes(switch) == ["asn-is-public"]


def test_sessions_take_the_address_families_apart() -> None:
    six = "{kind: allocation, tenant: acme, name: six, spec: {prefix: '2001:db8::/48', vpc: red}}"
    subnet = "{kind: subnet, tenant: acme, name: six, spec: {prefix: '2001:db8::/64', vpc: red}}"
    peer = (
        "{kind: bgp-peer, tenant: acme, name: p, spec: {vpc: red, port: swp8@leaf1, local_addresses: [192.0.2.0/31, "
        "'2001:db8:f::/127'], remote_addresses: [192.0.2.1, '2001:db8:f::1'], remote_asn: 64496}}"
    )
    view = _view(six, subnet, peer)
    assert view.check() == []
    facts = KINDS["bgp-peer"].compile(view.resources[Ref("bgp-peer", "acme", "p")], view)
    exports = {f.object.peer: f.object.export for f in facts if isinstance(f.object, BgpNeighbor)}
    assert exports == {"192.0.2.1": {"10.1.1.0/24"}, "2001:db8:f::1": {"2001:db8::/64"}}


def test_loopback_outside_of_the_subnets_is_no_number_to_allocate() -> None:
    """The controller would refuse it as a number; the rule refuses it as an address."""
    view = _view("{kind: switch, name: leaf3, spec: {site: dc1, role: leaf, ports: 8, loopback: 10.9.9.9}}")
    needs = KINDS["switch"].needs(view.resources[fabric("switch", "leaf3")], view)
    assert [need.requested for need in needs if need.slot == "loopback"] == [None]
    assert [d.code for d in view.check()] == ["loopback-outside-subnet"]


def test_loopbacks_are_never_taken_from_an_ipv6_subnet() -> None:
    view = _view(f"{{kind: subnet, {LOOPBACKS} '2001:db8::/64', sites: [dc1]}}}}")
    needs = KINDS["switch"].needs(view.resources[fabric("switch", "leaf1")], view)
    assert all(high < 2**32 for need in needs for _, high in need.ranges)


def test_interfaces_of_a_server_have_names_of_their_own() -> None:
    assert _codes("{kind: server, name: r1, spec: {site: dc1, nics: [{name: eth1}, {name: eth1}]}}") == [
        "duplicate-nic"
    ]


def test_a_link_is_made_again_when_its_profiles_mtu_or_sessions_change() -> None:
    link = "{kind: link, name: l1, spec: {a: swp1@leaf1, b: swp1@spine1, underlay: true, mtu: 9216}}"
    view = _view(link)
    kind, r = KINDS["link"], view.resources[fabric("link", "l1")]
    marks = KINDS["profile"].marks(view.resources[fabric("profile", "default")], view)
    assert {watch.space for watch in kind.watches(r, view)} <= {mark.space for mark in marks}
    assert len(set(kind.watches(r, view))) == 2
