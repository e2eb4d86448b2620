"""Law 9: a tenant's text never becomes configuration.

Two walls. A name, label or reference that holds anything but plain characters is refused. Of what is left, and of
descriptions, which may hold anything, nothing but the names of devices and ports gets into a fragment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.intent import intents
from tests.support.view import MemoryView, drafts
from underlace.compiler import compile_fragments
from underlace.kinds.base import Devices, wanted
from underlace.kinds.parse import examine
from underlace.kinds.ports import split
from underlace.kinds.registry import KINDS
from underlace.model.device import Port
from underlace.model.document import Document
from underlace.model.fact import Fact, port_scope
from underlace.model.resource import Resource, View

MARK = "Evil.text"
"""A name that every rule allows. It stands for all of them: where it gets, any other would."""

PRINTED = frozenset({"switch", "server", "port", "lag"})
"""Kinds whose names are host names and interface names by their own rule: they do name things on devices."""

PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ._:@/()+#-")
HOSTILE = st.text(min_size=1, max_size=40).filter(lambda text: not set(text) <= PLAIN)


def _marked(documents: list[Document]) -> list[Document]:
    """The same intent with the mark in every name, label, reference and description."""
    names = {d.name for d in documents if d.kind not in PRINTED}
    return [_mark(d, names) for d in documents]


def _mark(d: Document, names: set[str]) -> Document:
    spec = _walk(d.spec, names)
    fields = KINDS[d.kind].spec.model_fields
    if "description" in fields:
        spec = {**spec, "description": f"{MARK}\n!\nrouter bgp 1; $(reboot)"}
    name = d.name if d.kind in PRINTED else _new(d.name, names)
    return replace(d, name=name, tenant=_new(d.tenant, names), spec=spec, labels={"who": MARK})


def _walk(value: Any, names: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _walk(v, names) for key, v in value.items()}
    if isinstance(value, list):
        return [_walk(v, names) for v in value]
    if isinstance(value, str):
        return "/".join(_new(part, names) for part in value.split("/"))
    return value


def _new(name: str, names: set[str]) -> str:
    return f"{MARK} {name}" if name in names else name


def check_no_text_arrives(documents: list[Document]) -> None:
    view = MemoryView(drafts(_marked(documents)))
    assert view.check() == []
    for key, fragment in compile_fragments(view.resources.values(), view).fragments.items():
        assert MARK not in str(key)
        assert MARK.encode() not in fragment.body


@given(intents())
def test_no_text_of_a_tenant_is_in_a_fragment(documents: list[Document]) -> None:
    check_no_text_arrives(documents)


@given(HOSTILE, st.sampled_from(sorted(KINDS)))
def test_hostile_names_are_refused(text: str, kind: str) -> None:
    document = Document(kind, "acme" if KINDS[kind].tenanted else "-", text, {}, {})
    assert any(d.code == "bad-name" for d in examine(document)[1])


FORMS = ("{}", "{}@leaf1", "swp1@{}", "acme/{}", "{}/red", "{}/24")
"""Where in a reference or a value the text may stand."""

FREE = frozenset({"description"})
"""Fields of free text. What they hold is marked in `check_no_text_arrives`; every other field refuses it."""

Place = tuple[str | int, ...]


def _places(schema: Mapping[str, Any], root: Mapping[str, Any], path: Place = ()) -> Iterator[Place]:
    """Where a spec holds text, lists by their first element."""
    if "$ref" in schema:
        yield from _places(root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
    for option in schema.get("anyOf", ()):
        yield from _places(option, root, path)
    match schema.get("type"):
        case "object":
            assert not schema.get("additionalProperties"), "keys would be text too"
            for name, field in schema.get("properties", {}).items():
                yield from _places(field, root, (*path, name))
        case "array":
            yield from _places(schema["items"], root, (*path, 0))
        case "string":
            yield path


PLACES = {name: list(_places(s, s)) for name, s in ((n, k.spec.model_json_schema()) for n, k in KINDS.items())}


def test_places_are_found() -> None:
    assert ("nics", 0, "name") in PLACES["server"]
    assert ("ports", 0, "port") in PLACES["vnet"]
    assert ("a", "vpc") in PLACES["vpc-peering"]
    assert ("announce", 0) in PLACES["bgp-peer"]
    assert {kind for kind, places in PLACES.items() if any(place[-1] in FREE for place in places)} == {
        name for name, kind in KINDS.items() if "description" in kind.spec.model_fields
    }


@given(HOSTILE, st.sampled_from(FORMS))
def test_hostile_text_is_refused_in_every_field(text: str, form: str) -> None:
    """Of every kind, but where it is free text."""
    for kind, places in PLACES.items():
        for place in places:
            if place[-1] in FREE:
                continue
            with pytest.raises(ValidationError) as refused:
                KINDS[kind].spec.model_validate(_placed(form.format(text), place))
            assert any(e["loc"][: len(place)] == place for e in refused.value.errors()), (kind, place)


def _placed(text: str, place: Place) -> Any:
    value: Any = text
    for step in reversed(place):
        value = [value] if step == 0 else {step: value}
    return value


@pytest.mark.parametrize("name", ["leaf1\n", "Leaf1", "leaf1 up", "-leaf1", "leaf_1", "a" * 64, "../leaf1"])
def test_devices_have_host_names(name: str) -> None:
    for kind in ("switch", "server"):
        assert any(d.code == "bad-name" for d in examine(Document(kind, "-", name, {}, {}))[1])


def test_a_planted_description_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breach: a kind that hands its description on to the device."""
    kind = type(KINDS["port"])
    honest = kind.compile

    def compile_with_text(self: Any, r: Resource[Any], view: View, devices: Devices = None) -> Iterator[Fact]:
        yield from honest(self, r, view, devices)
        port, device = split(r.ref.name)
        if wanted(device, devices):
            yield Fact(device, port_scope(port), Port(port, description=r.spec.description), r.ref)

    monkeypatch.setattr(kind, "compile", compile_with_text)
    documents = [
        Document("site", "-", "dc1", {}, {}),
        Document("allocation", "system", "lo", {}, {"prefix": "10.255.0.0/24"}),
        Document("subnet", "system", "lo", {}, {"prefix": "10.255.0.0/24", "purpose": "loopback"}),
        Document("switch", "-", "leaf1", {}, {"site": "dc1", "role": "leaf", "ports": 2}),
        Document("port", "-", "swp1@leaf1", {}, {"description": "x"}),
    ]
    with pytest.raises(AssertionError):
        check_no_text_arrives(documents)
