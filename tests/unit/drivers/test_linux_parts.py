"""The pure parts of the Linux driver: what it can do, what changes hurt, filters, boot files, what a person reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from support.linux_models import (
    base,
    bonded,
    border,
    everything,
    heartbeat,
    red,
    red_shared,
    shared,
    trunk,
    upstream,
    vnet,
    vpc,
)
from underlace.diff.change import changes
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver, boot, rules
from underlace.drivers.linux.native import Bridge, FrrLine, Item, NftTable, PortLink, Route, Vxlan
from underlace.drivers.protocol import Items
from underlace.model.change import Change, Disruption, Key, Verb
from underlace.model.device import AccessPort, BgpNeighbor, BgpRouter, DeviceObject, Port, Svi, System, TaggedPort

DRIVER = LinuxDriver()


def table(items: Items, *key: str) -> NftTable:
    found = items[("nft", *key)]
    assert isinstance(found, NftTable)
    return found


def test_capabilities_follow_the_version() -> None:
    assert DRIVER.capabilities("8.4.4").vrf_maximum_paths == 1
    assert DRIVER.capabilities("10.3").vrf_maximum_paths > 1
    assert DRIVER.capabilities("").version == "8.4"
    assert DRIVER.capabilities().tagged_ports
    assert DRIVER.capabilities("next").vrf_maximum_paths == 1, "nothing is expected of a release that cannot be told"


def test_every_port_that_is_not_underlay_is_guarded_where_it_lives() -> None:
    items = DRIVER.items(everything())
    guarded = {key[1:] for key in items if key[0] == "nft" and key[2] == "netdev"}
    links = {(i.netns, "netdev", f"underlace_{i.port}") for i in items.values() if isinstance(i, PortLink)}
    assert links - guarded == {("", "netdev", "underlace_swp1")}
    assert guarded < links


def test_a_port_comes_up_behind_its_guard() -> None:
    items = DRIVER.items(everything())
    for item in items.values():
        if isinstance(item, PortLink) and item.port != "swp1":
            assert ("nft", item.netns, "netdev", f"underlace_{item.port}") in item.refs


def test_a_port_without_a_use_passes_nothing() -> None:
    items = DRIVER.items(everything())
    assert "  counter drop" in table(items, "", "netdev", "underlace_swp8").skeleton
    used = table(items, "vpc-1", "netdev", "underlace_swp2")
    assert dict(used.sets) == {
        "tags": {'10 comment "vpc-2"'},
        "underlay4": {"10.255.0.0/24"},
        "underlay6": {"2001:db8:f::/48"},
        "hosts4": {"10.1.1.0/24", "0.0.0.0"},
        "hosts6": {"2001:db8:1:1::/64", "fe80::/10", "::"},
    }


def test_rules_about_the_underlay_are_of_the_families_that_it_has() -> None:
    four = [
        replace(o, underlay=frozenset({"10.255.0.0/24"})) if o.key == ("protection",) else o for o in everything()
    ]
    for key in (("", "inet", "underlace"), ("vpc-1", "netdev", "underlace_swp2")):
        both, one = table(DRIVER.items(everything()), *key), table(DRIVER.items(four), *key)
        assert any("ip6 daddr @underlay6 counter drop" in rule for rule in both.skeleton)
        assert not any("underlay6" in rule for rule in one.skeleton)
        assert "underlay6" not in dict(one.sets)
        assert any("ip daddr @underlay4 counter drop" in rule for rule in one.skeleton)


def test_a_host_claims_addresses_of_its_own_subnets_only() -> None:
    used = table(DRIVER.items(everything()), "vpc-1", "netdev", "underlace_swp2").skeleton
    assert used.index("  meta protocol { 8021q, 8021ad } counter drop") < used.index(
        "  ip daddr @underlay4 counter drop"
    )
    assert "  arp saddr ip != @hosts4 counter drop" in used
    assert "  icmpv6 type nd-neighbor-solicit ip6 saddr != @hosts6 counter drop" in used
    claim = "  icmpv6 type nd-neighbor-advert @th,64,10 != 0x3fa @th,64,64 != 0x20010db800010001 counter drop"
    assert claim in used


def test_bgp_is_for_neighbours_on_their_link_and_for_its_address() -> None:
    found = table(DRIVER.items(everything()), "vpc-9", "inet", "underlace")
    sets = dict(found.sets)
    assert (sets["neighbors4"], sets["own4"]) == ({'"swp5" . 192.0.2.1'}, {'"swp5" . 192.0.2.0'})
    assert (sets["neighbors6"], sets["own6"]) == ({'"swp5" . 2001:db8:ffff::1'}, {'"swp5" . 2001:db8:ffff::'})
    for netns in ("", "vpc-9"):
        rules = [r for r in table(DRIVER.items(everything()), netns, "inet", "underlace").skeleton if "179" in r]
        assert rules
        assert all("iifname" in rule and "saddr" in rule and "daddr" in rule for rule in rules)


def test_a_session_on_a_gateway_is_for_the_address_of_the_gateway() -> None:
    """Of two gateways of the VRF, the one whose network has the neighbour."""
    speaker = BgpNeighbor("vpc-1", "10.1.1.9", remote_as=64_777)
    lost = BgpNeighbor("vpc-1", "10.99.0.1", remote_as=64_777)
    more = vnet("vpc-1", 10_102, 8, ("10.1.2.1/24",))
    items = DRIVER.items(base() + red() + more + [speaker, lost])
    sets = dict(table(items, "vpc-1", "inet", "underlace").sets)
    assert (sets["neighbors4"], sets["own4"]) == ({'"br10101" . 10.1.1.9'}, {'"br10101" . 10.1.1.1'})
    assert DRIVER.model(items)[speaker.key] == DRIVER.normalise([*red(), speaker])[speaker.key]


def test_a_spine_takes_no_tunnels() -> None:
    spine: list[DeviceObject] = [replace(base()[0], vtep=False), *base()[1:]]
    main = table(DRIVER.items(spine), "", "inet", "underlace")
    assert not [line for line in main.skeleton if "4789" in line]
    assert [line for line in table(DRIVER.items(base()), "", "inet", "underlace").skeleton if "4789" in line]


def test_only_prefixes_of_the_peering_pass_its_pair() -> None:
    sets = dict(table(DRIVER.items(everything()), "vpc-1", "inet", "underlace").sets)
    assert sets["local4"] == {'"pr7" . 10.1.0.0/16'}
    assert sets["remote4"] == {'"pr7" . 10.9.0.0/16'}
    assert sets["remote6"] == {'"pr7" . 2001:db8:9::/48'}


def test_a_peering_needs_no_addresses_of_its_own() -> None:
    routes = [item for item in DRIVER.items(everything()).values() if isinstance(item, Route)]
    assert {route.via for route in routes} == {"fe80::1:7:0", "fe80::1:7:1"}


def test_a_vnet_without_a_gateway_takes_no_part() -> None:
    bridge = DRIVER.items(base() + heartbeat())[("bridge", "vpc-3", "br10301")]
    assert isinstance(bridge, Bridge)
    assert ("ipv6/disable_ipv6", "1") in bridge.settings
    assert ("ipv4/forwarding", "0") in bridge.settings


def test_gateways_reach_silent_hosts() -> None:
    bridge = DRIVER.items(base() + red())[("bridge", "vpc-1", "br10101")]
    assert isinstance(bridge, Bridge)
    assert ("ipv4/arp_accept", "1") in bridge.settings
    assert ("ipv6/accept_untracked_na", "1") in bridge.settings


def test_tunnels_leave_room_for_the_header() -> None:
    tunnel = DRIVER.items(base() + red())[("vxlan", "vpc-1", "vni50001")]
    assert isinstance(tunnel, Vxlan)
    assert tunnel.mtu == 9216 - 50


def test_the_underlay_announces_and_takes_loopbacks_only() -> None:
    lines = {item.line for item in DRIVER.items(everything()).values() if isinstance(item, FrrLine)}
    own = {line for line in lines if line.startswith("ip prefix-list underlace-fabric ")}
    assert {line.split(" ", 5)[-1] for line in own} == {"permit 10.255.0.0/24 ge 32", "deny any"}
    assert {
        "neighbor swp1 prefix-list underlace-fabric in",
        "neighbor swp1 prefix-list underlace-fabric out",
    } <= lines


def test_a_list_without_prefixes_lets_nothing_pass() -> None:
    """FRR takes an empty list for one that permits: the last entry is always there."""
    objects = [replace(o, export=frozenset()) if o.key[:2] == ("bgp-neighbor", "vpc-9") else o for o in border()]
    lines = {item.line for item in DRIVER.items(base() + objects).values() if isinstance(item, FrrLine)}
    assert "ip prefix-list underlace-vpc-9-192.0.2.1-out seq 4294967295 deny any" in lines


def test_a_new_prefix_moves_no_other_entry() -> None:
    def entries(*prefixes: str) -> Items:
        neighbors = [replace(o, export=frozenset(prefixes)) if o.key[0] == "bgp-neighbor" else o for o in border()]
        return DRIVER.items(base() + neighbors)

    found = changes(entries("10.1.0.0/16", "10.3.0.0/16"), entries("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"))
    assert {change.verb for change in found} == {Verb.CREATE}


def test_tenant_text_reaches_no_device() -> None:
    noisy: list[DeviceObject] = [
        replace(o, description="x\nno router bgp") if o.key[0] in ("port", "bgp-neighbor") else o
        for o in everything()
    ]
    assert DRIVER.items(noisy) == DRIVER.items(everything())


def test_a_vlan_has_a_link_behind_a_guard_of_its_own() -> None:
    items = DRIVER.items(everything())
    link = items["port", "vpc-2", "swp2.10"]
    assert isinstance(link, PortLink)
    assert (link.bridge, link.up) == ("br10201", True)
    assert {("tag", "vpc-2", "swp2.10"), ("nft", "vpc-2", "netdev", "underlace_swp2.10")} < link.refs
    assert ("placement", "vpc-1", "swp2") in items["tag", "vpc-2", "swp2.10"].refs
    guard = table(items, "vpc-2", "netdev", "underlace_swp2.10")
    assert "10.9.1.0/24" in dict(guard.sets)["hosts4"]
    assert "  ether type { 8021q, 8021ad } counter drop" in guard.skeleton


def test_a_guard_lets_a_vlan_through_while_its_link_stands() -> None:
    """Before it is made and after it is gone, the kernel would take the frames for the port's own."""
    items = DRIVER.items(everything())
    for netns, port, tag in (("vpc-1", "swp2", "vpc-2"), ("", "swp6", "vpc-1")):
        guard = table(items, netns, "netdev", f"underlace_{port}")
        (element,) = dict(guard.sets)["tags"]
        vlan, _, _ = element.partition(" ")
        assert ("tag", tag, f"{port}.{vlan}") in guard.refs
        rules = list(guard.skeleton)
        dropped = rules.index("  vlan id != 0 counter drop")
        assert rules.index("  ether type 8021ad counter drop") < rules.index("  vlan id @tags accept") < dropped
    assert "  vlan id != 0 counter drop" in table(items, "vpc-3", "netdev", "underlace_swp4").skeleton


