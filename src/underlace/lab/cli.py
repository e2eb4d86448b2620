"""`underlace lab`: a fabric of namespaces, from an intent directory. Every answer says that it is simulated."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from underlace.lab import build, flows, frr, intent, known, machine
from underlace.lab import fabric as lab
from underlace.lab.demo import CONVERGENCE_SECONDS, Stages, progress
from underlace.lab.expect import matrix
from underlace.lab.fault import spoken
from underlace.lab.faults.cli import app as fault
from underlace.lab.faults.ledger import Ledger
from underlace.lab.place import command, default_directory
from underlace.lab.process import environment
from underlace.lab.status import rows as status_rows
from underlace.lab.target import command as target_command
from underlace.lab.teardown import interruptible, tear_down

app = typer.Typer(no_args_is_help=True, help="Your fabric on this machine: network namespaces, FRR, real agents.")
app.add_typer(fault, name="fault")


Directory = Annotated[
    Path | None, typer.Option("--lab", metavar="DIR", help="The lab's own files. One lab at a time uses it.")
]
Output = Annotated[str, typer.Option("-o", "--output", metavar="table|json", help="json for programs.")]


def _emit(value: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps({"simulated": True, **value}, indent=2) + "\n")
    sys.stdout.flush()


@app.command()
def up(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Intent: YAML files, and lab.yaml if there is one.")
    ],
    place: Directory = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait until all allowed flows are answered.")
    ] = CONVERGENCE_SECONDS,
    other: Annotated[
        Path | None, typer.Option("--frr", metavar="DIR", help="Daemons and vtysh of another FRR than the system's.")
    ] = None,
    form: Output = "table",
) -> None:
    """Build the fabric of an intent directory and wait until its flows are answered."""
    say, at = Stages(), place or default_directory()
    with spoken(at), interruptible():
        frr.choose(other)
        machine.refuse()
        wanted = intent.read(directory)
        lab.clear(at)
        try:
            fabric = build.up(wanted, at, say)
            left = flows.converge(matrix(fabric.intent), fabric, timeout, progress(say))
        except BaseException:
            tear_down(at)
            raise
    if form == "json":
        _emit({"lab": str(at), "devices": len(fabric.lab.switches), "unanswered": len(left), "seconds": say.seconds})
    if left:
        say(f"{len(left)} allowed flows are not answered after {timeout:g} s; which: {command(at, 'test')}")
        raise typer.Exit(4)
    say("the lab is up (simulated)")


@app.command()
def down(place: Directory = None) -> None:
    """Remove a lab: every process, namespace, link and file of it, also after a crash."""
    at = place or default_directory()
    with spoken(at):
        found = lab.clear(at, running=True)
    sys.stderr.write("the lab is down\n" if found else "there is no lab\n")


@app.command()
def status(place: Directory = None, form: Output = "table") -> None:
    """Show what runs, and what each device reports to the lab's controller."""
    at = place or default_directory()
    with spoken(at):
        rows = status_rows(lab.load(at))
    if form == "json":
        _emit({"nodes": rows})
        return
    sys.stdout.write("simulated: true\n")
    for row in rows:
        sys.stdout.write(f"{row['node']:16} {row['role']:8} {row['state']}\n")


@app.command(name="exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def exec_(
    target: Annotated[
        str, typer.Argument(metavar="DEVICE[/VPC]", help="A device or host; with /VPC, that VPC there.")
    ],
    words: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run inside.")],
    place: Directory = None,
) -> None:
    """Run a command inside a device, a host, or a VPC on a device."""
    at = place or default_directory()
    with spoken(at):
        fabric = lab.load(at)
        argv = target_command(fabric, target, words)
    _become(argv, environment(fabric.state.identity))


def _become(argv: list[str], environment: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    os.execvpe(argv[0], argv, environment)  # noqa: S606  the command is the user's own


@app.command(name="test")
def check(
    place: Directory = None,
    directory: Annotated[
        Path | None,
        typer.Option("--intent", metavar="DIR", help="Check against this, not what the controller holds."),
    ] = None,
    form: Output = "table",
) -> None:
    """Check the whole flow matrix with real connections; exit code 1 when anything differs from intent."""
    at = place or default_directory()
    with spoken(at):
        fabric = lab.load(at)
        wanted = known.Known(intent.read(directory), str(directory)) if directory else known.ask(fabric)
        expected, strangers = matrix(wanted.intent).among(fabric.lab.nodes)
        broken = list(Ledger(at).active)
        began = time.monotonic()
        verdict = flows.verdict(expected, fabric.underlay(), fabric, fabric.left_out.unchecked(wanted.intent))
    if wanted.said:
        sys.stderr.write(f"{wanted.said}\n")
    for name in broken:
        sys.stderr.write(f"broken on purpose: {name}\n")
    if strangers:
        sys.stderr.write(f"not in this lab, which was brought up without them: {', '.join(sorted(strangers))}\n")
    if form == "json":
        _emit({**verdict.json(), "intent": wanted.source})
    else:
        lines = [*flows.table(expected, verdict), "", *(_spoken(w) for w in verdict.wrong)]
        lines += flows.skipped(verdict)
        lines.append(
            f"{verdict.flows} flows, {len(verdict.wrong)} wrong, {time.monotonic() - began:.1f} s, simulated"
        )
        sys.stdout.write("\n".join(lines) + "\n")
    raise typer.Exit(0 if verdict.good else 1)


def _spoken(wrong: flows.Wrong) -> str:
    expected, got = (who or "nobody" for who in (wrong.expected, wrong.got))
    return f"wrong: {wrong.source} to {wrong.address} by {wrong.protocol}: {got} answered, expected {expected}"
