"""Documents: whatever the bytes, documents and diagnostics with the right lines come out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.document import Document, located, read_bytes, read_file, read_paths, read_text
from underlace.model.tree import MAX_DEPTH, MAX_DOCUMENT

STREAM = """\
# a comment before anything
{kind: site, name: dc1, spec: {fabric_as: 65000}}
---

kind: vnet
tenant: acme
name: web
labels: {tier: front}
spec:
  vpc: red
  ports:
    - port: swp1@leaf1
    - port: swp2@leaf1
      vlan: 7
"""


def _codes(text: str, file: str = "x.yaml") -> list[tuple[str, int]]:
    return [(d.code, d.where.line) for d in read_text(text, file).diagnostics]


def test_stream_of_documents() -> None:
    documents, diagnostics = read_text(STREAM, "x.yaml")
    assert diagnostics == []
    assert [str(d) for d in documents] == ["site/-/dc1", "vnet/acme/web"]
    assert [d.line for d in documents] == [2, 5]
    assert documents[1].labels == {"tier": "front"}
    assert documents[1].spec["ports"][1] == {"port": "swp2@leaf1", "vlan": 7}


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("", 5),
        ("/tenant", 6),
        ("/spec/ports", 11),
        ("/spec/ports/1/vlan", 14),
        ("/spec/ports/9/port", 11),
        ("/spec/x", 9),
    ],
)
def test_lines_of_fields(pointer: str, line: int) -> None:
    document = read_text(STREAM, "x.yaml").documents[1]
    assert document.line_of(pointer) == line
    assert document.where(pointer) == Where("vnet/acme/web", pointer, "x.yaml", line)


def test_line_of_a_document_without_text_is_its_own() -> None:
    assert Document("site", "-", "dc1", {}, {}, "x.yaml", 7).line_of("/spec/fabric_as") == 7


def test_json_holds_one_document_or_a_list() -> None:
    second = '{"kind": "tenant", "name": "\\ud83d\\ude00", "spec":\n\t{"description": ""}}'
    text = '[\n\t{"kind": "site", "name": "dc1"},\n\t' + second + "]"
    documents, diagnostics = read_text(text, "x.json")
    assert diagnostics == []
    assert [d.name for d in documents] == ["dc1", "\N{GRINNING FACE}"]
    assert documents[1].line_of("/spec/description") == 4
    assert read_text('{"kind": "site", "name": "dc1"}', "x.json").documents[0].line == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1,", [("syntax", 1)]),
        ('{"kind": "a", "kind": "b"}', [("syntax", 1)]),
        ('{"kind": "site", "name": "dc1", "spec": {"fabric_as": NaN}}', [("syntax", 1)]),
        ("[" * 100_000, [("syntax", 1)]),
        ("[" * 50 + "]" * 50, [("nesting-too-deep", 1)]),
        ('"' + "x" * MAX_DOCUMENT + '"', [("document-too-large", 1)]),
    ],
)
def test_faults_of_json(text: str, found: list[tuple[str, int]]) -> None:
    assert _codes(text, "x.json") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{kind: site, name: dc1", [("syntax", 1)]),
        ("a: &x 1\nb: *x", [("alias", 1)]),
        ("kind: site\nname: *x", [("alias", 2)]),
        ("kind: !!str site\nname: dc1", [("tag", 1)]),
        ("kind: site\nname: dc1\nkind: site", [("duplicate-key", 3)]),
        ("kind: site\nname: dc1\n7: x", [("bad-key", 3)]),
        ("kind: site\nname: dc1\n? [a]\n: x", [("bad-key", 3)]),
        ("kind: site\nname: dc1\nspec: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, [("nesting-too-deep", 3)]),
        ("[" * 100_000, [("nesting-too-deep", 1)]),
        ("- " * 100_000, [("nesting-too-deep", 1)]),
        ("just text", [("not-a-mapping", 1)]),
        ("kind: site\nname: 7", [("bad-value", 2)]),
        ("kind: [site]\nname: dc1", [("bad-value", 1)]),
        ("name: dc1", [("missing-field", 1)]),
        ("kind: site\nname: dc1\nmetadata: {}", [("unknown-field", 3)]),
        ("kind: site\nname: dc1\nlabels: [a]", [("bad-value", 3)]),
        ("kind: site\nname: dc1\nlabels: {a/b: 1}", [("bad-value", 3)]),
        ("kind: site\nname: dc1\x00", [("syntax", 1)]),
        ("# " + "x" * MAX_DOCUMENT, [("document-too-large", 1)]),
        ("name: a\n---\n{\n---\nkind: 3\nname: b", [("missing-field", 1), ("syntax", 3), ("bad-value", 5)]),
    ],
)
def test_faults_of_yaml(text: str, found: list[tuple[str, int]]) -> None:
    assert _codes(text) == found


def test_faults_of_one_document_spare_the_others() -> None:
    documents, diagnostics = read_text("{a: [}\n---\nkind: site\nname: dc1\n---\n- x\n")
    assert [d.name for d in documents] == ["dc1"]
    assert [(d.code, d.where.line) for d in diagnostics] == [("syntax", 1), ("not-a-mapping", 6)]


def test_scalars_are_what_they_look_like() -> None:
    """YAML 1.1 would make False, 511, 45045 and a date of these."""
    fields = "a: no, b: 0777, c: 12:30:45, d: 2024-01-01, e: 1e3, f: -0, g: ~, h: true, i: 0x1f"
    spec = read_text(f"{{kind: site, name: dc1, spec: {{{fields}}}}}").documents[0].spec
    expected = {"a": "no", "b": "0777", "c": "12:30:45", "d": "2024-01-01", "e": 1000.0, "f": 0, "g": None, "h": True}
    assert spec == expected | {"i": "0x1f"}


def test_numbers_that_no_computer_has_are_text() -> None:
    text = "{kind: site, name: dc1, spec: {a: " + "9" * 5_000 + ", b: 1e999}}"
    assert read_text(text).documents[0].spec == {"a": "9" * 5_000, "b": "1e999"}


def test_what_a_controller_shows_is_read_back() -> None:
    text = "{kind: site, name: dc1, id: 3, revision: 7, status: {phase: Active}, labels: null, spec: null}"
    (document,) = read_text(text).documents
    assert document.spec == {}
    assert document.labels == {}


def test_directives_byte_order_marks_and_line_ends() -> None:
    raw = "\ufeff%YAML 1.2\r\n---\r\nkind: site\r\nname: dc1\r\n...\r\n".encode()
    documents, diagnostics = read_bytes(raw, "x.yaml")
    assert diagnostics == []
    assert [(d.name, d.line) for d in documents] == [("dc1", 3)]


def test_bytes_that_are_no_text() -> None:
    (found,) = read_bytes(b"kind: site\nname: \xff\xfe", "x.yaml").diagnostics
    assert (found.code, found.where.line) == ("not-utf-8", 2)


def test_directory_is_read_by_name_without_the_labs_file(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "lab.yaml", ".hidden.yaml", "notes.txt"):
        text = {"kind": "tenant", "name": name}
        (tmp_path / name).write_text(json.dumps(text))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.yaml").write_text("{kind: tenant, name: d.yaml}")
    assert [d.name for d in read_paths([tmp_path]).documents] == ["a.yml", "b.yaml", "c.json", "d.yaml"]


def test_what_is_hidden_is_no_intent(tmp_path: Path) -> None:
    for name in (".git/a.yaml", "x/.cache/b.yaml", ".c.yaml", "x/d.yml"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{{kind: vpc, name: {file.name}, spec: {{}}}}")
    assert [d.name for d in read_paths([tmp_path]).documents] == ["d.yml"]
    hidden = tmp_path / "x" / ".cache"
    assert [d.name for d in read_paths([hidden]).documents] == ["b.yaml"], "named, it is meant"


def test_a_directory_without_intent_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("{kind: vpc, name: x, spec: {}}")
    (tmp_path / "lab.yaml").write_text("{}")
    (tmp_path / ".x.yaml").write_text("{kind: vpc, name: x, spec: {}}")
    documents, diagnostics = read_paths([tmp_path])
    assert documents == []
    assert [(d.code, d.where.file) for d in diagnostics] == [("directory-without-intent", str(tmp_path))]


def test_a_directory_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"{number}.yaml").write_text("{kind: vpc, name: x, spec: {}}")
    assert len(read_paths([tmp_path]).documents) == 3
    monkeypatch.setattr("underlace.model.document.MAX_TOTAL", 89)
    documents, diagnostics = read_paths([tmp_path])
    assert documents == []
    assert [d.code for d in diagnostics] == ["directory-too-large"]
    assert "3 files have 90 bytes; the limit is 89" in diagnostics[0].detail


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (found,) = read_file(tmp_path / "nothing.yaml").diagnostics
    assert found.code == "unreadable-file"
    assert "No such file" in found.detail


def test_large_files_are_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("kind: site\nname: dc1\n")
    monkeypatch.setattr("underlace.model.document.MAX_FILE", 8)
    assert [d.code for d in read_file(path).diagnostics] == ["file-too-large"]
    assert [d.code for d in read_bytes(path.read_bytes()).diagnostics] == ["file-too-large"]


def test_findings_get_the_line_of_their_field() -> None:
    documents = read_text(STREAM, "x.yaml").documents
    found = [
        Diagnostic(Where("vnet/acme/web", "/spec/ports/1/vlan"), "b", "B"),
        Diagnostic(Where("site/-/dc1", "/spec/fabric_as"), "a", "A"),
        Diagnostic(Where("site/-/dc9"), "c", "C"),
    ]
    places = [(d.code, d.where.file, d.where.line) for d in located(found, documents)]
    assert places == [("c", "", 0), ("a", "x.yaml", 2), ("b", "x.yaml", 14)]


@pytest.mark.parametrize(
    ("text", "line"), [("routers: {\n", 1), ("kind: vpc\nspec: {a: [1,\n\n\n", 2), ("a: 'b\n", 1)]
)
def test_what_is_never_closed_is_at_a_line_of_the_file(text: str, line: int) -> None:
    (fault,) = read_text(text, "x.yaml").diagnostics
    assert (fault.code, fault.where.line) == ("syntax", line)


@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf")
@example(b"!<")
@example(b"%TAG ! !\n---\n!x y")
def test_random_bytes_never_raise(raw: bytes) -> None:
    for file in ("x.yaml", "x.json"):
        documents, diagnostics = read_bytes(raw, file)
        for document in documents:
            document.line_of("/spec")
        assert all(d.where.line > 0 and str(d) for d in diagnostics)


@given(st.text(alphabet="{}[]:,-#&*!|>'\"%@`?~ \n\tab01.\r\u2028\x85", max_size=120))
def test_random_yaml_never_raises(text: str) -> None:
    for document in read_text(text).documents:
        document.line_of("/spec/a")