def test_behind_a_bridge_port_is_a_network() -> None:
    """More hosts, its spanning tree, and no storm; all else as behind a server. It comes and goes without a loss."""
    for one in (AccessPort("swp6", 10_101, "vpc-1"), TaggedPort("swp6", 30, 10_101, "vpc-1")):
        link = "swp6" if isinstance(one, AccessPort) else "swp6.30"
        server, network = (
            table(DRIVER.items([*base(), *red(), o]), "vpc-1", "netdev", f"underlace_{link}").skeleton
            for o in (one, replace(one, bridge=True))
        )
        gone, come = set(server) - set(network), set(network) - set(server)
        assert "  ether daddr { 01:00:0c:cc:cc:cd, 01:80:c2:00:00:00 } counter drop" in gone
        assert [rule for rule in come if "ether daddr ff:ff:ff:ff:ff:ff limit rate over 2000/second" in rule]
        assert sorted(rule.partition(" size ")[2].partition(";")[0] for rule in come if " size " in rule) == [
            "16384",
            "32768",
            "32768",
        ]
        assert "  arp saddr ip != @hosts4 counter drop" in network
        assert DRIVER.disruption(change(one, replace(one, bridge=True))) is Disruption.HITLESS


def test_a_vlan_that_moves_hurts_and_one_that_comes_does_not() -> None:
    one = TaggedPort("swp2", 10, 10_201, "vpc-2")
    assert DRIVER.disruption(change(None, one)) is Disruption.HITLESS
    assert DRIVER.disruption(change(one, None)) is Disruption.HITLESS
    assert DRIVER.disruption(change(one, replace(one, vni=10_101, vrf="vpc-1"))) is Disruption.OUTAGE


