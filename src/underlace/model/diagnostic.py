"""Diagnostics: what is wrong, where, why, and what to do, as values."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Where(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """The place of a fault. Empty fields are unknown.

    resource: "kind/tenant/name"; pointer: JSON pointer into that resource's document ("/spec/ports/0/port");
    file and line (from 1): where the document was read from.
    """

    resource: str = ""
    pointer: str = ""
    file: str = ""
    line: int = 0
    device: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        parts = [p for p in (place, self.resource or self.device, self.pointer) if p]
        return " ".join(parts) or "-"


class Diagnostic(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One finding.

    code: stable, lower case with hyphens ("gateway-outside-subnet"); listed in docs/reference/diagnostics.md.
    summary: a fixed sentence without names. detail: what is wrong with what, and why. remedy: what to do.
    """

    where: Where
    code: str
    summary: str
    detail: str = ""
    remedy: str = ""
    severity: Severity = Severity.ERROR
    related: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.code}]: {self.summary}", f"  at {self.where}"]
        if self.detail:
            lines.append(f"  {self.detail}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class Refused(Exception):
    """A request that cannot be carried out, with every reason at once."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(sorted(set(diagnostics)))
        super().__init__("\n".join(str(d) for d in self.diagnostics))


def errors(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings that forbid a change."""
    return [d for d in found if d.severity is Severity.ERROR]


def by_place(finding: Diagnostic) -> tuple[str, int, Diagnostic]:
    """The order in which findings about files are read."""
    return finding.where.file, finding.where.line, finding


def printable(text: str) -> str:
    """Text that anyone may have written, fit to be shown on one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str) -> str:
    """The same for a value in a sentence: not endless either."""
    return printable(text if len(text) <= 60 else text[:57] + "...")


def pointer_step(key: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
