"""Documents as people write them, one resource each, read from files into values that know their file and line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from underlace.model.diagnostic import Diagnostic, Where, by_place, pointer_step, printable, shortened
from underlace.model.ids import NO_TENANT
from underlace.model.tree import (
    Fault,
    Source,
    Value,
    json_value,
    json_values,
    lines_of,
    too_large,
    yaml_values,
)

MAX_FILE = 64 << 20
"""Bytes of one file. Beyond it, something else than intent was named."""

MAX_TOTAL = MAX_FILE
"""Bytes of all files of a directory."""

SUFFIXES = (".yaml", ".yml", ".json")
NOT_INTENT = frozenset({"lab.yaml"})
"""Files of an intent directory that hold something else."""

FIELDS = ("kind", "tenant", "name", "labels", "spec")
READ_ONLY = ("id", "allocated", "revision", "status")
"""What a controller adds when it shows a resource; read back without effect."""


@dataclass(frozen=True, slots=True)
class Document:
    """One resource as written. `spec` is any JSON value: whether it fits its kind is the kind's to say."""

    kind: str
    tenant: str
    name: str
    labels: Mapping[str, str]
    spec: Any
    file: str = ""
    line: int = 0
    source: Source | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return printable(f"{self.kind}/{self.tenant}/{self.name}")

    def where(self, pointer: str = "") -> Where:
        """The place of a field: its own line where the text is known, else that of the document."""
        return Where(str(self), pointer, self.file, self.line_of(pointer))

    def line_of(self, pointer: str) -> int:
        if self.source is None:
            return self.line
        lines = lines_of(self.source.text, self.source.first_line)
        at = self.source.root + pointer
        while at not in lines and at:
            at = at.rpartition("/")[0]
        return lines.get(at, self.line)


class Reading(NamedTuple):
    """What was read: the documents that could be, and everything that is wrong with the rest."""

    documents: list[Document]
    diagnostics: list[Diagnostic]


def read_paths(paths: Iterable[Path]) -> Reading:
    """All documents of files and directories, in the order given; a directory's files by name, those of the
    directories in it too. What is hidden (".git", ".x.yaml") is no intent, and a directory with nothing else is
    named by mistake."""
    reading = Reading([], [])
    for path in paths:
        files = _files(path) if path.is_dir() else [path]
        if (fault := _unfit(path, files)) is not None:
            reading.diagnostics.append(fault)
            continue
        for file in files:
            found = read_file(file)
            reading.documents.extend(found.documents)
            reading.diagnostics.extend(found.diagnostics)
    return reading


def read_file(path: Path) -> Reading:
    try:
        if path.stat().st_size > MAX_FILE:
            return _only(
                _placed(
                    too_large(1, "file-too-large", "A file is too large", path.stat().st_size, MAX_FILE), str(path)
                )
            )
        return read_bytes(path.read_bytes(), str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return _only(
            Diagnostic(
                Where(file=str(path)),
                "unreadable-file",
                "A file cannot be read",
                f"{path}: {reason}.",
                "Name a file or directory that exists and that you may read.",
            )
        )


def read_bytes(raw: bytes, file: str = "") -> Reading:
    """The documents of a file's bytes. A name that ends in .json is read as JSON."""
    if len(raw) > MAX_FILE:
        return _only(_placed(too_large(1, "file-too-large", "A file is too large", len(raw), MAX_FILE), file))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _only(
            Diagnostic(
                Where(file=file, line=line),
                "not-utf-8",
                "A file is not text",
                f"Byte {error.start} is not part of UTF-8 text: this is no YAML or JSON file.",
                "Save it as UTF-8, or name the right file.",
            )
        )
    return read_text(text, file)


def read_text(text: str, file: str = "") -> Reading:
    """The documents of a text: JSON if the file's name says so, else YAML (which most JSON is too)."""
    reading = Reading([], [])
    found = json_values(text) if file.endswith(".json") else yaml_values(text)
    for item in found:
        if isinstance(item, Fault):
            reading.diagnostics.append(_placed(item, file))
        else:
            _add(reading, item, file)
    return reading


def _files(directory: Path) -> list[Path]:
    found: list[Path] = []
    for place, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".") and name not in NOT_INTENT]
    return sorted(file for file in found if file.suffix in SUFFIXES and file.is_file())


def _unfit(path: Path, files: list[Path]) -> Diagnostic | None:
    """Why a directory as a whole cannot be read."""
    if not files:
        return Diagnostic(
            Where(file=str(path)),
            "directory-without-intent",
            "A directory holds no intent",
            f"{path} has no file whose name ends in {', '.join(SUFFIXES)}; hidden ones do not count.",
            "Name the directory that holds your files, or a file.",
        )
    try:
        total = sum(file.stat().st_size for file in files) if path.is_dir() else 0
    except OSError:
        return None  # a file that went meanwhile is told with its name when it is read
    if total <= MAX_TOTAL:
        return None
    return Diagnostic(
        Where(file=str(path)),
        "directory-too-large",
        "A directory holds too much",
        f"Its {len(files):,} files have {total:,} bytes; the limit is {MAX_TOTAL:,}.",
        "Name the right directory, or apply its parts one after the other.",
    )


def _placed(fault: Fault, file: str) -> Diagnostic:
    return Diagnostic(Where(file=file, line=fault.line), fault.code, fault.summary, fault.detail, fault.remedy)


