"""Commands that a lab prints can be pasted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from underlace.lab import place


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose programs are in a directory of their own, which no shell looks into."""
    own = tmp_path / "venv" / "underlace"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(own.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path))
    return own


def test_the_program_is_named_by_its_path_where_no_shell_finds_it(installed: Path) -> None:
    assert place.command(Path("/x"), "down") == f"{installed} lab down --lab /x"


def test_the_program_is_named_as_a_shell_finds_it(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(installed.parent))
    assert place.program() == "underlace"


def test_another_installation_s_program_is_not_ours(installed: Path, tmp_path: Path) -> None:
    other = tmp_path / "underlace"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert place.program() == str(installed)


def test_only_a_directory_that_was_given_is_named(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert place.command(place.default_directory(), "status").endswith("lab status")
    assert place.command(Path("/a b"), "exec", "leaf1", "--", "echo", "x y").endswith(
        "lab exec --lab '/a b' leaf1 -- echo 'x y'"
    )
