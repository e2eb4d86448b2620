"""What a benchmark hands over, and how the page of all of them is kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """One figure. anchor: the same measured on what it is compared with, in the same run. bar: what design asks for,
    in the same unit. note: what exactly was measured."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    anchor: float | None = None
    note: str = ""
    more_is_better: bool = False
    """Whether the bar is what is to be reached, and not a limit."""

    @property
    def ratio(self) -> float | None:
        """Of the anchor: 0.1 is a tenth of it."""
        return None if not self.anchor else self.value / self.anchor

    def as_json(self) -> str:
        return json.dumps(
            {
                "name": self.name,
                "value": significant(self.value),
                "unit": self.unit,
                "anchor": None if self.anchor is None else significant(self.anchor),
                "ratio": None if self.ratio is None else significant(self.ratio),
            }
        )


def significant(value: float) -> float:
    """Three significant digits: more would be noise."""
    return float(f"{value:.3g}")


HEAD = """# Benchmarks

Made by `make bench` and `make bench-scale`; a figure stays until it is measured again. CPU time where a figure says
so, since other work on the machine hardly changes it; medians where there is more than one run. The ratio is of the
anchor, measured in the same run. How a figure is taken is in `benchmarks/`.

| figure | value | bar | anchor | ratio | measured | load |
|---|---|---|---|---|---|---|
"""

ROW = re.compile(r"^\| `([a-z0-9-]+)` \|.*$", re.MULTILINE)
NOTE = re.compile(r"^- `([a-z0-9-]+)`: .*$", re.MULTILINE)


def write_page(page: Path, figures: Iterable[Figure], load: float) -> None:
    """Put the figures on the page, in place of older ones with the same name."""
    text = page.read_text() if page.exists() else ""
    rows = {m[1]: m[0] for m in ROW.finditer(text)}
    notes = {m[1]: m[0] for m in NOTE.finditer(text)}
    for figure in figures:
        rows[figure.name] = row(figure, load)
        notes[figure.name] = f"- `{figure.name}`: {figure.note}"
    order = sorted(rows)
    page.write_text(HEAD + "\n".join(rows[n] for n in order) + "\n\n" + "\n".join(notes[n] for n in order) + "\n")


def row(figure: Figure, load: float) -> str:
    def number(value: float | None) -> str:
        return "" if value is None else f"{significant(value):g} {figure.unit}"

    ratio = "" if figure.ratio is None else f"{significant(figure.ratio):g}"
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    bar = "" if figure.bar is None else f"{'≥' if figure.more_is_better else '≤'} {number(figure.bar)}"
    return (
        f"| `{figure.name}` | {number(figure.value)} | {bar} | {number(figure.anchor)} | {ratio} | {day} "
        f"| {load:.1f} on {os.cpu_count()} cores |"
    )
