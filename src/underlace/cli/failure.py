"""How a command ends, and how it says what is wrong: one clear message, the source line underlined, no traceback."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from pathlib import Path

from rich.console import Console
from rich.text import Text

from underlace.model.diagnostic import Diagnostic, Severity


class Exit(IntEnum):
    """Exit codes: part of the interface, listed in docs/reference/cli.md."""

    OK = 0
    REFUSED = 1
    """Refused or failed: nothing was changed, or the message says what was."""
    USAGE = 2
    """The command line is at fault."""
    UNREACHABLE = 3
    """The controller cannot be reached, or does not know the caller."""
    TIMEOUT = 4
    """Waited in vain; the message says for what."""
    CHANGES = 5
    """`plan --exit-code`: the plan is not empty."""
    UNSETTLED = 6
    """`status --exit-code`: something waits for a device, or a device is silent."""


class Stop(Exception):
    """Ends a command with findings and an exit code."""

    def __init__(self, code: Exit, diagnostics: Iterable[Diagnostic]) -> None:
        self.code = code
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(d.summary for d in self.diagnostics))


SOURCE_MAX = 160
"""A longer source line is not shown: it would hide the message."""


def show(console: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """Print findings, each with its place, its reason and what to do."""
    for diagnostic in diagnostics:
        console.print(_message(diagnostic), soft_wrap=True, highlight=False)


def _message(d: Diagnostic) -> Text:
    colour = "red" if d.severity is Severity.ERROR else "yellow"
    text = Text()
    text.append(f"{d.severity}[{d.code}]", style=f"bold {colour}")
    text.append(f": {d.summary}\n", style="bold")
    if str(d.where) != "-":
        text.append(f"  at {d.where}\n", style="cyan")
    for line in _source(d):
        text.append(f"  {line}\n", style=colour if line.strip().startswith(("|", "^")) else "")
    for line in d.detail.splitlines():
        text.append(f"  {line}\n")
    for related in d.related:
        text.append(f"  see also {related}\n")
    if d.remedy:
        text.append(f"  remedy: {d.remedy}\n", style="green")
    text.right_crop(1)
    return text


def _source(d: Diagnostic) -> list[str]:
    """The line at fault and a mark under the part of it that the finding is about."""
    if not (d.where.file and d.where.line):
        return []
    lines = _lines(d.where.file)
    if not 0 < d.where.line <= len(lines):
        return []
    line = lines[d.where.line - 1].expandtabs(4).rstrip()
    if len(line) > SOURCE_MAX or not line.isprintable():
        return []
    start, length = _span(line, d.where.pointer)
    return [line, " " * start + "^" * length]


def _span(line: str, pointer: str) -> tuple[int, int]:
    """Where in the line the field of the pointer stands: the last of its names that occur there one after the other,
    with its value."""
    place: tuple[int, int] | None = None
    after = 0
    for name in (part for part in pointer.split("/") if part and not part.isdigit()):
        value = r"(\[[^\]]*\]|\{[^}]*\}|\"[^\"]*\"|[^,}\s]+)?"
        found = re.compile(rf"(?<![\w-]){re.escape(name)}(?=\s*:)").search(line, after)
        if found:
            whole = re.compile(rf"{re.escape(name)}\s*:\s*{value}").match(line, found.start())
            assert whole is not None
            place, after = (whole.start(), len(whole.group().rstrip())), found.end()
    if place is not None:
        return place
    body = line.lstrip()
    return len(line) - len(body), max(len(body), 1)


@lru_cache(maxsize=64)
def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
