"""Reading FRR's running configuration, and the commands that change it."""

from __future__ import annotations

import pytest

from support.linux_models import ASN, base, everything, red, vpc
from underlace.diff.order import ordered
from underlace.drivers.linux import LinuxDriver, commands, config, frr
from underlace.drivers.linux.native import EvpnVni, EvpnVrf, FrrLine, Item
from underlace.drivers.linux.text import frr_text
from underlace.model.change import Change, Verb
from underlace.model.device import DeviceObject

DRIVER = LinuxDriver()
ROUTER = f"router bgp {ASN}"

RUNNING = f"""Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults datacenter
hostname leaf1
log syslog
no service integrated-vtysh-config
!
vrf vpc-1
 vni 50001
 netns /run/frr/netns/vpc-1
exit-vrf
!
vrf customer
 vni 7
exit-vrf
!
{ROUTER}
 bgp router-id 10.255.0.1
 neighbor swp1 interface remote-as external
 neighbor swp1 bfd
 !
 address-family ipv4 unicast
  neighbor swp1 activate
  maximum-paths 16
 exit-address-family
 !
 address-family l2vpn evpn
  advertise-all-vni
  vni 10101
   rd 10.255.0.1:2
   route-target import 65000:10101
   route-target export 65000:10101
  exit-vni
 exit-address-family
exit
!
{ROUTER} vrf vpc-1
 !
 address-family l2vpn evpn
  advertise ipv4 unicast
  rd 10.255.0.1:100
  route-target import 65000:50001
 exit-address-family
exit
!
ip prefix-list underlace-fabric seq 7 permit 10.255.0.0/24 ge 32
ip prefix-list mine seq 5 permit any
!
bfd
 profile underlace-default
  receive-interval 100
 exit
 !
 profile mine
 exit
 !
exit
!
end
"""


def read(text: str = RUNNING, vrfs: tuple[str, ...] = ("vpc-1",)) -> set[Item]:
    return set(config.items(text, vrfs))


def test_frr_10_writes_ipv4_mapped_prefixes_with_dots() -> None:
    """In 8.4 and in what we render they have none; a device must not look changed for that."""
    said = (
        "ipv6 prefix-list underlace-x seq 5 deny ::ffff:0.0.0.0/96 le 128\nip prefix-list y seq 5 permit 10.0.0.0/8"
    )
    assert [line for _, line in config.lines(said)] == [
        "ipv6 prefix-list underlace-x seq 5 deny ::ffff:0:0/96 le 128",
        "ip prefix-list y seq 5 permit 10.0.0.0/8",
    ]
    assert config.lines("deny ::ffff:192.0.2.1/128")[0][1] == "deny ::ffff:c000:201/128"


def test_lines_become_items_with_their_context() -> None:
    assert read() == {
        FrrLine((), ROUTER),
        FrrLine((ROUTER,), "bgp router-id 10.255.0.1"),
        FrrLine((ROUTER,), "neighbor swp1 interface remote-as external"),
        FrrLine((ROUTER,), "neighbor swp1 bfd"),
        FrrLine((ROUTER, frr.IPV4), "neighbor swp1 activate"),
        FrrLine((ROUTER, frr.IPV4), "maximum-paths 16"),
        FrrLine((ROUTER, frr.EVPN), "advertise-all-vni"),
        EvpnVni(10101, ASN, "10.255.0.1:2", frozenset({"65000:10101"}), frozenset({"65000:10101"})),
        FrrLine((), f"{ROUTER} vrf vpc-1"),
        FrrLine((f"{ROUTER} vrf vpc-1", frr.EVPN), "advertise ipv4 unicast"),
        EvpnVrf("vpc-1", 50001, ASN, "10.255.0.1:100", frozenset({"65000:50001"}), frozenset()),
        FrrLine((), "ip prefix-list underlace-fabric seq 7 permit 10.255.0.0/24 ge 32"),
        FrrLine(("bfd",), "profile underlace-default"),
        FrrLine(("bfd", "profile underlace-default"), "receive-interval 100"),
    }


def test_a_vrf_whose_removal_was_cut_short_shows() -> None:
    left = "frr defaults datacenter\nvrf vpc-7\nexit-vrf\n!\nend\n"
    assert read(left, ()) == {FrrLine((), "vrf vpc-7")}
    assert read(left, ("vpc-7",)) == set()
    assert read("vrf customer\nexit-vrf\n", ()) == set()


def test_a_vni_without_a_router_shows() -> None:
    assert read("vrf vpc-7\n vni 70\nexit-vrf\n", ()) == {EvpnVrf("vpc-7", 70, 0, None, frozenset(), frozenset())}


def test_what_is_printed_reads_back() -> None:
    """The boot file of everything, read as if FRR had printed it, is everything."""
    items = DRIVER.items(everything())
    ours = {item for item in items.values() if isinstance(item, (FrrLine, EvpnVni, EvpnVrf))}
    assert set(config.items("\n".join(frr_text(ours)), ("vpc-1", "vpc-2", "vpc-9"))) == ours


