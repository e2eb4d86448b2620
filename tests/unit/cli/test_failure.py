"""How findings are shown: the part of the source line that is meant, and nothing that could fool a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from underlace.cli.app import run_safely
from underlace.cli.failure import Exit, Stop, show
from underlace.model.diagnostic import Diagnostic, Refused, Severity, Where


def _shown(*diagnostics: Diagnostic) -> str:
    out = io.StringIO()
    show(Console(file=out, width=60), diagnostics)
    return out.getvalue()


def _finding(file: Path, line: int, pointer: str) -> Diagnostic:
    return Diagnostic(
        Where("vpc/acme/red", pointer, str(file), line), "bad-value", "A value is not possible", "Why.", "Do."
    )


@pytest.mark.parametrize(
    ("source", "pointer", "marked"),
    [
        ("  vni: lots", "/spec/vni", "vni: lots"),
        ("{kind: vpc, spec: {vni: 7, mtu: 12}}", "/spec/mtu", "mtu: 12"),
        ("{spec: {ports: [{port: swp1@x}], mtu: 9}}", "/spec/ports", "ports: [{port: swp1@x}]"),
        ("{spec: {ports: [{port: swp1@x}]}}", "/spec/ports/0/port", "port: swp1@x"),
        ('{"spec": {"vni": "a b"}}', "/spec/nothing", '{"spec": {"vni": "a b"}}'),
        ("  - swp1@leaf1", "/spec/ports/0", "- swp1@leaf1"),
        ("\tvni: 7", "/spec/vni", "vni: 7"),
    ],
)
def test_the_part_that_is_meant_is_underlined(tmp_path: Path, source: str, pointer: str, marked: str) -> None:
    file = tmp_path / f"{abs(hash((source, pointer)))}.yaml"
    file.write_text(f"# first\n{source}\n")
    lines = _shown(_finding(file, 2, pointer)).splitlines()
    place = next(i for i, line in enumerate(lines) if "^" in line)
    start = lines[place].index("^")
    assert lines[place - 1][start : start + lines[place].count("^")] == marked


@pytest.mark.parametrize(
    ("content", "line"), [("a: 1\n", 0), ("a: 1\n", 9), (None, 1), ("x" * 500, 1), ("a: \x1b[31m\n", 1)]
)
def test_without_a_line_to_show_the_message_stands_alone(tmp_path: Path, content: str | None, line: int) -> None:
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_text(content)
    shown = _shown(_finding(file, line, "/spec/a"))
    assert "^" not in shown
    assert "\x1b" not in shown
    assert "error[bad-value]: A value is not possible" in shown
    assert "remedy: Do." in shown


def test_markup_in_a_finding_is_text() -> None:
    finding = Diagnostic(Where(), "x-y", "S", "[red]not red[/red] [/]", severity=Severity.WARNING)
    assert "[red]not red[/red] [/]" in _shown(finding)
    assert _shown(finding).startswith("warning[x-y]: S")


def _raise(fault: BaseException) -> None:
    raise fault


FINDING = Diagnostic(Where(), "x-y", "Something is wrong", "Why.", "Do.")


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (Stop(Exit.TIMEOUT, [FINDING]), 4, "error[x-y]"),
        (Refused([FINDING]), 1, "error[x-y]"),
        (ValueError("broken"), 1, "error[unexpected]"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(5), 5, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("words"), 1, ""),
    ],
)
def test_every_end_is_a_code_and_a_message(
    fault: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_safely(lambda: _raise(fault)) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert "Traceback" not in shown.err
