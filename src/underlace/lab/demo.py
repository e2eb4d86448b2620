"""`underlace demo`: the quickstart fabric from nothing to its flow matrix, stage by stage."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import underlace
from underlace.lab import build, control, flows, intent, machine
from underlace.lab import fabric as lab
from underlace.lab.expect import Matrix, matrix
from underlace.lab.fault import LabError, spoken
from underlace.lab.place import command, program
from underlace.lab.state import this_process
from underlace.lab.teardown import interruptible, sweep, tear_down

PREFIX = "underlace-demo-"
CONVERGENCE_SECONDS = 60.0


def quickstart() -> Path:
    """The quickstart's intent: in the installed package, or beside the source."""
    package = Path(underlace.__file__).parent
    for place in (package / "examples", package.parents[1] / "examples"):
        if (place / "quickstart").is_dir():
            return place / "quickstart"
    raise LabError("the quickstart is not installed beside the program: it should be in underlace/examples")


class Stages:
    """Says on standard error what is done, with seconds since the start."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def __call__(self, text: str) -> None:
        sys.stderr.write(f"[{self.seconds:5.1f} s] {text}\n")
        sys.stderr.flush()


def progress(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Says how many allowed flows are answered, whenever it changes."""
    last = [-1]

    def notice(left: int, total: int) -> None:
        if left != last[0]:
            last[0] = left
            say(f"{total - left} of {total} allowed flows are answered")

    return notice


def _run(directory: Path, say: Stages) -> tuple[lab.Fabric, Matrix, flows.Verdict]:
    wanted = intent.read(quickstart())
    say(f"{len(wanted.documents)} documents promise {len(matrix(wanted).flows)} pairs of host and address")
    fabric = build.up(wanted, directory, say, owner=this_process())
    expected = matrix(fabric.intent)
    flows.converge(expected, fabric, CONVERGENCE_SECONDS, progress(say))
    return (
        fabric,
        expected,
        flows.verdict(expected, fabric.underlay(), fabric, fabric.left_out.unchecked(fabric.intent)),
    )


def answer(verdict: flows.Verdict, seconds: float) -> dict[str, Any]:
    """The demo's last line."""
    return {**verdict.json(), "seconds": round(seconds, 2), "flows_seconds": round(verdict.seconds, 2)}


def _show(fabric: lab.Fabric, expected: Matrix, verdict: flows.Verdict) -> None:
    def of_lab(verb: str, *words: str) -> str:
        return command(fabric.state.directory, verb, *words)

    client = shlex.join([program(), "--context", str(control.context_file(fabric.state))])
    lines = [
        "",
        *flows.table(expected, verdict),
        "",
        *flows.skipped(verdict),
        f"{verdict.flows} flows, {len(verdict.wrong)} wrong. This fabric is simulated. Look around:",
        f"  {of_lab('exec', 'r1', '--', 'ping', '-c', '3', '10.9.1.11')}    # a host of red, to shared",
        f"  {of_lab('exec', 'leaf1', '--', 'vtysh', '-c', 'show bgp l2vpn evpn summary')}",
        f"  {of_lab('exec', 'leaf1/acme/red', '--', 'ip', 'route')}    # the table of a VPC on a leaf",
        f"  {client} get vpc",
        f"  {client} config leaf1",
        f"  {of_lab('test')}",
        "",
    ]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def _wait_until_interrupted() -> None:
    sys.stderr.write("It stays up until Ctrl-C.\n")
    sys.stderr.flush()
    while True:
        signal.pause()


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check the flows once and end.")] = False,
    form: Annotated[
        str, typer.Option("-o", "--output", metavar="table|json", help="json: the verdict as the last line.")
    ] = "table",
) -> None:
    """Build the quickstart fabric on this machine, show its flow matrix, and stay up until Ctrl-C."""
    if form not in ("table", "json"):
        raise typer.BadParameter(f"{form!r} is neither table nor json", param_hint="--output")
    code = 1
    directory = Path(tempfile.gettempdir(), f"{PREFIX}{os.urandom(8).hex()}")
    with spoken(directory), interruptible():
        machine.refuse()
        sweep(directory.parent, PREFIX)
        try:
            code = _demo(directory, once, "json" if form == "json" else "table")
        except KeyboardInterrupt:
            code = code if once else 0
        finally:
            tear_down(directory)
    raise typer.Exit(code)


def _demo(directory: Path, once: bool, form: Literal["table", "json"]) -> int:
    say = Stages()
    fabric, expected, verdict = _run(directory, say)
    seconds = say.seconds
    say(f"{verdict.flows} flows checked, {len(verdict.wrong)} wrong")
    _show(fabric, expected, verdict)
    if form == "json":
        sys.stdout.write(json.dumps(answer(verdict, seconds)) + "\n")
        sys.stdout.flush()
    if not once:
        _wait_until_interrupted()
    return 0 if verdict.good else 1
