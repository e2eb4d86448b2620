"""Addresses of fabric links: a /31, and a /127 where there is a subnet for it; allocated, or stated.

    subnet 10.254.0.0/24   link l1, numbered   ──►   a 10.254.0.0/31, b 10.254.0.1/31

The session runs between the IPv4 addresses. An IPv4 link is a number in one pool, its address halved: it fits into
any subnet there is. An IPv6 link is counted from the start of its subnet, of which a site has one. They are closed
like loopbacks (law 11), and none is announced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from underlace.kinds.base import finding, number
from underlace.kinds.ports import listed, split
from underlace.model.diagnostic import Diagnostic
from underlace.model.ids import fabric
from underlace.model.net import Interface, interface, network, span
from underlace.model.resource import Need, Resource, View, Watch

LINKS = "underlay-links"
"""Marks of all prefixes of fabric links."""

EVERYWHERE = "*"

Link = Resource[Any]


def site_space(site: str) -> str:
    """Marks of the prefixes from which links of a site are numbered; EVERYWHERE: of all sites."""
    return f"underlay-link/{site}"


def stated(r: Link, version: int) -> Interface | None:
    """What is given for end `a`."""
    return next((own for own in map(interface, r.spec.addresses) if own.version == version), None)


def is_numbered(r: Link) -> bool:
    return bool(r.spec.numbered or r.spec.addresses)


def _sites(r: Link, view: View) -> set[str]:
    switches = (view.get(fabric("switch", split(end)[1])) for end in (r.spec.a, r.spec.b))
    return {switch.spec.site for switch in switches if switch is not None}


def _prefixes(r: Link, version: int, view: View) -> list[str]:
    """Those of a family that both ends may use, in order of address."""
    everywhere = view.marked(site_space(EVERYWHERE))
    usable = [view.marked(site_space(site)) | everywhere for site in sorted(_sites(r, view))]
    common = frozenset.intersection(*usable) if usable else frozenset()
    found = [p for p in common if network(p).version == version]
    return sorted(found, key=lambda p: span(network(p)))


def watches(r: Link, view: View) -> Iterable[Watch]:
    if is_numbered(r):
        for site in sorted({*_sites(r, view), EVERYWHERE}):
            yield Watch(site_space(site))


def needs(r: Link, view: View) -> Iterable[Need]:
    for version in (4, 6) if is_numbered(r) else ():
        own, prefixes = stated(r, version), _prefixes(r, version, view)
        inside = [p for p in prefixes if own is None or own.ip in network(p)]
        if inside:  # else check() refuses it, in words and not in numbers
            yield _need4(r, own, prefixes) if version == 4 else _need6(r, own, inside[0])


def _need4(r: Link, own: Interface | None, prefixes: Iterable[str]) -> Need:
    ranges = tuple((int(network(p)[0]) >> 1, int(network(p)[-1]) >> 1) for p in prefixes)
    asked = None if own is None else int(own.ip) >> 1
    return Need(r.ref, "link4", "underlay-link4", ranges, asked, ranges, "/spec/addresses")


def _need6(r: Link, own: Interface | None, prefix: str) -> Need:
    net = network(prefix)
    counted = ((1, max(1, net.num_addresses >> 1)),)
    asked = None if own is None else ((int(own.ip) - int(net[0])) >> 1) + 1
    return Need(r.ref, _slot6(net[0]), f"underlay-link6/{net}", counted, asked, counted, "/spec/addresses")


def _slot6(first: object) -> str:
    return f"link6:{first}"


def by_end(r: Link, numbers: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The addresses of each end, as far as there are numbers, IPv4 first."""
    found: dict[str, tuple[str, ...]] = {}
    for slot, value in sorted(numbers.items()):
        if slot == "link4":
            low, length = ip_address(value << 1), 31
        elif slot.startswith("link6:"):
            low, length = ip_address(slot.removeprefix("link6:")) + 2 * (value - 1), 127
        else:
            continue
        own = stated(r, low.version)
        ends = (low, low + 1) if own is None or own.ip == low else (low + 1, low)
        for end, address in zip((r.spec.a, r.spec.b), ends, strict=True):
            found[end] = (*found.get(end, ()), f"{address}/{length}")
    return found


def ends(r: Link, view: View) -> dict[str, tuple[str, ...]]:
    """The addresses of each end of a link; of one without, none."""
    return by_end(r, {need.slot: number(view, r.ref, need.slot) for need in needs(r, view)})


def check(r: Link, view: View) -> Iterable[Diagnostic]:
    if not is_numbered(r):
        return
    if not r.spec.underlay:
        yield finding(
            r,
            "/spec/addresses" if r.spec.addresses else "/spec/numbered",
            "numbered-not-underlay",
            "Only fabric links have addresses",
            f"Link {r.ref.name} is to have addresses, but is not marked underlay.",
            "Mark it underlay, or leave this out: addresses of servers are their own.",
        )
        return
    families: list[int] = [interface(text).version for text in r.spec.addresses]
    for i, own in enumerate(map(interface, r.spec.addresses)):
        yield from _check_stated(r, i, own, families)
    for version in (4, 6):
        given = stated(r, version)
        if given is not None or version == 4:
            yield from _check_subnet(r, version, given, view)


def _check_stated(r: Link, i: int, own: Interface, families: list[int]) -> Iterable[Diagnostic]:
    if own.network.prefixlen != own.max_prefixlen - 1:
        yield finding(
            r,
            f"/spec/addresses/{i}",
            "link-prefix-length",
            "A link has another prefix length",
            f"Address {own} of link {r.ref.name} is of a network with other than two addresses; a link has a /31 or "
            "a /127 (RFC 3021, RFC 6164).",
            f"Write {own.ip}/{own.max_prefixlen - 1}.",
        )
    if families.index(own.version) != i:
        yield finding(
            r,
            f"/spec/addresses/{i}",
            "two-link-addresses",
            "A link has two addresses of one family",
            f"End {r.spec.a} of link {r.ref.name} is given {listed(r.spec.addresses)}.",
            "Keep one address per family.",
        )


def _check_subnet(r: Link, version: int, own: Interface | None, view: View) -> Iterable[Diagnostic]:
    prefixes = _prefixes(r, version, view)
    if any(own is None or own.ip in network(p) for p in prefixes):
        return
    example = "10.254.0.0/24" if version == 4 else "fd00:0:0:1::/112"
    yield finding(
        r,
        "/spec/numbered" if own is None else f"/spec/addresses/{r.spec.addresses.index(str(own))}",
        "no-link-subnet",
        "A fabric link has no subnet for its addresses",
        f"Link {r.ref.name} needs addresses of an IPv{version} subnet with the purpose underlay that sites "
        f"{listed(_sites(r, view))} may use{'' if own is None else f', and with {own.ip} in it'}; there is "
        f"{listed(prefixes) or 'none'}.",
        f"Add a subnet: {{kind: subnet, tenant: system, name: links, spec: {{prefix: {example}, "
        f"purpose: underlay}}}}",
    )