@pytest.mark.parametrize("objects", [[], base()[:1], red(), red_shared(), border(), [Port("swp1")]])
def test_a_part_of_a_model_renders(objects: list[DeviceObject]) -> None:
    items = DRIVER.items(objects)
    assert isinstance(DRIVER.text(items), list)
    assert isinstance(DRIVER.model(items), dict)


def change(before: DeviceObject | None, after: DeviceObject | None) -> Change[DeviceObject]:
    one = after or before
    assert one is not None
    verb = Verb.CREATE if before is None else Verb.DELETE if after is None else Verb.UPDATE
    return Change(verb, one.key, before, after)


SVI = Svi(1, "vpc-1", frozenset({"10.0.0.1/24"}), "02:00:5e:00:01:01")


@pytest.mark.parametrize(
    ("before", "after", "hurts"),
    [
        (None, SVI, Disruption.HITLESS),
        (SVI, replace(SVI, addresses=frozenset({"10.0.1.1/24"})), Disruption.HITLESS),
        (SVI, replace(SVI, mac="02:00:5e:00:01:02"), Disruption.FLAP),
        (SVI, None, Disruption.OUTAGE),
        (None, AccessPort("swp2", 1, "vpc-1"), Disruption.OUTAGE),
        (AccessPort("swp2", 1, "vpc-1"), AccessPort("swp2", 2, "vpc-2"), Disruption.OUTAGE),
        (Port("swp1", mtu=9216), Port("swp1", mtu=1500), Disruption.FLAP),
        (Port("swp1"), Port("swp1", description="x"), Disruption.HITLESS),
    ],
)
def test_what_a_change_hurts(before: DeviceObject | None, after: DeviceObject | None, hurts: Disruption) -> None:
    assert DRIVER.disruption(change(before, after)) is hurts


