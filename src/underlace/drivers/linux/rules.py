"""What `nft` says about one namespace, as native items, and the memory of how nft prints what was loaded.

nft prints rules in its own words, which change from version to version. So after a skeleton was loaded, its
listing is remembered beside it, without elements and counters. Later the same listing means: nobody touched it. The
memory lives as long as the rules do (until a reboot), so that an agent that starts again need not load anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from underlace.drivers.linux import names
from underlace.drivers.linux.native import NftTable
from underlace.model.change import Key

_TABLE = re.compile(r"table (\S+) (\S+) \{")
_SET = re.compile(r"set (\S+) \{")

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

    def _load(self) -> dict[str, Loaded]:
        if self._held is None:
            try:
                self._held = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Loaded])
            except (OSError, msgspec.DecodeError, msgspec.ValidationError):
                self._held = {}  # nothing known: every table is loaded once more
        return self._held

    def table(self, netns: str, listing: Listing) -> NftTable:
        """The item that a listing amounts to. A listing that is not as remembered is a skeleton of its own."""
        loaded = self._load().get(_word(("nft", netns, listing.family, listing.name)))
        untouched = loaded is not None and loaded.listing == listing.lines
        skeleton = loaded.skeleton if loaded is not None and untouched else ("# changed", *listing.lines)
        return NftTable(netns, listing.family, listing.name, skeleton, tuple(sorted(listing.sets.items())))

    def remember(self, loaded: Iterable[tuple[NftTable, Listing]]) -> None:
        held = self._load()
        for table, listing in loaded:
            held[_word(table.key)] = Loaded(table.skeleton, listing.lines)
        self._save()

    def forget(self, keys: Iterable[Key]) -> None:
        held = self._load()
        for key in keys:
            held.pop(_word(key), None)
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self._load()))
        os.replace(new, self._path)


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


def by_name(found: Iterable[Listing]) -> Mapping[tuple[str, str], Listing]:
    return {(one.family, one.name): one for one in found}
