"""YAML and JSON text to JSON values that know their lines.

    text ──► one piece per document ──► events ──► JSON value, or what is wrong with it
             at "---", so that a fault    no recursion, no aliases, no tags,
             in one spares the others     no key twice, bounded depth and size

Whatever the text is, the answer is values and faults, never an exception. Scalars are those of YAML 1.2's core
schema: `no`, `on`, 0777 and 12:30:45 are text, as their writer meant. The only module of the model that needs
PyYAML; no agent reads documents.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from underlace.model.diagnostic import pointer_step, printable, shortened

MAX_DOCUMENT = 1 << 20
"""Characters of one document."""

MAX_DEPTH = 32

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Source(NamedTuple):
    """Where a document's text is: for the line of a field, asked for only when something is wrong with it."""

    text: str
    first_line: int
    root: str


class Value(NamedTuple):
    value: Any
    line: int
    source: Source | None


class Fault(Exception):
    """Ends the reading of one document."""

    def __init__(self, line: int, code: str, summary: str, detail: str, remedy: str) -> None:
        super().__init__(summary)
        self.line, self.code, self.summary, self.detail, self.remedy = line, code, summary, detail, remedy


def too_large(line: int, code: str, summary: str, size: int, limit: int) -> Fault:
    detail = f"It has {size:,} characters; the limit is {limit:,}."
    return Fault(line, code, summary, detail, "Split it, or name the right file.")


def yaml_values(text: str) -> Iterator[Value | Fault]:
    starts = [m.start() for m in _SEPARATOR.finditer(text)]
    bounds = [0, *(s for s in starts if s > 0), len(text)]
    line = 1
    for start, end in pairwise(bounds):
        piece = text[start:end]
        if len(piece) > MAX_DOCUMENT:
            yield too_large(line, "document-too-large", "A document is too large", len(piece), MAX_DOCUMENT)
        elif not _is_preamble(piece):
            yield from _piece_values(piece, line)
        line += piece.count("\n")


def _is_preamble(piece: str) -> bool:
    """Directives (%YAML 1.2) and comments before the first document: they say nothing that matters here."""
    return all(line[:1] in ("%", "#") or not line.strip() for line in piece.splitlines())


def _piece_values(piece: str, first_line: int) -> Iterator[Value | Fault]:
    """Usually one value; more where "..." ends a document."""
    tree = _Tree(first_line)
    try:
        for event in yaml.parse(piece, _LOADER):
            tree.take(event)
    except yaml.YAMLError as error:
        yield _syntax(error, first_line, piece.rstrip())
    except Fault as fault:
        yield fault
    else:
        for i, (value, line) in enumerate(tree.documents):
            if tree.faults.get(i):
                yield from tree.faults[i]
            elif value is not None:
                yield Value(value, line, Source(piece, first_line, f"/{i}"))


def _syntax(error: yaml.YAMLError, first_line: int, text: str) -> Fault:
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if context is not None and (mark is None or mark.index >= len(text)):
        mark = context  # something that is never closed: where it was opened
    problem = " ".join(str(p) for p in (getattr(error, "context", None), getattr(error, "problem", None)) if p)
    # The parser notices some of these only behind the last line, where nothing is to be seen.
    last = text.count("\n")
    at = f" in column {mark.column + 1}" if mark and mark.line <= last else ", before the text ends" if mark else ""
    return Fault(
        first_line + min(mark.line if mark else 0, last),
        "syntax",
        "The text is not YAML",
        f"{printable(problem) or 'The text holds characters that YAML does not allow'}{at}.",
        "Correct the line; check quotes, brackets and indentation before it.",
    )


