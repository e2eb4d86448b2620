"""What zebra must be told of again: addresses of ours that the kernel has and zebra does not know.

zebra 8.4 can miss one, for ever (FRR issue 13288; the executor waits where it is known to happen). No connected route
then stands for the subnet: it is not announced, and IPv6 hosts behind the gateway are sent to another leaf. Nothing
in the kernel or in FRR's configuration shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from underlace.drivers.linux import links, names, programs
from underlace.drivers.linux.namespaces import Namespaces
from underlace.drivers.linux.native import Address, Item
from underlace.drivers.linux.programs import Command
from underlace.model.change import Change, Verb

Place = tuple[str, str, str]
"""(namespace, link, address)."""


class Addresses:
    """Looks at every whole read of a device, and tells what was missing at two in a row: zebra may be slow, too."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._missed: frozenset[Address] = frozenset()

    def tell(self, present: Iterable[Address]) -> list[Address]:
        """Take away and add again what zebra has missed twice; returns that. present: the kernel's."""
        missed = unknown(present, programs.show("show interface vrf all brief json"))
        again = sorted(missed & self._missed, key=lambda one: one.key)
        self._missed = missed - frozenset(again)
        for netns, group in groupby(again, key=lambda one: one.netns):
            with self._namespaces.inside(netns):
                programs.ip_batch([Command(line, one.key) for one in group for line in _anew(one)])
        return again


def unknown(present: Iterable[Address], said: str) -> frozenset[Address]:
    """Those that zebra does not know, of links that it knows. said: `show interface vrf all brief json`, which lists
    no link-local addresses, and names a link as often as namespaces have one of that name."""
    seen: set[Place] = set()
    linked: set[tuple[str, str]] = set()
    for name, link in _pairs(said):
        netns = names.MAIN if link.get("vrfName") == "default" else str(link.get("vrfName"))
        linked.add((netns, name))
        seen |= {(netns, name, address) for address in link.get("addresses", ())}
    return frozenset(
        one
        for one in present
        if not one.address.startswith("fe80:")
        and (one.netns, one.link) in linked
        and (one.netns, one.link, one.address) not in seen
    )


def _pairs(said: str) -> list[tuple[str, dict[str, Any]]]:
    """The members of one or several JSON objects, each as often as it is there. What is no JSON says nothing: to look
    is an extra, and another release of FRR must not lose its device over it."""
    found: list[tuple[str, dict[str, Any]]] = []
    decoder = json.JSONDecoder(object_pairs_hook=list)
    rest = said.strip()
    while rest:
        try:
            members, end = decoder.raw_decode(rest)
        except ValueError:
            break
        found += [(name, dict(link)) for name, link in members]
        rest = rest[end:].lstrip()
    return found


def _anew(one: Address) -> Iterable[str]:
    there_and_back: tuple[Change[Item], ...] = (
        Change(Verb.DELETE, one.key, one, None),
        Change(Verb.CREATE, one.key, None, one),
    )
    for change in there_and_back:
        for step in links.work(change, ""):
            yield from step.lines
