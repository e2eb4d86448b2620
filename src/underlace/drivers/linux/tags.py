"""VLANs of ports as links of their own, on a kernel with 8021q or, as root, by programs at the port.

    8021q      swp1 ── swp1.10 (vlan)              one link, born in the V-Net's namespace
    programs   swp1 ══ swp1_10 ── swp1.10 (veth)   the end beside the port carries the programs (`bpf`)

The V-Net's side is the same: its bridge, its guard. Each VLAN has filters of its own at the port, so one comes or
goes without a look at the others. Frames of a VLAN that has none go on to the port's guard, which drops them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from underlace import syscall
from underlace.drivers.linux import bpf, kernel, names, programs
from underlace.drivers.linux.namespaces import Namespaces, NoNamespace, present_links
from underlace.drivers.linux.native import Tag
from underlace.drivers.linux.programs import Command, Refusal
from underlace.model.change import Change, Key, Verb

Way = Literal["8021q", "programs", ""]

PLACE = 73
"""Of our filters at a port, among those of others."""

_END_MTU = 65_535
"""Of the end beside the port: the V-Net's side says what fits."""

_KERNEL_HAS = "link add underlace-a type veth peer name underlace-b\nlink add link underlace-a type vlan id 2\n"


class Means(NamedTuple):
    """How this kernel makes a VLAN of a port; where it cannot, why."""

    way: Way
    lacking: str = ""


class Tags:
    """pins: where a file system for programs is mounted while they are handed to `tc`; nothing stays there."""

    def __init__(self, namespaces: Namespaces, pins: Path) -> None:
        self._namespaces, self._pins = namespaces, pins
        self._means: Means | None = None

    @property
    def means(self) -> Means:
        """Found by trying, once."""
        if self._means is None:
            self._means = self._try()
        return self._means

    def _try(self) -> Means:
        with self._namespaces.throwaway():
            answer = programs.run(["ip", "-batch", "-"], _KERNEL_HAS)
            if answer.code == 0:
                return Means("8021q")
            lacking = f"no 8021q in the kernel ({answer.errors.partition('Command')[0].strip()})"
            try:
                with self._pinned([(bpf.pop(2, 1), bpf.pop_name(2, 1))]) as (path,):
                    programs.tc(_at("underlace-a", 2, path, ()))
            except OSError as error:
                return Means("", f"{lacking}, and no programs at ports ({error.strerror or error})")
            except Refusal as refusal:
                return Means("", f"{lacking}, and no programs at ports ({refusal.answer})")
        return Means("programs")

    def run(self, changes: Sequence[Change[Tag]]) -> None:
        """Carry out changes of one verb. Raises Refusal, OSError."""
        gone = [c.before for c in changes if c.before is not None and c.after is None]
        made = [c.after for c in changes if c.after is not None]
        for trunk, group in groupby(sorted(gone, key=_trunk), key=_trunk):
            self._remove(trunk, list(group))
        if made and not self.means.way:
            raise Refusal(Command(f"link {made[0].link}", made[0].key), f"This device has {self.means.lacking}.")
        for change in changes:
            if change.verb is Verb.UPDATE and change.before is not None:
                self._delete_link(change.before)  # half made, or changed by somebody: what stands on it follows
        for trunk, group in groupby(sorted(made, key=_trunk), key=_trunk):
            self._make(trunk, list(group))

    # making

    def _make(self, trunk: str, tags: Sequence[Tag]) -> None:
        way = self.means.way
        with self._namespaces.inside(trunk):
            programs.ip_batch([Command(line, tag.key) for tag in tags for line in self._born(tag, way)])
            if way == "programs":
                self._sort(tags)
        for netns, group in groupby(sorted(tags, key=lambda t: t.netns), key=lambda t: t.netns):
            alias = f"{kernel.ALIAS} {trunk}".strip()
            with self._namespaces.inside(netns):
                programs.ip_batch([Command(f'link set {tag.link} alias "{alias}"', tag.key) for tag in group])

    def _born(self, tag: Tag, way: Way) -> Iterator[str]:
        port, vlan = names.untag(tag.link)
        where = tag.netns or self._namespaces.main_path
        if way == "8021q":
            yield f"link add link {port} name {tag.link} netns {where} type vlan id {vlan}"
            return
        end = names.tag_end(tag.link)
        yield f"link add {end} mtu {_END_MTU} type veth peer name {tag.link} netns {where}"
        yield f"link set {end} addrgenmode none"

    def _sort(self, tags: Sequence[Tag]) -> None:
        """Attach the programs of VLANs in the namespace of their ports, then bring the ends up: an end without its
        program would hand a tenant's frames to that namespace."""
        code: list[tuple[bytes, str]] = []
        for tag in tags:
            port, vlan = names.untag(tag.link)
            at, end = socket.if_nametoindex(port), socket.if_nametoindex(names.tag_end(tag.link))
            code.append((bpf.push(vlan, at), bpf.push_name(vlan, at)))
            code.append((bpf.pop(vlan, end), bpf.pop_name(vlan, end)))
        with self._pinned(code) as paths:
            lines = []
            for tag, push, pop in zip(tags, paths[::2], paths[1::2], strict=True):
                port, vlan = names.untag(tag.link)
                lines += _at(names.tag_end(tag.link), vlan, push, tag.key) + _at(port, vlan, pop, tag.key)
            programs.tc(lines)
        programs.ip_batch([Command(f"link set {names.tag_end(tag.link)} up", tag.key) for tag in tags])

    @contextmanager
    def _pinned(self, code: Iterable[tuple[bytes, str]]) -> Iterator[list[Path]]:
        """Programs under names in a file system of their own, for as long as the block runs."""
        self._pins.mkdir(mode=0o700, parents=True, exist_ok=True)
        syscall.mount("bpf", str(self._pins), "bpf", data="mode=700")
        try:
            paths = []
            for number, (instructions, name) in enumerate(code):
                program = bpf.load(instructions, name)
                try:
                    paths.append(self._pins / str(number))
                    bpf.pin(program, paths[-1])
                finally:
                    os.close(program)
            yield paths
        finally:
            syscall.unmount(str(self._pins))
            self._pins.rmdir()

    # removing

    def _remove(self, trunk: str, tags: Sequence[Tag]) -> None:
        for tag in tags:
            self._delete_link(tag)
        with suppress(NoNamespace), self._namespaces.inside(trunk):
            ports = {names.untag(tag.link)[0] for tag in tags} & present_links()
            held = filters(ports)
            gone = [(tag.key, *names.untag(tag.link)) for tag in tags]
            lines = [
                Command(f"filter del dev {port} ingress pref {PLACE} handle {vlan} bpf", key)
                for key, port, vlan in gone
                if vlan in held.get(port, {})
            ]
            programs.tc(lines)
            bare = [port for port, left in filters(command.line.split()[3] for command in lines).items() if not left]
            programs.tc([Command(f"qdisc del dev {port} clsact", lines[0].key) for port in bare])

    def _delete_link(self, tag: Tag) -> None:
        with self._namespaces.inside(tag.netns):
            if tag.link in present_links():
                programs.ip_batch([Command(f"link del {tag.link}", tag.key)])

    # reading

    def read(self, seen: Mapping[str, Sequence[kernel.Link]]) -> Iterator[Tag]:
        """The VLANs among the links of some namespaces."""
        found = [tag for netns, links in seen.items() for tag in kernel.tags(netns, links)]
        for trunk in sorted({one.trunk for one in found}):
            of_trunk = [one for one in found if one.trunk == trunk]
            try:
                with self._namespaces.inside(trunk):
                    yield from self._judged(trunk, of_trunk, seen.get(trunk))
            except NoNamespace:
                yield from (Tag(one.netns, one.link.ifname, trunk, False) for one in of_trunk)

    def _judged(
        self, trunk: str, found: Sequence[kernel.TagLink], links: Sequence[kernel.Link] | None
    ) -> Iterator[Tag]:
        """Whether frames pass between ports of the namespace that the thread is in and their VLANs."""
        if links is None:
            links = kernel.decode_links(programs.ask("ip", "-json", "-details", "address", "show"))
        here = {link.ifname: link for link in links}
        sorts = any(one.link.linkinfo.info_kind == "veth" for one in found)
        ends = {n for one in found for n in (one.port, names.tag_end(one.link.ifname))} if sorts else set()
        held = filters(ends & here.keys())
        for one in found:
            port, end = here.get(one.port), here.get(names.tag_end(one.link.ifname))
            if port is None:
                ready = False
            elif one.link.linkinfo.info_kind == "vlan":
                ready = one.stands_on(port) and one.carries(one.vlan)
            else:
                ready = end is not None and end.up and one.stands_on(end) and _sorted(one.vlan, port, end, held)
            yield Tag(one.netns, one.link.ifname, trunk, ready)