class _Tree:
    """Builds JSON values from YAML events, without recursion: no depth of text can exhaust the stack."""

    def __init__(self, first_line: int, lines: dict[str, int] | None = None) -> None:
        self.documents: list[tuple[Any, int]] = []
        self.faults: dict[int, list[Fault]] = {}
        self._first = first_line
        self._lines = lines
        self._open: list[tuple[Any, str]] = []
        """Containers that are not closed yet, with their pointers."""
        self._keys: list[str | None] = []
        """For each of them, the key that waits for its value."""

    def take(self, event: Any) -> None:
        if isinstance(event, ScalarEvent):
            self._refuse_extras(event)
            if self._open and isinstance(self._open[-1][0], dict) and self._keys[-1] is None:
                self._take_key(event)
            else:
                self._place(_scalar(event), event)
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            self._refuse_extras(event)
            self._start({} if isinstance(event, MappingStartEvent) else [], event)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self._open.pop()
            self._keys.pop()
        elif isinstance(event, AliasEvent):
            raise self._extra(event, "alias", "an alias")

    def _take_key(self, event: Any) -> None:
        container, pointer = self._open[-1]
        key = event.value
        if not isinstance(_scalar(event), str):
            # Anything may be a key in YAML; in JSON, and for us, only text.
            self._note(
                event, "bad-key", "A key is not text", f'The key "{shortened(key)}" is not text.', "Put it in quotes."
            )
        elif key in container:
            self._note(
                event,
                "duplicate-key",
                "A field is there twice",
                f'"{shortened(key)}" is there more than once in one mapping; only one of them can count.',
                "Remove one of them.",
            )
        self._keys[-1] = key
        if self._lines is not None:
            self._lines.setdefault(f"{pointer}/{pointer_step(key)}", self._line(event))

    def _start(self, container: Any, event: Any) -> None:
        if self._open and isinstance(self._open[-1][0], dict) and self._keys[-1] is None:
            raise Fault(
                self._line(event), "bad-key", "A key is not text", "A list or mapping is used as a key.", "Use text."
            )
        if len(self._open) >= MAX_DEPTH:
            raise Fault(
                self._line(event),
                "nesting-too-deep",
                "A document is nested too deeply",
                f"Lists and mappings are nested more than {MAX_DEPTH} deep.",
                "Check brackets and indentation: no kind needs that.",
            )
        pointer = self._place(container, event)
        self._open.append((container, pointer))
        self._keys.append(None)

    def _place(self, value: Any, event: Any) -> str:
        """Put a value where the text has it; its pointer."""
        if not self._open:
            self.documents.append((value, self._line(event)))
            pointer = f"/{len(self.documents) - 1}"
        else:
            container, above = self._open[-1]
            if isinstance(container, dict):
                key = self._keys[-1] or ""
                self._keys[-1] = None
                container.setdefault(key, value)
                pointer = "" if self._lines is None else f"{above}/{pointer_step(key)}"
            else:
                container.append(value)
                pointer = "" if self._lines is None else f"{above}/{len(container) - 1}"
        if self._lines is not None:
            self._lines.setdefault(pointer, self._line(event))
        return pointer

    def _refuse_extras(self, event: Any) -> None:
        if event.anchor is not None:
            raise self._extra(event, "alias", "an anchor")
        if event.tag is not None and event.tag != "!":
            raise self._extra(event, "tag", f"the tag {shortened(event.tag)}")

    def _extra(self, event: Any, code: str, what: str) -> Fault:
        return Fault(
            self._line(event),
            code,
            "A document uses what only YAML has",
            f"The document has {what}. Documents are JSON values: no anchors, aliases or tags.",
            "Write the value out.",
        )

    def _note(self, event: Any, code: str, summary: str, detail: str, remedy: str) -> None:
        fault = Fault(self._line(event), code, summary, detail, remedy)
        self.faults.setdefault(len(self.documents) - 1, []).append(fault)

    def _line(self, event: Any) -> int:
        return self._first + int(event.start_mark.line)


def _scalar(event: Any) -> Any:
    text = event.value
    if not event.implicit[0]:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit() and math.isfinite(number := float(text)):
        return number
    return text


@lru_cache(maxsize=8)
def lines_of(text: str, first_line: int) -> dict[str, int]:
    """Line of every pointer in a text; what could be read of it."""
    lines: dict[str, int] = {}
    tree = _Tree(first_line, lines)
    try:
        for event in yaml.parse(text, _LOADER):
            tree.take(event)
    except (yaml.YAMLError, Fault):
        pass
    return lines


def json_values(text: str) -> Iterator[Value | Fault]:
    """A JSON text holds one document, or a list of them."""
    if len(text) > MAX_DOCUMENT and not text.lstrip().startswith("["):
        yield too_large(1, "document-too-large", "A document is too large", len(text), MAX_DOCUMENT)
        return
    try:
        value = _loaded(text)
    except Fault as fault:
        yield fault
    else:
        # A tab is white space in JSON, and cannot stand inside a string; YAML does not indent by tabs.
        # Halves of a character beyond 16 bits are no YAML. Only lines are read from this text.
        source = _SURROGATE.sub("------", text.replace("\t", " "))
        for i, item in enumerate(value if isinstance(value, list) else [value]):
            root = f"/0/{i}" if isinstance(value, list) else "/0"
            if _depth(item) > MAX_DEPTH:
                yield _too_deep()
                continue
            place = Source(source, 1, root)
            yield Value(item, lines_of(source, 1).get(root, 1), place)


def json_value(text: str) -> Any:
    """The value of a JSON text that is one document. Raises Fault, with a line of this text."""
    if len(text) > MAX_DOCUMENT:
        raise too_large(1, "document-too-large", "A document is too large", len(text), MAX_DOCUMENT)
    value = _loaded(text)
    if _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return value


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Fault(
            error.lineno,
            "syntax",
            "The text is not JSON",
            f"{error.msg} in column {error.colno}.",
            "Correct the line; check quotes, brackets and commas before it.",
        ) from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Fault(1, "syntax", "The text is not JSON", f"The text is {shortened(what)}.", "Correct it.") from None


def _too_deep() -> Fault:
    return Fault(1, "nesting-too-deep", "A document is nested too deeply", "", "No kind needs that.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(n for n in names if names.count(n) > 1)
        raise ValueError(f'ambiguous: "{shortened(twice)}" is there more than once in one object')
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"not plain: {text} is no JSON number")


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return deepest
