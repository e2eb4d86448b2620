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

PRINTED = frozenset({"switch", "server", "port"})
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


@given(HOSTILE)
def test_hostile_references_are_refused(text: str) -> None:
    """In every field that names something and could reach a device."""
    for kind, field, spec in _references(text):
        document = Document(kind, "acme" if KINDS[kind].tenanted else "-", "swp1@leaf1", {}, spec)
        found = examine(document)[1]
        assert any(d.where.pointer.startswith(f"/spec/{field}") for d in found), (kind, field)


def _references(text: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "switch", "site", {"site": text, "role": "leaf", "ports": 1}
    yield "switch", "profile", {"site": "dc1", "role": "leaf", "ports": 1, "profile": text}
    yield "switch", "os", {"site": "dc1", "role": "leaf", "ports": 1, "os": text}
    yield "switch", "os_version", {"site": "dc1", "role": "leaf", "ports": 1, "os_version": text}
    yield "server", "nics", {"site": "dc1", "nics": [{"name": text}]}
    yield "link", "a", {"a": text, "b": "swp1@leaf1"}
    yield "link", "b", {"a": "swp1@leaf1", "b": f"swp1@{text}"}
    yield "vnet", "vpc", {"vpc": text}
    yield "vnet", "ports", {"vpc": "red", "ports": [{"port": f"{text}@leaf1"}]}
    yield "vnet", "gateways", {"vpc": "red", "gateways": [text]}
    yield "subnet", "prefix", {"prefix": text}
    yield "port", "tenant", {"tenant": text}


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
