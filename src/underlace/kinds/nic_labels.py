"""Labels of servers that put ports into V-Nets: `iface.eth1: storage` joins the port that eth1 is cabled to.

    server h1, of tenant acme        link h1-leaf1               vnet acme/disks
    labels iface.eth1: storage  ──►  mark member/acme/storage  ──►  port_labels [{label: storage}]
                                     = swp5@leaf1

A label belongs to a tenant, that of the server or the one that is written before it: whoever guesses the label of
another tenant selects nothing. Servers and their labels are written by operators.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from underlace.kinds.base import finding
from underlace.kinds.ports import listed
from underlace.model.diagnostic import Diagnostic, pointer_step, shortened
from underlace.model.ids import is_name
from underlace.model.resource import Resource

KEY = "iface."
"""What a label's key begins with; the name of the interface follows."""

NAME_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(NAME_PATTERN)


class NicLabel(NamedTuple):
    """tenant: "" where the label says none and the server has none."""

    nic: str
    tenant: str
    name: str


def member_space(tenant: str, label: str) -> str:
    """Marks of the ports that a label of a tenant selects."""
    return f"member/{tenant}/{label}"


def nic_labels(labels: Mapping[str, str], tenant: str | None) -> Iterator[NicLabel]:
    """What a server's labels say of its interfaces, in order of name; a value may list several, with commas."""
    for key, text in sorted(labels.items()):
        if key.startswith(KEY):
            for one in text.split(","):
                owner, slash, name = one.strip().rpartition("/")
                yield NicLabel(key.removeprefix(KEY), owner if slash else tenant or "", name)


def of_nic(server: Resource[Any], nic: str) -> list[NicLabel]:
    """The labels of one interface that select anything."""
    found = nic_labels(server.labels, server.spec.tenant)
    return [one for one in found if one.nic == nic and one.tenant and _NAME.fullmatch(one.name)]


def check(server: Resource[Any]) -> Iterable[Diagnostic]:
    names = [nic.name for nic in server.spec.nics]
    for one in dict.fromkeys(nic_labels(server.labels, server.spec.tenant)):
        pointer = f"/labels/{pointer_step(KEY + one.nic)}"
        if one.nic not in names:
            yield finding(
                server,
                pointer,
                "no-such-port",
                "The server has no such interface",
                f"Server {server.ref.name} has {listed(names) or 'no interfaces'}; there is no {one.nic} to label.",
                f"Add {one.nic} to the nics of server {server.ref.name}, or correct the label's key.",
            )
        if not _NAME.fullmatch(one.name) or (one.tenant and not is_name(one.tenant)) or "/" in one.tenant:
            yield finding(
                server,
                pointer,
                "bad-nic-label",
                "An interface has a label that no V-Net can name",
                f'"{shortened(one.name)}" is to be a label of {one.nic} of server {server.ref.name}.',
                "Write LABEL or TENANT/LABEL, several with commas; a label has at most 63 letters, digits and . _ : "
                "- inside.",
            )
        elif not one.tenant:
            yield finding(
                server,
                pointer,
                "label-of-no-tenant",
                "An interface's label belongs to no tenant",
                f"Label {one.name} of {one.nic} would put a port of server {server.ref.name} into V-Nets, but "
                "nothing says whose V-Nets these may be.",
                f"Assign the server to a tenant (spec.tenant), or write TENANT/{one.name}.",
            )
