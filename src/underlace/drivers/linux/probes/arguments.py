"""Arguments of a question as words of a command. Each refuses whatever it is not made for: a controller that was
broken into must not be able to run anything else than probes.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from underlace.drivers.linux import names
from underlace.drivers.linux.probes.base import Arguments, Odd

DEFAULT = "default"
"""FRR's word for the VRF of the underlay."""


def text(arguments: Arguments, name: str) -> str:
    """An argument as it is, for comparing; never a word of a command."""
    value = arguments.get(name, "")
    return value if isinstance(value, str) else ""


def vrf(arguments: Arguments) -> str:
    """The VRF that is asked about, "" for all or the underlay."""
    given = text(arguments, "vrf")
    if given and not names.VRF_PATTERN.fullmatch(given):
        raise Odd(f"{given[:40]!r} is no VRF of Underlace")
    return given


def vrf_words(arguments: Arguments) -> str:
    """`vrf NAME` as FRR's show commands take it."""
    return f"vrf {vrf(arguments) or 'all'}"


def netns(arguments: Arguments) -> str:
    """The namespace of the VRF, that of the underlay by default."""
    return vrf(arguments) or names.MAIN


def address(arguments: Arguments, name: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text(arguments, name))
    except ValueError as odd:
        raise Odd(f"{name}: {odd}") from odd


def prefix(arguments: Arguments, name: str) -> str:
    """A prefix, "" for none."""
    given = text(arguments, name)
    if not given:
        return ""
    try:
        return str(ip_network(given, strict=False))
    except ValueError as odd:
        raise Odd(f"{name}: {odd}") from odd


def whole(arguments: Arguments, name: str, low: int, high: int, default: int = 0) -> int:
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Odd(f"{name}: {str(value)[:40]!r} is not a number from {low} to {high}")
    return value


_PEER = re.compile(r"[0-9A-Fa-f.:]{2,45}|" + names.PORT_PATTERN.pattern + "|" + names.TAG_PATTERN.pattern)


def peer(arguments: Arguments, name: str = "peer") -> str:
    """A BGP neighbour: an address or a port; "" for all."""
    given = text(arguments, name)
    if given and not _PEER.fullmatch(given) and not names.BOND_PATTERN.fullmatch(given):
        raise Odd(f"{given[:40]!r} is neither an address nor a port")
    return given


def family(arguments: Arguments) -> tuple[str, str]:
    """(`ipv4` or `ipv6`, the prefix that is asked about or "")."""
    given = prefix(arguments, "prefix")
    if given:
        # FRR finds the longest match of an address without a length.
        asked = given if "/" in text(arguments, "prefix") else given.partition("/")[0]
        return ("ipv6" if ":" in given else "ipv4"), asked
    return ("ipv6" if text(arguments, "family") == "ipv6" else "ipv4"), ""
