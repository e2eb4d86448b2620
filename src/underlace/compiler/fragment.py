"""Resources to fragments: kinds state facts, facts of one object merge, objects of one scope make a fragment.

    resources ──compile──► facts ──by (device, scope)──► objects ──merge──► bytes ──► hash

No step knows an order: sets unite, scalars must agree. What disagrees is a diagnostic in the document of each owner,
and its fragment is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from underlace.kinds.base import AnyKind, Devices, Kind
from underlace.kinds.registry import KINDS
from underlace.model.device import (
    AnyObject,
    DeviceObject,
    FieldConflict,
    decode_fragment,
    encode_fragment,
    hash_fragment,
    merge_objects,
)
from underlace.model.device.base import Key
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.fact import Fact, FragmentKey
from underlace.model.ids import Ref, fabric
from underlace.model.resource import Resource, View

_HOLDERS = frozenset(name for name, kind in KINDS.items() if type(kind).needs is not Kind.needs) - {"switch"}
"""Kinds whose numbers may be in quarantine. A switch that waits holds back its own fragments, and nothing else."""


class Fragment(NamedTuple):
    """All objects of one scope of one device, as canonical bytes, and who said so.

    The objects themselves are made from the bytes when someone asks: for a whole fabric both would not fit.
    """

    body: bytes
    hash: str
    touches: frozenset[Ref]

    @property
    def objects(self) -> tuple[AnyObject, ...]:
        return decode_fragment(self.body)


class Compiled(NamedTuple):
    """fragments: what is not empty. broken: what is missing there because owners disagree. diagnostics: what each of
    the resources that were asked says against the others."""

    fragments: dict[FragmentKey, Fragment]
    broken: set[FragmentKey]
    diagnostics: list[Diagnostic]


class _Draft:
    """A fragment being collected: as little as can be, because a whole fabric has tens of thousands at once."""

    __slots__ = ("parts", "touches")

    def __init__(self) -> None:
        self.parts: list[DeviceObject] = []
        self.touches: list[Ref] = []


def compile_fragments(
    resources: Iterable[Resource[Any]],
    view: View,
    devices: Devices = None,
    only: Collection[FragmentKey] | None = None,
) -> Compiled:
    """The fragments that these resources make together.

    devices: compile only for these. only: keep only these fragments; `resources` must then hold every resource that
    touches one of them, or the fragment is not whole. A fragment of `only` that nothing fills is absent.
    """
    resources = list(resources)
    merge = Merge()
    merge.add(compile_facts(resources, view, devices), only)
    return merge.finish(resources, view)


class Merge:
    """Facts on their way to fragments. They may come in any number of steps: first those of what changed, then,
    once it is known which fragments these touch, those of whoever else is in there."""

    def __init__(self) -> None:
        self._drafts: dict[FragmentKey, _Draft] = {}

    def add(self, facts: Iterable[Fact], only: Collection[FragmentKey] | None = None) -> None:
        """Take facts; with `only`, leave out those of other fragments."""
        _collect(facts, only, self._drafts)

    def keep(self, key: FragmentKey, objects: Iterable[DeviceObject]) -> None:
        """Take what a fragment already consists of, and who said it is known elsewhere."""
        self._drafts.setdefault(key, _Draft()).parts.extend(objects)

    @property
    def touched(self) -> dict[FragmentKey, frozenset[Ref]]:
        """The fragments so far, and who said something about each."""
        return {key: frozenset(draft.touches) for key, draft in self._drafts.items()}

    def finish(self, resources: Iterable[Resource[Any]], view: View) -> Compiled:
        """The fragments; once only. resources: all whose facts were added."""
        fragments: dict[FragmentKey, Fragment] = {}
        broken: set[FragmentKey] = set()
        for key in sorted(self._drafts):
            # Let go as its fragment is made: all of both at once would double the memory of a whole fabric.
            draft = self._drafts.pop(key)
            objects = merged(draft.parts)
            if objects is None:
                broken.add(key)
            else:
                body = encode_fragment(objects)
                fragments[key] = Fragment(body, hash_fragment(body), frozenset(draft.touches))
        # Who said which field is not kept while all is well: it would double the cost. Ask again for what disagrees.
        return Compiled(fragments, broken, _disagreements(_facts_in(resources, view, broken)) if broken else [])


def merged(parts: Iterable[DeviceObject]) -> Collection[DeviceObject] | None:
    """The objects that these parts amount to, whatever their order; None when some disagree."""
    objects: dict[Key, DeviceObject] = {}
    for part in parts:
        key = part.key
        held = objects.setdefault(key, part)
        if held is not part and held != part:
            try:
                objects[key] = merge_objects(held, part)
            except FieldConflict:
                return None
    return objects.values()


def compile_facts(resources: Iterable[Resource[Any]], view: View, devices: Devices = None) -> Iterator[Fact]:
    """What the resources say about devices. A resource with a number in quarantine, its own or that of one that it
    builds on, says nothing yet (law 8); nothing is said about a device that itself waits."""
    held_back: dict[str, bool] = {}
    for r in resources:
        kind = KINDS[r.ref.kind]
        if _waits(r, kind, view):
            continue
        for fact in kind.compile(r, view, devices):
            device = fact.device
            if device not in held_back:
                held_back[device] = view.waiting(fabric("switch", device))
            if not held_back[device]:
                yield fact


def _waits(r: Resource[Any], kind: AnyKind, view: View) -> bool:
    if view.waiting(r.ref):
        return True
    return any(ref.target.kind in _HOLDERS and not ref.soft and view.waiting(ref.target) for ref in kind.refs(r))


def _collect(facts: Iterable[Fact], only: Collection[FragmentKey] | None, drafts: dict[FragmentKey, _Draft]) -> None:
    draft = _Draft()
    device = scope = because = None
    wanted = True
    for fact in facts:
        # A kind emits the facts of one fragment in a row: most facts belong where the one before did.
        if fact.scope is not scope or fact.device is not device:
            device, scope, because = fact.device, fact.scope, None
            key = FragmentKey(device, scope)
            wanted = only is None or key in only
            if wanted:
                known = drafts.get(key)
                draft = drafts[key] = _Draft() if known is None else known
        if not wanted:
            continue
        if fact.because is not because:
            because = fact.because
            draft.touches.append(because)
        draft.parts.append(fact.object)


def _facts_in(resources: Iterable[Resource[Any]], view: View, keys: Collection[FragmentKey]) -> Iterator[Fact]:
    devices = {key.device for key in keys}
    for fact in compile_facts(resources, view, devices):
        if (fact.device, fact.scope) in keys:
            yield fact


def _disagreements(facts: Iterable[Fact]) -> list[Diagnostic]:
    """One diagnostic per owner and field that has more than one value."""
    said: dict[tuple[str, Key, str], dict[Any, set[Ref]]] = {}
    for fact in facts:
        for name in fact.object.__struct_fields__:
            value = getattr(fact.object, name)
            if value is not None and not isinstance(value, frozenset):
                said.setdefault((fact.device, fact.object.key, name), {}).setdefault(value, set()).add(fact.because)
    found: list[Diagnostic] = []
    for (device, key, name), values in said.items():
        if len(values) > 1:
            found += _conflict(device, key, name, values)
    return sorted(found)


def _conflict(device: str, key: Key, name: str, values: dict[Any, set[Ref]]) -> Iterable[Diagnostic]:
    claims = sorted((f"{min(owners)} says {value}", value) for value, owners in values.items())
    everyone = frozenset().union(*values.values())
    for value, owners in values.items():
        for owner in sorted(owners):
            others = "; ".join(text for text, said in claims if said != value)
            yield Diagnostic(
                Where(str(owner), device=device),
                "merge-conflict",
                "Two resources say different things about a device",
                f"On {device}, {name} of {' '.join(key)} is {value} by {owner}; {others}.",
                "Change one of them so that they agree.",
                related=tuple(sorted(str(ref) for ref in everyone - {owner})),
            )
