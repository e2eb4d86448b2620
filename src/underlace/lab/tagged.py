"""What is behind tags in a lab: made in its hosts as a device makes it, and left out where the kernel cannot.

    python -m underlace.lab.tagged          tries; prints why not, or nothing
    python -m underlace.lab.tagged LINK...  makes links (eth1.100) of the namespace that it runs in

A lab without tags (without root, on a kernel without 8021q) is built from the same intent without its tagged members.
Its verdict counts what that leaves unchecked, and names the members (hazards 16).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from underlace import syscall
from underlace.drivers.linux import names
from underlace.drivers.linux.namespaces import Namespaces
from underlace.drivers.linux.native import Tag
from underlace.drivers.linux.programs import Refusal
from underlace.drivers.linux.tags import Tags
from underlace.lab.expect import matrix
from underlace.lab.flows import Skipped, checks
from underlace.lab.intent import Intent, parse
from underlace.lab.namespace import Namespace
from underlace.lab.topology import Nic
from underlace.model.change import Change, Verb

_PINS = "/run/underlace-programs"


class Member(NamedTuple):
    """A tagged member of a V-Net."""

    tenant: str
    vnet: str
    port: str
    vlan: int

    def __str__(self) -> str:
        return f"VLAN {self.vlan} at {self.port} of {self.tenant}/{self.vnet}"


class LeftOut(NamedTuple):
    """What of an intent a lab does not have, and why."""

    members: tuple[Member, ...] = ()
    why: str = ""

    def unchecked(self, intent: Intent) -> tuple[Skipped, ...]:
        """What a verdict over an intent cannot say, because the lab has no tags."""
        if not self.members:
            return ()
        whole = matrix(_with(intent, self.members)).flows
        lost = set(whole) - set(matrix(intent).flows)
        named = ", ".join(map(str, self.members[:_NAMED]))
        more = f" and {len(self.members) - _NAMED} more" if len(self.members) > _NAMED else ""
        return (Skipped(len(checks(sorted(lost))), f"{named}{more}: {self.why}"),)

    def json(self) -> dict[str, Any]:
        return {"members": [list(member) for member in self.members], "why": self.why}

    @staticmethod
    def of(kept: Mapping[str, Any]) -> LeftOut:
        return LeftOut(tuple(Member(*member) for member in kept.get("members", ())), str(kept.get("why", "")))


_NAMED = 10


def members(intent: Intent) -> tuple[Member, ...]:
    """All tagged members of V-Nets."""
    return tuple(
        Member(ref.tenant, ref.name, str(member.port), member.vlan)
        for ref, spec in intent.of("vnet")
        for member in spec.ports
        if member.vlan is not None
    )


def without(intent: Intent) -> Intent:
    """The intent without its tagged members."""
    return _changed(intent, lambda d: [p for p in d["spec"].get("ports", ()) if p.get("vlan") is None])


def _with(intent: Intent, lost: Iterable[Member]) -> Intent:
    by_vnet: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for member in lost:
        by_vnet.setdefault((member.tenant, member.vnet), []).append({"port": member.port, "vlan": member.vlan})

    def ports(d: Mapping[str, Any]) -> list[Any]:
        held = list(d["spec"].get("ports", ()))
        found = by_vnet.get((str(d.get("tenant")), str(d["name"])), [])
        return [*held, *(p for p in found if p not in held)]

    return _changed(intent, ports)


def _changed(intent: Intent, ports: Any) -> Intent:
    documents = [
        {**d, "spec": {**d["spec"], "ports": ports(d)}} if d["kind"] == "vnet" else d for d in intent.documents
    ]
    return parse(documents, intent.directory, intent.played)


def lacking(inside: Namespace) -> str:
    """Why the nodes of a lab can have no tags, "" when they can."""
    return inside.run([sys.executable, "-m", __name__]).strip()


def make(node: Namespace, nics: Sequence[Nic]) -> None:
    """The links behind tags of a host."""
    links = [nic.name for nic in nics if nic.vlan is not None and nic.port is not None]
    if links:
        node.run([sys.executable, "-m", __name__, *links])


def _main(links: Sequence[str]) -> Iterator[str]:
    """In the namespace of whoever runs this; what is mounted meanwhile is seen by nobody else."""
    syscall.unshare(syscall.CLONE_NEWNS)
    syscall.mount("none", "/", flags=syscall.MS_REC | syscall.MS_PRIVATE)
    syscall.mount("tmpfs", "/run", "tmpfs", data="mode=755")
    tags = Tags(Namespaces(None, Path("/run/netns")), Path(_PINS))
    if not links:
        yield tags.means.lacking
    made = [Tag(names.MAIN, link, names.MAIN) for link in links]
    if made:
        tags.run([Change(Verb.CREATE, tag.key, None, tag) for tag in made])


if __name__ == "__main__":
    try:
        sys.stdout.writelines(f"{line}\n" for line in _main(sys.argv[1:]))
    except (OSError, Refusal) as fault:
        raise SystemExit(f"no links behind tags: {fault}") from fault
