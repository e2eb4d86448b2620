"""What holds for every intent: order is nothing, parts make the whole, and nothing is read that is not declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.intent import intents
from tests.support.view import MemoryView, drafts
from underlace.compiler import Merge, check_device, compile_facts, compile_fragments
from underlace.kinds.registry import KINDS
from underlace.model.device import AnyObject, Bfd, DeviceObject, FieldConflict, decode_fragment, merge_objects
from underlace.model.document import Document
from underlace.model.ids import Ref
from underlace.model.resource import Resource

OBJECTS: tuple[type[DeviceObject], ...] = get_args(AnyObject)

_seen: Counter[str] = Counter()


@given(intents())
def test_intents_are_without_fault_and_devices_consistent(documents: list[Document]) -> None:
    """Also: what kinds claim in intent is enough for the rules of a whole device."""
    view = MemoryView(drafts(documents))
    assert view.check() == []
    _seen.update(ref.kind for ref in view.resources)
    compiled = compile_fragments(view.resources.values(), view)
    assert compiled.diagnostics == []
    devices: dict[str, list[DeviceObject]] = {}
    for key, fragment in compiled.fragments.items():
        devices.setdefault(key.device, []).extend(fragment.objects)
    for device, objects in devices.items():
        assert check_device(device, objects) == []


def test_every_kind_is_exercised() -> None:
    """Runs after the test above: a new kind has to be in the random intents, or nothing here says anything of it."""
    if not _seen:
        test_intents_are_without_fault_and_devices_consistent()
    assert set(_seen) == set(KINDS)


@given(intents(), st.randoms(use_true_random=False))
def test_order_of_resources_never_matters(documents: list[Document], random: Random) -> None:
    view = MemoryView(drafts(documents))
    expected = compile_fragments(view.resources.values(), view)
    shuffled = list(view.resources.values())
    random.shuffle(shuffled)
    assert compile_fragments(shuffled, view) == expected
    random.shuffle(documents)
    again = MemoryView(drafts(documents))
    assert compile_fragments(again.resources.values(), again) == expected


@given(intents(), st.randoms(use_true_random=False))
def test_parts_make_the_whole(documents: list[Document], random: Random) -> None:
    """Facts may come in any number of steps; and the facts of one device are those that all have about it."""
    view = MemoryView(drafts(documents))
    resources = list(view.resources.values())
    whole = compile_fragments(resources, view)
    merge = Merge()
    facts = list(compile_facts(resources, view))
    random.shuffle(facts)
    while facts:
        step = random.randint(1, len(facts))
        merge.add(facts[:step])
        facts = facts[step:]
    assert merge.finish(resources, view) == whole
    for device in {key.device for key in whole.fragments}:
        part = compile_fragments(resources, view, {device})
        assert part.fragments == {k: f for k, f in whole.fragments.items() if k.device == device}


@given(intents())
def test_fragments_are_what_touches_them(documents: list[Document]) -> None:
    """The members of a fragment make it; a resource that is no member says nothing about it."""
    view = MemoryView(drafts(documents))
    whole = compile_fragments(view.resources.values(), view)
    for key, fragment in whole.fragments.items():
        members = [view.resources[ref] for ref in fragment.touches]
        assert compile_fragments(members, view, {key.device}, {key}).fragments == {key: fragment}
        assert decode_fragment(fragment.body) == fragment.objects


class _Recorder(MemoryView):
    """Notes what is read."""

    def watch_reads(self) -> None:
        self.read: set[Ref] = set()
        self.spaces: set[str] = set()

    def get(self, ref: Ref) -> Resource[Any] | None:
        if hasattr(self, "read"):
            self.read.add(ref)
        return super().get(ref)

    def number(self, owner: Ref, slot: str) -> int | None:
        if hasattr(self, "read"):
            self.read.add(owner)
        return super().number(owner, slot)

    def marked(self, space: str, values: Iterable[str] | None = None) -> frozenset[str]:
        if hasattr(self, "spaces"):
            self.spaces.add(space)
        return super().marked(space, values)


@given(intents())
def test_compile_reads_only_what_is_declared(documents: list[Document]) -> None:
    """Law 7 stands on it: what a resource reads has to make it dirty. It refers to it, or watches marks about it or
    made by it."""
    view = _Recorder(drafts(documents))
    for r in view.resources.values():
        kind = KINDS[r.ref.kind]
        spaces = {watch.space for watch in kind.watches(r, view)}
        declared = {reference.target for reference in kind.refs(r)} | {r.ref}
        view.watch_reads()
        list(kind.compile(r, view))
        assert view.spaces <= spaces, r.ref
        for ref in view.read - declared:
            other = view.resources[ref]
            made = {mark.space for mark in KINDS[ref.kind].marks(other, view)}
            assert made & spaces or any(space.endswith(f"/{ref.name}") for space in spaces), (r.ref, ref)


@given(intents())
def test_everything_but_compile_is_total_without_the_rest(documents: list[Document]) -> None:
    """Dangling references are found by reporting them, not by falling over them."""
    for draft in drafts(documents):
        view = MemoryView([draft])
        view.check()
        kind, r = KINDS[draft.ref.kind], view.resources[draft.ref]
        list(kind.watches(r, view))
        kind.exports(r)


def _values(field: msgspec.inspect.Field, first: bool) -> st.SearchStrategy[Any]:
    """Few values, so that some agree; identity is always the same."""
    return _of_type(field.type) if not first else st.just("x") if _is(field.type, str) else st.just(1)


def _is(kind: msgspec.inspect.Type, python: type) -> bool:
    return isinstance(kind, msgspec.inspect.StrType if python is str else msgspec.inspect.IntType)


def _of_type(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case msgspec.inspect.StrType():
            return st.sampled_from(["a", "b"])
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.IntType():
            return st.integers(1, 2)
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.FrozenSetType():
            return st.frozensets(_of_type(kind.item_type))
        case msgspec.inspect.UnionType():
            return st.one_of(*map(_of_type, kind.types))
        case msgspec.inspect.StructType():
            assert kind.cls is Bfd
            return st.builds(Bfd, transmit=st.integers(1, 2))
    raise AssertionError(f"no values for {kind}")


def _objects(cls: type[DeviceObject]) -> st.SearchStrategy[DeviceObject]:
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    return st.builds(cls, **{f.name: _values(f, f.required) for f in info.fields})


def _merged(*parts: DeviceObject) -> DeviceObject | None:
    held = parts[0]
    for part in parts[1:]:
        try:
            held = merge_objects(held, part)
        except FieldConflict:
            return None
    return held


@given(st.sampled_from(OBJECTS).flatmap(lambda cls: st.tuples(*[_objects(cls)] * 3)))
def test_merge_has_no_order(parts: tuple[DeviceObject, DeviceObject, DeviceObject]) -> None:
    a, b, c = parts
    assert _merged(a, b) == _merged(b, a)
    assert _merged(a, a) == a
    results = [_merged(*order) for order in ((a, b, c), (b, c, a), (c, b, a), (a, c, b))]
    right = None if (bc := _merged(b, c)) is None else _merged(a, bc)
    assert all(result == right for result in results)