@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("neighbor swp1 interface remote-as external", "neighbor swp1"),
        ("neighbor 192.0.2.1 remote-as 64496", "neighbor 192.0.2.1"),
        ("neighbor 192.0.2.1 local-as 64500 no-prepend replace-as", "neighbor 192.0.2.1 local-as"),
        ("neighbor swp1 prefix-list underlace-fabric in", "neighbor swp1 prefix-list in"),
        ("neighbor swp1 bfd profile underlace-default", "neighbor swp1 bfd profile"),
        ("neighbor swp1 bfd", "neighbor swp1 bfd"),
        ("bgp router-id 10.255.0.1", "bgp router-id"),
        ("network 10.255.0.1/32", "network 10.255.0.1/32"),
        ("ip prefix-list x seq 7 permit any", "ip prefix-list x seq 7"),
    ],
)
def test_a_line_that_stands_once_has_no_value_in_its_key(line: str, stem: str) -> None:
    assert frr.stem(line) == stem


@pytest.mark.parametrize(
    ("line", "undo"),
    [
        ("neighbor swp1 bfd", "no neighbor swp1 bfd"),
        ("no bgp default ipv4-unicast", "bgp default ipv4-unicast"),
        ("transmit-interval 100", "transmit-interval 300"),
    ],
)
def test_taking_a_line_back(line: str, undo: str) -> None:
    assert frr.undo(line) == undo


def said(before: list[DeviceObject], after: list[DeviceObject]) -> list[str]:
    plan = ordered(DRIVER.items(before), DRIVER.items(after))
    ours = [c for c in plan if isinstance(c.after or c.before, (FrrLine, EvpnVni, EvpnVrf))]
    return [command.line for session in commands.sessions(ours) for command in session]  # type: ignore[arg-type]


def test_a_new_rd_is_never_the_automatic_one() -> None:
    """FRR 8.4 ignores an explicit RD that equals the automatic one: another one goes before it."""
    lines = said(base(), base() + red())
    assert lines[lines.index("rd 10.255.0.1:2") - 1] == "rd 10.255.0.1:0"
    assert lines[lines.index("rd 10.255.0.1:1") - 1] == "rd 10.255.0.1:0"


def test_a_vni_is_released_before_its_router_goes() -> None:
    lines = said(base() + red(), base())
    assert lines.index("no vni 50001") < lines.index(f"no {ROUTER} vrf vpc-1")


def test_what_goes_with_a_router_is_not_taken_back_line_by_line() -> None:
    lines = said(base() + vpc("vpc-1", 50_001, 1), base())
    gone = {line for line in lines if line.startswith("no ")}
    assert gone == {"no vni 50001", "no profile underlace-vpc-1", f"no {ROUTER} vrf vpc-1"}


def made(*items: Item) -> list[Change[Item]]:
    return [Change(Verb.CREATE, item.key, None, item) for item in items]


def lines_of(plan: list[Change[Item]], longest: int = commands.LONGEST) -> list[list[str]]:
    return [[command.line for command in session] for session in commands.sessions(plan, longest)]


def test_a_context_is_left_as_far_as_the_next_one_asks_for() -> None:
    four, six = (FrrLine((ROUTER, family), "redistribute connected") for family in (frr.IPV4, frr.IPV6))
    profile = FrrLine(("bfd",), "profile underlace-a")
    bound = EvpnVrf("vpc-1", 7, 0, None, frozenset(), frozenset())
    plan = made(FrrLine((), ROUTER), four, FrrLine(four.context, "maximum-paths 1"), six, bound, profile)
    assert lines_of(plan) == [
        [
            ROUTER,
            *(frr.IPV4, "redistribute connected", "maximum-paths 1"),
            *("exit", frr.IPV6, "redistribute connected"),
            *("exit", "exit", "vrf vpc-1", "vni 7"),
            *("exit-vrf", "bfd", "profile underlace-a"),
        ]
    ]


def test_what_a_command_opens_is_left_again() -> None:
    """The values of a VNI stand below it, and what follows does not."""
    targets = frozenset({"65000:1"})
    one, other = (EvpnVni(vni, ASN, f"10.255.0.1:{vni}", targets, targets) for vni in (1, 2))
    said = lines_of(made(one, other, FrrLine((f"{ROUTER} vrf vpc-1",), frr.NO_DEFAULT_FAMILY)))[0]
    assert said[:4] == [ROUTER, frr.EVPN, "vni 1", "rd 10.255.0.1:0"]
    second = said.index("vni 2")
    assert said[second - 1 : second + 2] == ["exit", "vni 2", "rd 10.255.0.1:0"]
    assert said[-5:] == ["exit", "exit", "exit", f"{ROUTER} vrf vpc-1", frr.NO_DEFAULT_FAMILY]


def test_a_long_session_is_cut_and_the_next_one_starts_from_the_top() -> None:
    plan = made(*(FrrLine((ROUTER, frr.IPV4), f"network 10.0.0.{n}/32") for n in range(3)))
    assert lines_of(plan, longest=3) == [
        [ROUTER, frr.IPV4, "network 10.0.0.0/32"],
        [ROUTER, frr.IPV4, "network 10.0.0.1/32"],
        [ROUTER, frr.IPV4, "network 10.0.0.2/32"],
    ]
    assert lines_of([]) == []
