"""Every command line that a page or a message of Underlace shows is one that there is."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from underlace.main import build

ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r"(?:^|[\s`(:$|;&])underlace((?: +[^\s`|;&)\"']+)*)")
PLACEHOLDER = re.compile(r"[A-Z<\[{$]|^\d|/|\.|^…$")
"""What stands for an argument: capitals, paths, values."""

DEVICE_COMMANDS = ("agent",)
"""Parsed by the agent itself: its page documents them."""


class Line(NamedTuple):
    place: str
    text: str


@cache
def program() -> Any:
    return typer.main.get_command(build(["lab"]))


def pages() -> Iterator[Line]:
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for file in files:
        if not file.exists():
            continue
        fenced = False
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
                continue
            shown = [line] if fenced else re.findall(r"`([^`]+)`", line)
            for text in shown:
                yield Line(f"{file.relative_to(ROOT)}:{number}", text)


def messages() -> Iterator[Line]:
    """Text that the program itself says."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                yield Line(f"{file.relative_to(ROOT)}:{node.lineno}", node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "{X}" for p in node.values]
                yield Line(f"{file.relative_to(ROOT)}:{node.lineno}", "".join(map(str, parts)))


def command_lines(lines: Iterator[Line], *, prose: bool) -> Iterator[tuple[str, list[str]]]:
    for line in lines:
        for found in SHOWN.finditer(line.text):
            try:
                words = shlex.split(found.group(1), comments=True)
            except ValueError:
                words = found.group(1).split()
            words = [w for w in (word.rstrip(".,:") for word in words) if w]
            # In prose "underlace" is also just the name of the program; a command follows a colon or a bracket.
            before = line.text[: found.start(1) - len("underlace")].rstrip(" ")
            if words and (not prose or words[0] in program().commands or before[-1:] in (":", "(", "`")):
                yield f"{line.place}: underlace {' '.join(words)}", words


def fault(words: list[str]) -> str:
    """What is wrong with a command line, "" for nothing."""
    node, path = program(), "underlace"
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return ""
        if word.startswith("-"):
            name = word.partition("=")[0]
            known = {o for p in node.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
            if name not in known:
                return f"{path} has no option {name}"
            option = next((p for p in node.params if name in p.opts), None)
            if option is not None and not getattr(option, "is_flag", False) and "=" not in word and rest:
                rest.pop(0)
        elif hasattr(node, "commands"):
            if word in node.commands:
                node, path = node.commands[word], f"{path} {word}"
                if word in DEVICE_COMMANDS:
                    return ""
            elif not PLACEHOLDER.search(word):
                return f"{path} has no command {word}"
    return ""


@pytest.mark.parametrize("source", ["pages", "messages"])
def test_what_is_shown_can_be_typed(source: str) -> None:
    lines = pages() if source == "pages" else messages()
    wrong = [
        f"{where}: {why}"
        for where, words in command_lines(lines, prose=source == "messages")
        if (why := fault(words))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_test_sees_what_is_shown_and_what_is_wrong() -> None:
    assert len(list(command_lines(pages(), prose=False))) > 20
    assert len(list(command_lines(messages(), prose=True))) > 20
    assert fault(["device", "enrol", "leaf1"]) == ""
    assert fault(["apply", "-f", "x.yaml", "--wait"]) == ""
    assert fault(["revisions"]) == "underlace has no command revisions"
    assert fault(["device", "enroll", "leaf1"]) == "underlace device has no command enroll"
    assert fault(["apply", "--file", "x", "--force"]) == "underlace apply has no option --force"


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(node, "commands"):
        for name, inner in node.commands.items():
            yield from _leaves(inner, f"{path} {name}")
    else:
        yield path, node


def test_every_command_and_option_says_what_it_is_for() -> None:
    silent = []
    for path, command in _leaves(program(), "underlace"):
        if not command.help:
            silent.append(path)
        silent += [f"{path} {p.opts[0]}" for p in command.params if p.name != "help" and not getattr(p, "help", None)]
    assert not silent, "\n".join(silent)


def test_every_command_has_its_section_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    sections = set(re.findall(r"^#+ (underlace .*)$", page, re.MULTILINE))
    missing = [path for path, _ in _leaves(program(), "underlace") if path not in sections]
    assert not missing, "\n".join(missing)