@pytest.mark.parametrize(("version", "paths"), [(None, 1), ("8.4.4", 1), ("10.3", 16)])
def test_a_vrf_uses_as_many_paths_as_its_frr_can(version: str | None, paths: int) -> None:
    objects = [System("leaf1", loopback="10.255.0.1", os_version=version), BgpRouter("vpc-1", asn=4_200_000_001)]
    router = DRIVER.normalise(objects)[("bgp-router", "vpc-1")]
    assert isinstance(router, BgpRouter)
    assert router.maximum_paths == paths


def test_boot_files_are_by_daemon() -> None:
    files = boot.files(item for item in DRIVER.items(everything()).values() if isinstance(item, Item))
    assert set(files) == {"zebra.conf", "staticd.conf", "bgpd.conf", "bfdd.conf", "vtysh.conf"}
    assert "vrf vpc-1\n vni 50001\nexit-vrf\n" in files["zebra.conf"]
    assert "router bgp" not in files["zebra.conf"] + files["bfdd.conf"]
    assert "profile underlace-default" in files["bfdd.conf"]
    assert "   rd 10.255.0.1:0\n   rd 10.255.0.1:2\n" in files["bgpd.conf"]
    assert files["vtysh.conf"] == "no service integrated-vtysh-config\n"


def test_boot_files_of_frr_10_are_one() -> None:
    """What mgmtd keeps, static routes among it, is read from no other file."""
    held = [item for item in DRIVER.items(everything()).values() if isinstance(item, Item)]
    files = boot.files(held, "10.3")
    assert set(files) == {"frr.conf", "vtysh.conf"}
    lines = [
        line for name, text in boot.files(held, "8.4.4").items() if name != "vtysh.conf" for line in text.split("\n")
    ]
    assert set(files["frr.conf"].split("\n")) == set(lines)
    assert files["vtysh.conf"] == "service integrated-vtysh-config\n"


