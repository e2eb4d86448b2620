"""Lags as bonds of the kernel. A bond is born in the namespace of its V-Net: the kernel moves none.

    swp5 ─┐ master
          ├────────► bond1 ── guard, bridge, VLANs, as at any port
    swp6 ─┘

Frames of a member are the bond's before the device's own stack sees them, but for a few, which a small guard of the
member drops. It joins when both have their guards, down as it is until then, and the kernel brings it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from underlace.drivers.linux import programs
from underlace.drivers.linux.bond import LACP, Bond, BondMember
from underlace.drivers.linux.item import Item
from underlace.drivers.linux.kernel import ALIAS, Link, is_bond, is_ours
from underlace.drivers.linux.namespaces import Namespaces
from underlace.model.change import Change, Verb

_SPREAD = "miimon 100 xmit_hash_policy layer3+4"
"""How members are watched, and what decides by which of them a packet leaves."""


def read(netns: str, links: Iterable[Link]) -> Iterator[Item]:
    """Bonds of ours among the links of a namespace, and their members."""
    seen = list(links)
    modes = {link.ifname: str(link.linkinfo.info_data.mode) for link in seen if is_bond(link)}
    for link in seen:
        if not is_ours(netns, link):
            continue
        if is_bond(link):
            yield Bond(netns, link.ifname, modes[link.ifname], link.linkinfo.info_data.min_links)
        elif link.master in modes:
            yield BondMember(netns, link.ifname, link.master, modes[link.master], link.up)


def lines(change: Change[Item]) -> tuple[str, ...]:
    """`ip` lines of a change, for its namespace. Another mode is another bond: the claims of items see to that."""
    match change.after or change.before:
        case Bond(name=name) if change.verb is Verb.DELETE:
            return (f"link del {name}",)
        case Bond(name=name, mode=mode, minimum_links=least) if change.verb is Verb.CREATE:
            lacp = " lacp_rate fast" if mode == LACP else ""
            made = f"link add {name} type bond mode {mode} {_SPREAD} min_links {least}{lacp}"
            return (made, f"link set {name} alias {ALIAS}")
        case Bond(name=name, mode=mode, minimum_links=least):
            before = change.before
            other = isinstance(before, Bond) and before.mode != mode
            anew = (f"link set {name} down", f"link set {name} type bond mode {mode}") if other else ()
            return (*anew, f"link set {name} type bond min_links {least}")
        case BondMember(port=port) if change.verb is Verb.DELETE:
            return (f"link set {port} nomaster", f"link set {port} down")
        case BondMember(port=port, bond=bond):
            return (f"link set {port} down", f"link set {port} nomaster", f"link set {port} master {bond}")
    return ()


class Bonding:
    """Whether this kernel makes bonds. Found by trying, once."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._lacking: str | None = None

    @property
    def lacking(self) -> str:
        if self._lacking is None:
            with self._namespaces.throwaway():
                answer = programs.run(["ip", "-batch", "-"], "link add underlace-b type bond\n")
            why = answer.errors.partition("Command")[0].strip()
            self._lacking = "" if answer.code == 0 else f"no bonding in the kernel ({why})"
        return self._lacking
