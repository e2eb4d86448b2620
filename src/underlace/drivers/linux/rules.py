"""What `nft` says about one namespace, as native items, and the memory of how nft prints what was loaded.

nft prints rules in its own words, which change from version to version. So the first listing of what was loaded is
remembered beside it, without elements and counters, if the kernel has counted no other transaction in between. Later
the same listing means: nobody touched it. The memory lives as long as the rules do (until a reboot), so that an agent
that starts again need not load anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from underlace.drivers.linux import names
from underlace.drivers.linux.native import NftTable
from underlace.model.change import Key

_TABLE = re.compile(r"table (\S+) (\S+) \{")
_SET = re.compile(r"set (\S+) \{")
_CHAIN = re.compile(r"\s*chain (\S+) \{")

Sets = dict[str, frozenset[str]]


class Loaded(msgspec.Struct, frozen=True):
    """A skeleton as it was loaded and as nft lists it."""

    skeleton: tuple[str, ...]
    listing: tuple[str, ...]


class Listing(msgspec.Struct, frozen=True):
    """A table as listed: lines without elements, and the elements by set. seen: those that packets have filled."""

    family: str
    name: str
    lines: tuple[str, ...]
    sets: Sets
    seen: Sets


def listings(output: str) -> Iterator[Listing]:
    """Tables of ours in the output of `nft -s list ruleset`."""
    lines = iter(output.splitlines())
    for line in lines:
        match = _TABLE.match(line)
        if match is None:
            continue
        body = []
        for inner in lines:
            if inner == "}":
                break
            body.append(inner.strip())
        if match[2] == names.TABLE or match[2].startswith(names.GUARD_PREFIX):
            yield Listing(match[1], match[2], *_split(body))


def _split(body: Iterable[str]) -> tuple[tuple[str, ...], Sets, Sets]:
    """Lines and elements apart; a long list of elements goes over several lines."""
    lines: list[str] = []
    sets: Sets = {}
    dynamic: set[str] = set()
    current, text = "", ""
    for line in body:
        if text or line.startswith("elements = {"):
            text += f" {line}"
            if line.endswith("}"):
                inner = text.partition("{")[2].rpartition("}")[0]
                sets[current] = frozenset(part for part in (p.strip() for p in inner.split(",")) if part)
                text = ""
            continue
        match = _SET.match(line)
        if match is not None:
            current = match[1]
            sets[current] = frozenset()
        if line.startswith("flags dynamic"):
            dynamic.add(current)
        if line:
            lines.append(line)
    seen = {name: sets.pop(name) for name in dynamic}
    return tuple(lines), sets, seen


class Memory:
    """Loaded skeletons by the key of their table, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, Loaded] | None = None
        self._saved = True
        self._fresh: dict[str, tuple[int, dict[Key, tuple[str, ...]]]] = {}
        """By namespace: its generation after our last change, and skeletons whose listing nobody has seen."""

    def _load(self) -> dict[str, Loaded]:
        if self._held is None:
            try:
                self._held = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Loaded])
            except (OSError, msgspec.DecodeError, msgspec.ValidationError):
                self._held = {}  # nothing known: every table is loaded once more
        return self._held

    def renew(self) -> None:
        """Forget what the file says as well: another door of this device may have written it since."""
        if self._saved:
            self._held = None

    def changed(self, netns: str, loaded: Iterable[NftTable], before: int, after: int) -> None:
        """Note one transaction of ours, the skeletons in it, and the generations around it."""
        last, fresh = self._fresh.pop(netns, (before, {}))
        if after == before + 1:  # else somebody was in between, and whatever is listed may be theirs
            known = fresh if last == before else {}
            self._fresh[netns] = after, known | {table.key: table.skeleton for table in loaded}

    def listed(self, netns: str, found: Iterable[Listing], generation: int) -> None:
        """Note the listings of a namespace. generation: after they were taken."""
        last, fresh = self._fresh.pop(netns, (0, {}))
        for listing in found if generation == last else ():
            key = ("nft", netns, listing.family, listing.name)
            # A chain goes with its port, and that is no transaction.
            if key in fresh and _chains(listing.lines) == _chains(fresh[key]):
                self._load()[_word(key)] = Loaded(fresh[key], listing.lines)
                self._saved = False

    def table(self, netns: str, listing: Listing) -> NftTable:
        """The item that a listing amounts to. A listing that is not as remembered is a skeleton of its own."""
        loaded = self._load().get(_word(("nft", netns, listing.family, listing.name)))
        untouched = loaded is not None and loaded.listing == listing.lines
        skeleton = loaded.skeleton if loaded is not None and untouched else ("# changed", *listing.lines)
        return NftTable(netns, listing.family, listing.name, skeleton, tuple(sorted(listing.sets.items())))

    def forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._load().pop(_word(key), None)
            self._saved = False

    def save(self) -> None:
        """Write what has changed. Raises OSError."""
        if self._saved:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self._load()))
        os.replace(new, self._path)
        self._saved = True


def _chains(lines: Iterable[str]) -> set[str]:
    return {match[1] for line in lines if (match := _CHAIN.match(line))}


def _word(key: Key) -> str:
    return "/".join(key)


def commands(before: NftTable | None, after: NftTable | None) -> list[str]:
    """The statements of one transaction that go from one state of a table to another."""
    table = after or before
    assert table is not None
    where = f"{table.family} {table.name}"
    if after is None:
        return [f"add table {where}", f"delete table {where}"]
    if before is None or before.skeleton != after.skeleton:
        body = "\n".join((f"table {where} {{", *after.skeleton, "}"))
        start = [f"add table {where}", f"delete table {where}", body]
        return start + [s for name, elements in after.sets for s in _edit("add", where, name, elements)]
    held, found = dict(before.sets), []
    for name, elements in after.sets:
        old = held.get(name, frozenset())
        found += _edit("delete", where, name, old - elements)
        found += _edit("add", where, name, elements - old)
    return found


def _edit(verb: str, where: str, name: str, elements: frozenset[str]) -> list[str]:
    return [f"{verb} element {where} {name} {{ {', '.join(sorted(elements))} }}"] if elements else []


def reloaded(before: NftTable | None, after: NftTable | None) -> bool:
    """Whether going there replaces the skeleton."""
    return after is not None and (before is None or before.skeleton != after.skeleton)