def test_boot_files_of_another_release_of_frr_go(tmp_path: Path) -> None:
    """Either release prefers one form, also when the other one is newer. What somebody else wrote stays."""
    owner, held = tmp_path.owner(), [i for i in DRIVER.items(everything()).values() if isinstance(i, Item)]
    for version, names in (("8.4.4", {"zebra", "staticd", "bgpd", "bfdd"}), ("10.3", {"frr"}), ("8.4.4", None)):
        boot.write(tmp_path, boot.files(held, version), owner)
        expected = names or {"zebra", "staticd", "bgpd", "bfdd"}
        assert {file.stem for file in tmp_path.iterdir()} == expected | {"vtysh"}
    (tmp_path / "frr.conf").write_text("! by hand\n")
    boot.write(tmp_path, boot.files(held, "8.4.4"), owner)
    assert (tmp_path / "frr.conf").read_text() == "! by hand\n"


def test_boot_files_are_replaced_only_when_they_differ(tmp_path: Path) -> None:
    owner = tmp_path.owner()
    boot.write(tmp_path, {"bgpd.conf": "one\n"}, owner)
    first = (tmp_path / "bgpd.conf").stat()
    boot.write(tmp_path, {"bgpd.conf": "one\n"}, owner)
    assert (tmp_path / "bgpd.conf").stat().st_ino == first.st_ino
    boot.write(tmp_path, {"bgpd.conf": "two\n"}, owner)
    assert (tmp_path / "bgpd.conf").read_text() == "two\n"
    assert [file.name for file in tmp_path.iterdir()] == ["bgpd.conf"]
    assert oct((tmp_path / "bgpd.conf").stat().st_mode)[-3:] == "640"


@pytest.mark.parametrize("body", [b"", b"hostn", b"\xff\xfe\x00" * 100])
def test_a_damaged_boot_file_is_written_anew(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "bgpd.conf").write_bytes(body)
    (tmp_path / ".bgpd.conf.new").write_bytes(b"half")
    boot.write(tmp_path, {"bgpd.conf": "hostname leaf1\n"}, tmp_path.owner())
    assert (tmp_path / "bgpd.conf").read_bytes() == b"hostname leaf1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["bgpd.conf"]


LISTED = """table inet mine {
\tchain x {
\t}
}
table inet underlace {
\tset vteps {
\t\ttype ipv4_addr
\t\telements = { 10.255.0.1, 10.255.0.2,
\t\t\t     10.255.0.3 }
\t}

\tset none {
\t\ttype ifname
\t}

\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\tcounter drop
\t}
}
"""


def test_a_listing_is_split_into_skeleton_and_elements() -> None:
    (found,) = rules.listings(LISTED)
    assert (found.family, found.name) == ("inet", "underlace")
    assert found.sets == {"vteps": {"10.255.0.1", "10.255.0.2", "10.255.0.3"}, "none": frozenset()}
    assert "counter drop" in found.lines
    assert not [line for line in found.lines if "10.255" in line]


TABLE = NftTable("", "inet", "underlace", (" chain input {", "}"), (("none", frozenset()),))


def test_an_untouched_table_is_recognised_by_its_listing(tmp_path: Path) -> None:
    (listing,) = rules.listings(LISTED)
    memory = rules.Memory(tmp_path / "rules.json")
    assert memory.table("", listing).skeleton[0] == "# changed"
    memory.changed("", [TABLE], 6, 7)
    memory.listed("", [listing], 7)
    memory.save()
    again = rules.Memory(tmp_path / "rules.json")
    assert again.table("", listing).skeleton == TABLE.skeleton
    (other,) = rules.listings(LISTED.replace("counter drop", "accept"))
    assert again.table("", other).skeleton != TABLE.skeleton
    again.forget([TABLE.key])
    again.save()
    assert rules.Memory(tmp_path / "rules.json").table("", listing).skeleton != TABLE.skeleton