def _only(diagnostic: Diagnostic) -> Reading:
    return Reading([], [diagnostic])


class Line(NamedTuple):
    """A line of an export: a document, and the id and numbers that it brings along."""

    document: Document
    id: int | None
    allocated: Mapping[str, int]


def read_line(raw: bytes, file: str, line: int) -> tuple[Line | None, list[Diagnostic]]:
    """One line of JSONL, or everything that is wrong with it."""
    try:
        value = json_value(raw.decode("utf-8-sig" if line == 1 else "utf-8"))
    except UnicodeDecodeError:
        value = Fault(1, "not-utf-8", "A file is not text", "The line is no UTF-8 text.", "Save it as UTF-8.")
    except Fault as fault:
        value = fault
    if isinstance(value, Fault):
        return None, [msgspec.structs.replace(_placed(value, file), where=Where(file=file, line=line))]
    reading = Reading([], [])
    _add(reading, Value(value, line, None), file)
    if not reading.documents:
        return None, reading.diagnostics
    document, i, allocated = reading.documents[0], value.get("id"), value.get("allocated") or {}
    fits = isinstance(allocated, dict) and all(type(n) is int for n in allocated.values())
    for pointer, fit, form in (
        ("/id", i is None or type(i) is int, "a number"),
        ("/allocated", fits, "{slot: number}"),
    ):
        if not fit:
            detail = f"{pointer[1:]} is not {form}."
            reading.diagnostics.append(
                Diagnostic(
                    document.where(pointer),
                    "bad-value",
                    "A value is not possible",
                    detail,
                    f"Write {form}, or nothing.",
                )
            )
    return (None if reading.diagnostics else Line(document, i, allocated)), reading.diagnostics


def _add(reading: Reading, item: Value, file: str) -> None:
    """A value as a document, or what keeps it from being one."""
    value = item.value
    place = Where(file=file, line=item.line)
    if not isinstance(value, dict):
        detail = f"A document is a mapping with the fields {', '.join(FIELDS)}; this one is {_named(value)}."
        reading.diagnostics.append(
            Diagnostic(
                place,
                "not-a-mapping",
                "A document is not a mapping",
                detail,
                "Write {kind: ..., name: ..., spec: {...}}.",
            )
        )
        return
    kind, name, tenant = value.get("kind"), value.get("name"), value.get("tenant")
    known = isinstance(kind, str) and isinstance(name, str)
    tenant = NO_TENANT if tenant is None else tenant
    labels = {} if value.get("labels") is None else value["labels"]
    spec = {} if value.get("spec") is None else value["spec"]
    draft = Document(str(kind), str(tenant), str(name), {}, spec, file, item.line, item.source)
    faults = list(_faults(value, labels))
    for pointer, code, summary, detail, remedy in faults:
        where = draft.where(pointer)
        where = where if known else Where("", pointer, file, where.line)
        reading.diagnostics.append(Diagnostic(where, code, summary, detail, remedy))
    if not faults:
        reading.documents.append(
            Document(str(kind), str(tenant), str(name), labels, spec, file, item.line, item.source)
        )


def _faults(value: dict[str, Any], labels: Any) -> Iterator[tuple[str, str, str, str, str]]:
    for name in ("kind", "name"):
        if name not in value:
            yield (
                "",
                "missing-field",
                "A required field is missing",
                f"The document has no {name}.",
                f"Add {name}: every document says its kind and name.",
            )
    for name in ("kind", "tenant", "name"):
        if (text := value.get(name, "")) is not None and not isinstance(text, str):
            yield (
                f"/{name}",
                "bad-value",
                "A value is not possible",
                f"{name} is {_named(text)}, not text.",
                "Put it in quotes.",
            )
    for name in sorted(value.keys() - set(FIELDS) - set(READ_ONLY)):
        yield (
            f"/{pointer_step(name)}",
            "unknown-field",
            "A field is not known",
            f'A document has no field "{shortened(name)}"; it has {", ".join(FIELDS)}.',
            "Correct the name, or move the field into spec.",
        )
    if not isinstance(labels, dict):
        yield "/labels", "bad-value", "A value is not possible", f"labels is {_named(labels)}.", "Write {key: text}."
        return
    for key, text in labels.items():
        if not isinstance(text, str):
            yield (
                f"/labels/{pointer_step(key)}",
                "bad-value",
                "A value is not possible",
                f'Label "{shortened(key)}" is {_named(text)}, not text.',
                "Put it in quotes.",
            )


def _named(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {shortened(str(value))}"
        case str():
            return f'the text "{shortened(value)}"'
        case list():
            return "a list"
        case _:
            return "a mapping"


def located(found: Iterable[Diagnostic], documents: Iterable[Document]) -> list[Diagnostic]:
    """Findings of a controller, which knows where a document begins, moved to the line of the field at fault, in the
    order of files and lines."""
    listed = list(documents)
    first = {str(d): d for d in reversed(listed)}
    begun = {(str(d), d.file, d.line): d for d in listed}
    moved = []
    for finding in found:
        where = finding.where
        about = begun.get((where.resource, where.file, where.line), first.get(where.resource))
        if about is not None:
            finding = msgspec.structs.replace(finding, where=about.where(where.pointer))
        moved.append(finding)
    return sorted(moved, key=by_place)
