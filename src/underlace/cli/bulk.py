"""import: intent of any size, a document a line, in batches of which each is a change of its own.

    file ──lines──► batch ──POST /v1/apply──► all of it, or nothing ──► next batch
                                  └ refused: all faults with file:line; the batches before are in

What is equal is skipped by the controller, so an import that ended early is resumed by running it again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from underlace.cli import output
from underlace.cli.failure import Exit, Stop
from underlace.cli.intent import STDIN, as_body, said_of_the_rest
from underlace.cli.output import Format
from underlace.cli.session import session_of
from underlace.model.diagnostic import Diagnostic, Where, by_place

if TYPE_CHECKING:
    from underlace.model.document import Line

BATCH = 1_000
LINE_MAX = 1 << 20
"""Bytes of a line: what the controller takes as one document."""
BATCH_BYTES = 8 << 20
"""Bytes of lines after which a batch ends before it is full: half of what a request may hold."""
TELL_SECONDS = 2.0


def import_(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="JSONL: a document a line, as `export --jsonl` writes it; - for standard input.")
    ],
    batch: Annotated[int, typer.Option(min=1, max=20_000, help="Documents in one change.")] = BATCH,
    new_numbers: Annotated[
        bool,
        typer.Option("--new-numbers", help="Leave out ids and numbers of the documents, and have new ones given."),
    ] = False,
    message: Annotated[str, typer.Option("-m", "--message", help="Why, for the history.")] = "",
    form: Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")] = (
        Format.TABLE
    ),
) -> None:
    """Bring in intent of any size, in batches; each is applied wholly or not at all.

    The first batch that is refused ends it, with all its faults; what came before is in. Run it again to resume: what
    is equal is skipped. Resources that the file does not name stay as they are.
    """
    progress = Progress()
    try:
        for part in _batches(file, batch):
            _bring_in(ctx, part, message or f"import of {file}", new_numbers, progress)
    except Stop as stop:
        _tell_end(progress, form)
        raise Stop(stop.code, [*stop.diagnostics, progress.stopped(file)]) from None
    _tell_end(progress, form)


@dataclass(slots=True)
class Progress:
    """How far an import got: lines and documents of the batches that are in, and what they changed."""

    lines: int = 0
    documents: int = 0
    changed: int = 0
    batches: int = 0
    revision: int = 0
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)

    def add(self, part: Batch, applied: dict[str, Any]) -> None:
        self.lines = part.last_line
        self.documents += len(part.raw)
        self.changed += len(applied["resources"])
        self.batches += 1
        self.revision = applied["revision"]
        if time.monotonic() - self.told >= TELL_SECONDS:
            self.told = time.monotonic()
            output.note(self.text())

    def text(self) -> str:
        rate = self.documents / max(time.monotonic() - self.began, 1e-3)
        same = self.documents - self.changed
        return f"{self.documents:,} documents are in: {self.changed:,} written, {same:,} as they were; {rate:,.0f}/s"

    def result(self) -> dict[str, int]:
        return {
            "lines": self.lines,
            "documents": self.documents,
            "changed": self.changed,
            "unchanged": self.documents - self.changed,
            "batches": self.batches,
            "revision": self.revision,
        }

    def stopped(self, file: Path) -> Diagnostic:
        return Diagnostic(
            Where(file=_name(file), line=self.lines + 1),
            "import-stopped",
            "The import ended before the end of the file",
            f"The {self.documents:,} documents up to line {self.lines:,} are in; of the batch after them nothing is.",
            "Mend what is said above, and run the same command again: what is equal is skipped.",
        )


@dataclass(slots=True)
class Batch:
    """Lines for one change, each with its number; last_line: up to where the file is read with it."""

    file: str
    raw: list[tuple[int, bytes]] = field(default_factory=list)
    last_line: int = 0


def _name(file: Path) -> str:
    return STDIN if str(file) == "-" else str(file)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines. Of one that is too long to be a document no more is kept than shows that."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            number = 0
            while line := source.readline(LINE_MAX):
                rest, number = line, number + 1
                while not rest.endswith(b"\n") and (rest := source.readline(LINE_MAX)):
                    line = line[:LINE_MAX] + rest[:2]
                yield number, line.strip()
    except OSError as fault:
        raise Stop(Exit.REFUSED, [_unreadable(file, fault.strerror or str(fault))]) from None


def _batches(file: Path, size: int) -> Iterator[Batch]:
    part, held = Batch(_name(file)), 0
    for number, line in _lines(file):
        if part.raw and (len(part.raw) >= size or held + len(line) > BATCH_BYTES):
            yield part
            part, held = Batch(part.file), 0
        part.last_line = number
        if line:
            part.raw.append((number, line))
            held += len(line)
    if part.raw:
        yield part


def _bring_in(ctx: typer.Context, part: Batch, message: str, new_numbers: bool, progress: Progress) -> None:
    from underlace.model.document import Reading, located

    lines, faults = _read(part)
    documents = [line.document for line in lines]
    if faults:
        found = [*faults, *said_of_the_rest(ctx, Reading(documents, faults))]
        raise Stop(Exit.REFUSED, sorted(found, key=by_place))
    body = as_body(documents)
    if not new_numbers:
        body = [b | {"id": line.id, "allocated": line.allocated} for b, line in zip(body, lines, strict=True)]
    try:
        applied = session_of(ctx).client.post("/v1/apply", {"documents": body, "message": message})
    except Stop as stop:
        raise Stop(stop.code, located(stop.diagnostics, documents)) from None
    progress.add(part, applied)


def _read(part: Batch) -> tuple[list[Line], list[Diagnostic]]:
    """The lines of a batch that can be read, and what is wrong with the others."""
    from underlace.model.document import read_line

    lines, faults = [], []
    for number, raw in part.raw:
        line, found = read_line(raw, part.file, number)
        faults += found
        if line is not None:
            lines.append(line)
    return lines, faults


def _unreadable(file: Path, why: str) -> Diagnostic:
    detail, remedy = f"{_name(file)}: {why}.", "Name a file that exists and that you may read."
    return Diagnostic(Where(file=_name(file)), "unreadable-file", "A file cannot be read", detail, remedy)


def _tell_end(progress: Progress, form: Format) -> None:
    if form is Format.TABLE:
        output.note(progress.text() + (f"; revision {progress.revision}" if progress.revision else ""))
    else:
        output.emit(progress.result(), form)