@pytest.mark.parametrize(
    ("ours", "seen", "known"),
    [
        ([(6, 7)], 7, True),
        ([(6, 7), (7, 8), (8, 9)], 9, True),
        ([(6, 7)], 8, False),
        ([(6, 7), (8, 9)], 9, False),
        ([(6, 8)], 8, False),
        ([(6, 7), (7, 9)], 9, False),
        ([], 7, False),
    ],
)
def test_a_listing_is_taken_for_ours_if_nobody_else_was_at_the_rules(
    tmp_path: Path, ours: list[tuple[int, int]], seen: int, known: bool
) -> None:
    """ours: generations around our transactions, the table being in the first; seen: after the listing."""
    memory = rules.Memory(tmp_path / "rules.json")
    for number, around in enumerate(ours):
        memory.changed("", [] if number else [TABLE], *around)
    (listing,) = rules.listings(LISTED)
    memory.listed("", [listing], seen)
    assert (memory.table("", listing).skeleton == TABLE.skeleton) is known
    memory.listed("", [listing], seen)
    assert (memory.table("", listing).skeleton == TABLE.skeleton) is known, "and that is settled"


def test_a_listing_without_its_chains_is_not_ours(tmp_path: Path) -> None:
    """They go with their port, which the kernel does not count as a transaction."""
    memory = rules.Memory(tmp_path / "rules.json")
    memory.changed("", [TABLE], 6, 7)
    (bare,) = rules.listings("table inet underlace {\n}\n")
    memory.listed("", [bare], 7)
    assert memory.table("", bare).skeleton != TABLE.skeleton


def test_nothing_comes_up_before_the_filters_of_its_namespace() -> None:
    items = DRIVER.items(everything())
    for key, item in items.items():
        if key[0] in ("port", "vxlan"):
            assert ("nft", key[1], "inet", "underlace") in item.refs
            assert ("nft", key[1], "inet", "underlace") in items


def test_a_gateway_gets_its_address_when_bgp_has_asked_for_routes() -> None:
    """FRR 8.4.4 may lose a connected route that is there before."""
    plan = [change.key for change in ordered(DRIVER.items(base()), DRIVER.items(base() + red()))]
    asked = [place for place, key in enumerate(plan) if key[-1] == "redistribute connected"]
    given = [place for place, key in enumerate(plan) if key[:2] == ("address", "vpc-1")]
    assert asked
    assert given
    assert max(asked) < min(given)


def test_sets_are_edited_by_element() -> None:
    before = NftTable("", "inet", "underlace", ("a",), (("s", frozenset({"1", "2"})),))
    after = replace(before, sets=(("s", frozenset({"2", "3"})),))
    assert rules.commands(before, after) == [
        "delete element inet underlace s { 1 }",
        "add element inet underlace s { 3 }",
    ]
    anew = replace(after, skeleton=("b",))
    assert rules.commands(before, anew)[:2] == ["add table inet underlace", "delete table inet underlace"]


def test_a_stable_text_for_people() -> None:
    lines = DRIVER.text(DRIVER.items(base() + red() + shared()))
    assert f"router bgp {4_200_000_001}" in lines
    assert "# netns vpc-1" in lines
    assert "table inet underlace {" in lines
    assert lines == DRIVER.text(DRIVER.items(reversed(base() + red() + shared())))


def keys(items: Items, word: str) -> set[Key]:
    return {key for key in items if key[0] == word}


def test_a_vni_is_known_to_bgp_with_its_rd_before_its_tunnel_stands() -> None:
    items = DRIVER.items(base() + red())
    for key in keys(items, "vxlan"):
        assert ("frr", f"vni {key[2].removeprefix('vni')}") in items[key].refs


