"""Output of commands: tables for people, JSON and YAML for programs. Results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

notes = Console(stderr=True)
"""Progress, warnings and errors."""


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def note(text: str) -> None:
    """A line of progress: as it is, neither wrapped nor taken for markup."""
    notes.print(text, soft_wrap=True, markup=False, highlight=False)


def write(text: str) -> None:
    """Plain text for stdout, as it is: no wrapping, no markup."""
    sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
    sys.stdout.flush()


def begin() -> None:
    """Before what takes the place of what was shown: a terminal is cleared, anything else gets an empty line."""
    write("\x1b[H\x1b[2J\x1b[3J" if sys.stdout.isatty() else "\n")


def emit(value: Any, form: Format) -> None:
    """A value for a program."""
    if form is Format.YAML:
        documents = value if isinstance(value, list) else [value]
        write(yaml_stream(documents))
    else:
        write(json.dumps(value, indent=2, ensure_ascii=False))


def yaml_stream(documents: Iterable[Any]) -> str:
    """Documents parted by `---`, as `apply -f` reads them."""
    import yaml

    return "---\n".join(
        yaml.safe_dump(d, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100) for d in documents
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people; in a pipe it is as wide as it needs to be."""
    out = Console(width=None if sys.stdout.isatty() else 1_000, highlight=False)
    shown = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column.upper(), overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
    out.print(shown)


def _cell(value: object) -> Text:
    """Text only: nothing that a tenant named may colour a terminal or move its cursor."""
    if value is None:
        return Text("-")
    if isinstance(value, Mapping):
        value = " ".join(f"{k}={v}" for k, v in value.items())
    elif isinstance(value, (list, tuple)):
        value = ", ".join(_plain(v) for v in value)
    return Text("".join(c if c.isprintable() else "?" for c in str(value)) or "-")


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(v) for v in value.values() if v is not None)
    return str(value)