def _trunk(tag: Tag) -> str:
    return tag.trunk


def _sorted(vlan: int, port: kernel.Link, end: kernel.Link, held: Mapping[str, Mapping[int, str]]) -> bool:
    """Whether the programs at a port and at the end of one of its VLANs are there."""
    inward, outward = held.get(port.ifname, {}).get(vlan), held.get(end.ifname, {}).get(vlan)
    return inward == bpf.pop_name(vlan, end.ifindex) and outward == bpf.push_name(vlan, port.ifindex)


def _at(link: str, vlan: int, program: Path, key: Key) -> list[Command]:
    """Have a program see what enters by a link; in the place of the one that did so for the VLAN, without a gap."""
    what = f"pref {PLACE} protocol all handle {vlan} bpf direct-action object-pinned {program}"
    lines = (f"qdisc replace dev {link} clsact", f"filter replace dev {link} ingress {what}")
    return [Command(line, key) for line in lines]


class _Program(msgspec.Struct):
    name: str = ""


class _Options(msgspec.Struct, rename="kebab"):
    handle: str = "0"
    direct_action: bool = False
    prog: _Program = msgspec.field(default_factory=_Program)


class _Filter(msgspec.Struct):
    """A row of `tc -json filter show`."""

    pref: int = 0
    options: _Options = msgspec.field(default_factory=_Options)


def filters(links: Iterable[str]) -> dict[str, dict[int, str]]:
    """Names of our programs at links, by VLAN. Raises Silence."""
    wanted = sorted(set(links))
    if not wanted:
        return {}
    said = programs.ask("tc", "-json", "-batch", "-", stdin="".join(f"filter show dev {w} ingress\n" for w in wanted))
    lists = [msgspec.json.decode(line, type=list[_Filter]) for line in said.splitlines() if line.strip()]
    return {
        link: {int(row.options.handle, 0): row.options.prog.name for row in rows if _is_ours(row)}
        for link, rows in zip(wanted, lists, strict=True)
    }


def _is_ours(row: _Filter) -> bool:
    return row.pref == PLACE and row.options.direct_action