LAGGED = bonded("bond1", "swp2", "swp6", least=2) + red(("bond1",)) + trunk(("bond1", 10, 10_201, "vpc-2")) + shared()


def test_a_lag_comes_back_as_it_is() -> None:
    assert DRIVER.capabilities().lags
    for model in (
        LAGGED,
        bonded("bond1", "swp2", mode="static"),
        [*bonded("bond1", "swp5"), *vpc("vpc-9", 50_009, 6), *upstream("vpc-9", "bond1")],
    ):
        found = DRIVER.normalise(model)
        assert (
            DRIVER.normalise(DRIVER.model(DRIVER.items(model)).values()).items()
            >= {
                key: one for key, one in found.items() if key[0] in ("lag", "port", "access-port", "tagged-port")
            }.items()
        )


def test_members_of_a_lag_have_nothing_of_their_own_but_a_guard() -> None:
    """What a member takes beside its lag is nothing that an address of the underlay could get, nor any packet at all;
    what the lag's guard lets through, the member's does too. They join only behind both."""
    items = DRIVER.items(LAGGED)
    assert {key[0] for key in items if "swp6" in key} == {"placement", "bond-member"}
    found = table(items, "vpc-1", "netdev", "underlace_swp6")
    assert [rule for rule in found.skeleton if "drop" in rule] == [
        "  ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 "
        "ether type { ip, ip6, arp, 8021q, 8021ad } counter drop",
        "  ip daddr @underlay4 counter drop",
        "  ip6 daddr @underlay6 counter drop",
    ]
    assert dict(found.sets)["underlay4"] == {"10.255.0.0/24"}
    at = {change.key: i for i, change in enumerate(ordered({}, items))}
    bond, guard = ("bond", "vpc-1", "bond1"), ("nft", "vpc-1", "netdev", "underlace_bond1")
    for later in (("bond-member", "vpc-1", "swp6"), ("port", "vpc-1", "bond1")):
        assert at[bond] < at[guard] < at[later]
    assert at[found.key] < at["bond-member", "vpc-1", "swp6"]


def test_a_port_is_let_go_before_it_joins_a_lag_and_has_left_before_it_is_a_port() -> None:
    plain, lagged = DRIVER.items(base()), DRIVER.items(bonded("bond1", "swp2", "swp6"))
    steps = [(change.verb, change.key) for change in ordered(plain, lagged)]
    member, port = ("bond-member", "", "swp6"), ("port", "", "swp6")
    assert steps.index((Verb.DELETE, port)) < steps.index((Verb.CREATE, member))
    steps = [(change.verb, change.key) for change in ordered(lagged, plain)]
    assert steps.index((Verb.DELETE, member)) < steps.index((Verb.CREATE, port))


def test_another_mode_takes_the_lag_down_with_all_that_stands_on_it() -> None:
    before, after = (DRIVER.items(bonded("bond1", "swp2", mode=mode)) for mode in ("lacp", "static"))
    steps = ordered(before, after)
    touched = {("bond", "", "bond1"), ("bond-member", "", "swp2"), ("port", "", "bond1")}
    touched |= {("nft", "", "netdev", "underlace_bond1")}
    assert {change.key for change in steps} == touched
    assert {change.verb for change in steps} == {Verb.DELETE, Verb.CREATE}


def test_a_memory_is_renewed_from_what_another_has_written(tmp_path: Path) -> None:
    """The live question `drift` reads through a door of its own, beside the one that applies."""
    path, key = tmp_path / "rules.json", ("nft", "vpc-1", "inet", "underlace")
    listing = rules.Listing("inet", "underlace", ("chain a {", "}"), {}, {})
    applying, asking = rules.Memory(path), rules.Memory(path)
    assert asking.table("vpc-1", listing).skeleton != ("chain a {", "}")
    applying.changed("vpc-1", [NftTable(*key[1:], ("chain a {", "}"), ())], 1, 2)
    applying.listed("vpc-1", [listing], 2)
    applying.renew()  # what is not saved yet is kept
    applying.save()
    asking.renew()
    assert asking.table("vpc-1", listing).skeleton == ("chain a {", "}")
