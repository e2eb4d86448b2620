"""import and export of any size: in batches, from where it ended, with every fault at its line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support.shell import Result, Shell
from underlace.cli import bulk


def vpc(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "vpc", "tenant": "bulk", "name": name, "spec": {}, **more}


def lines(documents: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(d) + "\n" for d in documents)


@pytest.fixture(scope="module", autouse=True)
def tenant(shell: Shell) -> None:
    assert shell("apply", "-f", "-", stdin=json.dumps({"kind": "tenant", "name": "bulk", "spec": {}})).code == 0


def names(shell: Shell) -> set[str]:
    return {i["name"] for i in shell("get", "vpc", "-t", "bulk", "-o", "json").json}  # type: ignore[attr-defined]


def bring_in(shell: Shell, text: str, *options: str) -> Result:
    return shell("import", "-", "-o", "json", *options, stdin=text)


def test_an_import_is_made_in_batches_and_skips_what_is_equal(shell: Shell) -> None:
    text = lines(vpc(f"many{n}") for n in range(5)) + "\n"
    first = bring_in(shell, text, "--batch", "2", "-m", "moved")
    assert first.code == 0, first.err
    counts = {"lines": 6, "documents": 5, "changed": 5, "unchanged": 0, "batches": 3}
    assert {k: v for k, v in first.json.items() if k != "revision"} == counts  # type: ignore[attr-defined]
    again = bring_in(shell, text + lines([vpc("many5")]))
    assert (again.json["changed"], again.json["unchanged"]) == (1, 5)  # type: ignore[index]
    assert {f"many{n}" for n in range(6)} <= names(shell)
    history = shell("history", "-n", "4", "-o", "json").json
    assert [r["message"] for r in history] == ["import of -", *["moved"] * 3]  # type: ignore[attr-defined]


def test_a_refused_batch_tells_all_faults_with_their_lines_and_how_far_it_got(shell: Shell, tmp_path: Path) -> None:
    wrong = [
        lines([vpc("early1"), vpc("early2"), vpc("never")]),
        lines([vpc("vni", spec={"vni": "x"})]),
        "{not json\n",
        lines([vpc("number", id="one"), {"kind": "vpc", "tenant": "nobody", "name": "lost"}]),
    ]
    file = tmp_path / "intent.jsonl"
    file.write_text("".join(wrong))
    done = shell("import", str(file), "--batch", "2")
    # The first batch is in; of the second, nothing.
    assert done.code == 1
    assert f"{file}:4" in done.err
    assert "import-stopped" in done.err
    assert "2 documents up to line 2" in done.err
    assert {"early1", "early2"} <= names(shell)
    assert "never" not in names(shell)
    whole = shell("import", str(file), "-o", "json")
    for line, code in ((4, "bad-value"), (5, "syntax"), (6, "bad-value"), (7, "dangling-reference")):
        assert f"error[{code}]" in whole.err
        assert f"{file}:{line}" in whole.err
    assert whole.json["documents"] == 0  # type: ignore[index]


def test_a_batch_ends_before_a_request_would_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("".join(f'"{n}{"x" * 20}"\n' for n in range(5)))
    monkeypatch.setattr(bulk, "BATCH_BYTES", 50)
    assert [[n for n, _ in part.raw] for part in bulk._batches(file, 100)] == [[1, 2], [3, 4], [5]]


def test_of_a_line_that_is_too_long_little_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x" * 1_000 + b"\n\nlast")
    monkeypatch.setattr(bulk, "LINE_MAX", 64)
    found = list(bulk._lines(file))
    assert [(n, len(line)) for n, line in found if n != 1] == [(2, 0), (3, 4)]
    assert 64 < len(found[0][1]) < 80


def test_a_file_that_cannot_be_read(shell: Shell) -> None:
    done = shell("import", "no-such-file")
    assert (done.code, "unreadable-file" in done.err) == (1, True)


def test_an_export_by_lines_is_what_an_import_takes(shell: Shell) -> None:
    exported = shell("export", "--jsonl")
    assert exported.code == 0, exported.err
    documents = [json.loads(line) for line in exported.out.splitlines()]
    assert documents == shell("export", "--allocations").json["documents"]  # type: ignore[index]
    assert all(d["id"] for d in documents)
    again = bring_in(shell, exported.out)
    assert (again.code, again.json["changed"]) == (0, 0), again.err  # type: ignore[index]
    assert shell("apply", "-f", "-", stdin=exported.out.splitlines()[0]).err == "nothing to change\n"


def test_ids_of_another_fabric_are_refused_or_left_out(shell: Shell) -> None:
    used = json.loads(shell("export", "--jsonl").out.splitlines()[0])["id"]
    text = lines([vpc("other", id=used)])
    refused = bring_in(shell, text)
    assert (refused.code, "id-not-possible" in refused.err) == (1, True)
    assert bring_in(shell, text, "--new-numbers").code == 0
