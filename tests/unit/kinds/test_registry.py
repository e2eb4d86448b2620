"""The registry, and what every kind owes the pages and commands that are made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import underlace.kinds as package
from support.fabric_documents import ALONE
from underlace.kinds.base import AnyKind, Kind, Spec
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import parse_all
from underlace.kinds.registry import KINDS
from underlace.model.document import read_paths
from underlace.model.resource import Resource

EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_every_module_with_a_kind_is_found() -> None:
    folder = Path(package.__file__ or "").parent
    modules = {p.stem for p in folder.glob("*.py") if re.search(r"^KIND\b", p.read_text(), re.MULTILINE)}
    assert sorted(type(kind).__module__.rpartition(".")[2] for kind in KINDS.values()) == sorted(modules)
    assert all(name == kind.name for name, kind in KINDS.items())
    assert len(KINDS) > 10


def test_kinds_are_in_order() -> None:
    places = [kind.order for kind in KINDS.values()]
    assert places == sorted(set(places)), "each has a place of its own"


def test_what_others_stand_on_comes_before_them() -> None:
    """A soft reference may also be to what is written down later, such as a cable's to the settings of its port."""
    assert ALONE.keys() == KINDS.keys()
    place = {name: i for i, name in enumerate(KINDS)}
    for name, (document, _) in ALONE.items():
        kind = KINDS[name]
        found = list(kind.refs(Resource(document.ref, 1, kind.spec.model_validate(document.spec))))
        assert found or type(kind).refs is Kind.refs, f"the {name} of the test refers to nothing"
        assert all(place[r.target.kind] < place[name] for r in found if not r.soft), found


@EVERY
def test_kind_is_described(kind: AnyKind) -> None:
    assert kind.summary.endswith(".")
    assert issubclass(kind.spec, Spec)
    for path, field in _fields(kind.spec.model_json_schema()):
        assert field.get("description", "").strip(), f"{kind.name}: {path} has no description"


@EVERY
def test_columns_are_fields(kind: AnyKind) -> None:
    fields = dict(_fields(kind.spec.model_json_schema()))
    assert set(kind.columns) <= fields.keys()


@EVERY
def test_only_tenant_kinds_are_written_by_tenants(kind: AnyKind) -> None:
    assert kind.tenanted or kind.writers != "tenant"


@EVERY
def test_defaults_survive_storage(kind: AnyKind) -> None:
    """A store keeps specs as JSON without defaults."""
    for document in _examples():
        if document.kind == kind.name:
            spec = kind.spec.model_validate(document.spec)
            stored = spec.model_dump_json(exclude_defaults=True)
            assert kind.spec.model_validate_json(stored) == spec


def test_built_in_documents_are_valid() -> None:
    drafts, found = parse_all(BUILTIN)
    assert found == []
    assert [str(d.ref) for d in drafts] == ["tenant/-/system", "vpc/system/border", "profile/-/default"]


def test_a_kind_answers_nothing_by_default() -> None:
    class Plain(Kind[Spec]):
        pass

    plain: Any = Plain()
    for answer in (plain.refs, plain.exports):
        resource = type("R", (), {"spec": 7})()
        assert answer(resource) in ((), 7)
    for answer in (plain.claims, plain.marks, plain.watches, plain.needs, plain.check, plain.compile):
        assert list(answer(None, None)) == []
    assert plain.name_fault("x") == ""


def _fields(schema: dict[str, Any], path: str = "", root: dict[str, Any] | None = None) -> Iterator[tuple[str, Any]]:
    """Every field of a JSON schema with its path; lists are looked into under the same path."""
    root = root or schema
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, field
        for inner in _inner(field):
            target = root["$defs"][inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
            yield from _fields(target, here, root)


def _inner(field: dict[str, Any]) -> list[dict[str, Any]]:
    return [field, *field.get("anyOf", ()), *([field["items"]] if "items" in field else [])]


def _examples() -> list[Any]:
    return read_paths([Path(__file__).parents[3] / "examples" / "quickstart"]).documents
