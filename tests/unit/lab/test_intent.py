"""An intent directory as the lab reads it: the words and places of `apply -f`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from underlace.kinds.parse import parse_all
from underlace.lab import intent
from underlace.model.diagnostic import Diagnostic, Refused
from underlace.model.document import read_paths

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"

FAULTY = """kind: switch
name: leaf1
spec:
  site: dc1
  role: leaf
  ports: many
  colour: red
---
{kind: vlan, name: v, spec: {}}
---
[no document]
"""


def refused(directory: Path) -> list[Diagnostic]:
    with pytest.raises(Refused) as told:
        intent.read(directory)
    return list(told.value.diagnostics)


def test_every_fault_of_form_has_its_line_and_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(FAULTY)
    found = refused(tmp_path)
    assert {(d.code, Path(d.where.file).name, d.where.line) for d in found} == {
        ("bad-value", "x.yaml", 6),
        ("unknown-field", "x.yaml", 7),
        ("unknown-kind", "x.yaml", 9),
        ("not-a-mapping", "x.yaml", 11),
    }
    assert all(d.remedy for d in found)


def test_the_words_are_those_of_the_controller(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(FAULTY)
    reading = read_paths([tmp_path])
    assert set(refused(tmp_path)) == {*reading.diagnostics, *parse_all(reading.documents)[1]}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("routers: {isp1: {addresses: [nonsense]}}", 1, "isp1"),
        ("# comment\nrouters: {isp1: {colour: red}}", 2, "addresses and announce"),
        ("routers: [isp1]", 1, "mapping"),
        ("routers: [1, }", 1, ""),
    ],
)
def test_what_the_lab_plays_is_refused_at_its_place(tmp_path: Path, text: str, line: int, words: str) -> None:
    shutil.copytree(QUICKSTART, tmp_path, dirs_exist_ok=True)
    (tmp_path / intent.LAB_FILE).write_text(text)
    (found,) = refused(tmp_path)
    assert (Path(found.where.file).name, found.where.line) == (intent.LAB_FILE, line)
    assert words in found.detail
    assert found.remedy


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_directory_without_intent_is_named(tmp_path: Path, name: str) -> None:
    (found,) = refused(tmp_path / name)
    assert str(tmp_path) in found.where.file
    assert found.remedy


def test_intent_that_was_kept_is_what_was_read() -> None:
    read = intent.read(QUICKSTART)
    again = intent.parse(read.documents, QUICKSTART, read.played)
    assert (again.specs, again.routers, again.documents) == (read.specs, read.routers, read.documents)
