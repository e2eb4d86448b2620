"""`underlace lab fault`: break the lab on purpose, see what is broken, mend it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from underlace.lab import fabric as lab
from underlace.lab.fault import spoken
from underlace.lab.faults import work
from underlace.lab.faults.registry import FAULTS
from underlace.lab.place import command, default_directory

app = typer.Typer(no_args_is_help=True, help="Break the lab on purpose: put faults in, see them, undo them.")

Directory = Annotated[Path | None, typer.Option("--lab", metavar="DIR", help="The lab's own files.")]
Output = Annotated[str, typer.Option("-o", "--output", metavar="table|json", help="json for programs.")]


def _emit(value: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps({"simulated": True, **value}, indent=2) + "\n")
    sys.stdout.flush()


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


@app.command(name="list")
def list_(form: Output = "table") -> None:
    """List the faults that there are, and what each is put to."""
    if form == "json":
        _emit(
            {
                "faults": [
                    {
                        "name": fault.name,
                        "usage": fault.usage,
                        "parameters": [p._asdict() for p in fault.parameters],
                        "summary": fault.summary,
                        "shows": fault.shows,
                        "agent": fault.agent.value,
                        "elsewhere": list(fault.elsewhere),
                    }
                    for fault in FAULTS.values()
                ]
            }
        )
        return
    _table([(fault.usage, fault.summary) for fault in FAULTS.values()])


@app.command()
def inject(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a fault.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[TARGET]...", help="What it is put to.")] = None,
    place: Directory = None,
    until_mended: Annotated[
        bool, typer.Option("--until-mended", help="Do not keep the agent from mending it; wait until it has.")
    ] = False,
    form: Output = "table",
) -> None:
    """Put a fault into the lab, and wait until it has taken effect."""
    at = place or default_directory()
    with spoken(at):
        fabric = lab.load(at)
        if until_mended:
            work.refuse_to_wait(work.chosen(name))
        active = work.inject(fabric, name, words or [], hold=not until_mended)
        seconds = work.mended(fabric, active) if until_mended else None
    if form == "json":
        _emit({**work.Row(active, active.proof).json(), "mended_after": seconds})
        return
    sys.stdout.write(f"{active.id}: {active.proof}\n")
    if seconds is not None:
        sys.stdout.write(f"mended by the agent after {seconds:.1f} s\n")
        return
    for device in active.held:
        sys.stdout.write(f"the agent of {device} does not mend meanwhile; it does all else\n")
    sys.stderr.write(f"undo it: {command(at, 'fault', 'undo', active.id)}\n")


@app.command()
def undo(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Faults, by name or id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All faults of the lab.")] = False,
    place: Directory = None,
    form: Output = "table",
) -> None:
    """Undo faults, and wait until nothing shows them any more."""
    if bool(names) == everything:
        raise typer.BadParameter("name faults, or give --all")
    at = place or default_directory()
    with spoken(at):
        undone = work.undo(lab.load(at), names or [])
    if form == "json":
        _emit({"undone": [one.id for one in undone]})
        return
    sys.stdout.write("".join(f"{one.id} is undone\n" for one in undone) or "nothing was broken on purpose\n")


@app.command()
def status(place: Directory = None, form: Output = "table") -> None:
    """Show what is broken on purpose, and what shows it now."""
    at = place or default_directory()
    with spoken(at):
        rows = list(work.status(lab.load(at)))
    if form == "json":
        _emit({"faults": [row.json() for row in rows]})
        return
    sys.stdout.write("simulated: true\n")
    for row in rows:
        sys.stdout.write(f"{row.fault.id}: {row.proof or 'not in effect any more'}\n")
