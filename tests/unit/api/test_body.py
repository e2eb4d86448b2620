"""Bodies: bounded depth and size, and a diagnostic for whatever is not the shape that is asked for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from underlace.api.body import DEPTH_MAX, DOCUMENT_MAX, _depth, decode, decode_document
from underlace.model.diagnostic import Refused


class _Shape(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parts: list[dict[str, int]] = []


def _refused(body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        decode(body, _Shape)
    return [(d.code, d.where.pointer) for d in refused.value.diagnostics]


def test_a_body_of_the_shape_is_decoded() -> None:
    assert decode(b'{"name": "a", "parts": [{"x": 1}]}', _Shape) == _Shape("a", [{"x": 1}])


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"", "json-invalid", ""),
        (b"{", "json-invalid", ""),
        (b'{"name": "\xff"}', "json-invalid", ""),
        (b"\x00", "json-invalid", ""),
        (b"[]", "body-invalid", ""),
        (b"{}", "body-invalid", ""),
        (b'{"name": 1}', "body-invalid", "/name"),
        (b'{"name": "a", "parts": [{"x": "y"}]}', "body-invalid", "/parts/0"),
        (b'{"name": "a", "other": 1}', "body-invalid", ""),
        (b"[" * 400_000, "json-too-deep", ""),
        (b'{"name": ' + b"[" * (DEPTH_MAX + 1), "json-too-deep", ""),
    ],
)
def test_anything_else_is_a_diagnostic(body: bytes, code: str, pointer: str) -> None:
    assert _refused(body) == [(code, pointer)]


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes) -> None:
    with suppress(Refused):
        decode(body, _Shape)


def _measure(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_measure, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_measure, value), default=0)
    return 0


_json = st.recursive(
    st.text() | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_json)
def test_depth_is_that_of_the_value_whatever_its_strings_hold(value: Any) -> None:
    assert _depth(msgspec.json.encode(value)) == _measure(value)


@pytest.mark.parametrize("text", [r'"\\"', r'"[[["', r'"\"["', r'["\\\"[", "]"]', r'{"{": "}\\"}'])
def test_brackets_in_strings_are_no_depth(text: str) -> None:
    import json

    assert _depth(text.encode()) == _measure(json.loads(text))


def test_a_document_has_a_limit_of_its_own() -> None:
    body = b'{"name": "' + b"a" * DOCUMENT_MAX + b'"}'
    with pytest.raises(Refused) as refused:
        decode_document(body, _Shape, 3)
    assert [(d.code, d.where.pointer) for d in refused.value.diagnostics] == [("document-too-large", "/documents/3")]
    with pytest.raises(Refused) as refused:
        decode_document(b'{"name": 1}', _Shape, 3)
    assert [d.where.pointer for d in refused.value.diagnostics] == ["/documents/3/name"]
