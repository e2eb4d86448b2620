"""Addresses with several hosts, out of what a device sees."""

from __future__ import annotations

from underlace.drivers.linux.duplicates import Claim, claims, duplicates, told
from underlace.drivers.linux.native import Address, Bridge, Item, PortLink
from underlace.drivers.linux.neighbours import decode
from underlace.drivers.linux.rules import listings
from underlace.drivers.protocol import Duplicate

ONE, TWO, FAR, GATEWAY = "06:00:00:00:00:01", "06:00:00:00:00:02", "06:00:00:00:00:03", "02:00:5e:00:01:01"
VRF, BRIDGE = "vpc-1", "br10101"
ITEMS: list[Item] = [
    PortLink(VRF, "swp2", True, 9000, BRIDGE),
    PortLink(VRF, "swp3", True, 9000, BRIDGE),
    PortLink(VRF, "swp4", True, 9000, "br10102"),
    Bridge(VRF, BRIDGE, GATEWAY, 9000),
    Bridge(VRF, "br10102", GATEWAY, 9000),
    Address(VRF, BRIDGE, "10.1.1.1/24"),
]


def guard(port: str, **elements: list[str]) -> str:
    sets = "".join(
        f"\tset {name} {{\n\t\ttype ipv4_addr . ether_addr\n\t\tsize 2048\n\t\tflags dynamic,timeout\n"
        f"\t\telements = {{ {', '.join(members)} }}\n\t}}\n"
        for name, members in elements.items()
    )
    return f"table netdev underlace_{port} {{\n{sets}}}\n"


def seen(*tables: str) -> list[Claim]:
    return claims(VRF, list(listings("".join(tables))), ITEMS)


def test_two_ports_of_a_leaf() -> None:
    found = seen(
        guard("swp2", claims4=[f"10.1.1.11 . {ONE}", f"10.1.1.12 . {ONE}"], claims6=[f"2001:db8::11 . {ONE}"]),
        guard("swp3", claims4=[f"10.1.1.11 . {TWO}"], claims6=[f"2001:db8::11 . {TWO}"]),
        guard("swp4", claims4=[f"10.1.1.12 . {TWO}"]),  # another V-Net
    )
    assert duplicates(found) == [
        Duplicate(VRF, 10101, "10.1.1.11", (ONE, TWO)),
        Duplicate(VRF, 10101, "2001:db8::11", (ONE, TWO)),
    ]


def test_a_host_behind_another_leaf() -> None:
    """What this leaf learnt by itself is older than what hosts say now, and proves nothing."""
    found = seen(guard("swp2", claims4=[f"10.1.1.11 . {ONE}", f"10.1.1.12 . {ONE}"]))
    neighbours = decode(
        f'[{{"dst": "10.1.1.11", "dev": "{BRIDGE}", "lladdr": "{FAR}", "extern_learn": null, "state": ["NOARP"]}},'
        f' {{"dst": "10.1.1.12", "dev": "{BRIDGE}", "lladdr": "{FAR}", "state": ["STALE"]}}]'
    )
    assert duplicates(found + told(VRF, neighbours)) == [Duplicate(VRF, 10101, "10.1.1.11", (ONE, FAR))]


def test_a_host_that_says_to_be_the_gateway() -> None:
    assert duplicates(seen(guard("swp2", claims4=[f"10.1.1.1 . {ONE}"]))) == [
        Duplicate(VRF, 10101, "10.1.1.1", (GATEWAY, ONE))
    ]


def test_nobody_says_anything() -> None:
    assert seen(guard("swp2")) == []
    assert seen(guard("swp9", claims4=[f"10.1.1.11 . {ONE}"])) == [], "a port of nowhere"


def test_what_packets_fill_is_no_state_of_ours() -> None:
    (listing,) = listings(guard("swp2", claims4=[f"10.1.1.11 . {ONE}"]))
    assert listing.sets == {}
    assert listing.seen == {"claims4": {f"10.1.1.11 . {ONE}"}}
