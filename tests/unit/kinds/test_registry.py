"""The registry, and what every kind owes the pages and commands that are made from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from underlace.kinds.base import AnyKind, Kind, Spec
from underlace.kinds.builtin import BUILTIN
from underlace.kinds.parse import parse_all
from underlace.kinds.registry import KINDS

EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_all_kinds_are_found_in_order() -> None:
    names = ["site", "tenant", "profile", "switch", "server", "link", "port", "vpc", "allocation", "subnet", "vnet"]
    assert list(KINDS) == [*names, "vpc-peering", "bgp-peer"]
    assert all(name == kind.name for name, kind in KINDS.items())


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
    from pathlib import Path

    from underlace.model.document import read_paths

    return read_paths([Path(__file__).parents[3] / "examples" / "quickstart"]).documents
