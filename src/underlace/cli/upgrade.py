"""upgrade survey|plan|apply: what a newer release would configure otherwise, and bringing it to devices."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from underlace.cli import output
from underlace.cli.failure import Exit, Stop
from underlace.cli.intent import show_plan
from underlace.cli.output import Format
from underlace.cli.session import session_of
from underlace.cli.wait import await_active
from underlace.model.diagnostic import Diagnostic, Where

app = typer.Typer(
    no_args_is_help=True,
    help="After an upgrade of the controller: what this release configures otherwise, and when devices get it.",
)
POLL = 0.2

Devices = Annotated[
    list[str] | None, typer.Argument(metavar="[DEVICE]...", help="These devices. Without: all that the survey finds.")
]
Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]


@app.command("survey")
def survey(ctx: typer.Context, form: Output = Format.TABLE) -> None:
    """Compile all intent from nothing, beside everything else, and show which devices would change. None does."""
    found = _survey(ctx)
    if form is not Format.TABLE:
        output.emit(found, form)
        return
    if found["devices"]:
        output.table(("device", "scopes"), [(d["device"], d["scopes"]) for d in found["devices"]])
    output.note(f"{len(found['devices'])} devices would change; {found['total']} resources were compiled")


@app.command("plan")
def plan(ctx: typer.Context, devices: Devices = None) -> None:
    """Show what would change on devices, one after the other. Nothing is changed."""
    for name in _wanted(ctx, devices):
        show_plan(session_of(ctx).client.post("/v1/plan", {"recompile": [name], "native": [name]}))


@app.command("apply")
def apply(
    ctx: typer.Context,
    devices: Devices = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=100, help="Devices in one change.")] = 1,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for devices before the next ones.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most, for each change.", min=0)] = 300.0,
) -> None:
    """Bring it to devices, some at a time, and stop when one does not take it. Stopped, it is run again."""
    wanted = _wanted(ctx, devices)
    for first in range(0, len(wanted), at_once):
        some = wanted[first : first + at_once]
        body = {"recompile": some, "message": "upgrade: " + ", ".join(some)}
        done = session_of(ctx).client.post("/v1/apply", body)
        if wait and done["digest"]:
            await_active(session_of(ctx).client, done["revision"], timeout)
        said = f"revision {done['revision']}" if done["digest"] else "nothing to change"
        output.note(f"{min(first + at_once, len(wanted))} of {len(wanted)}: {', '.join(some)}: {said}")


def _wanted(ctx: typer.Context, devices: list[str] | None) -> list[str]:
    return list(dict.fromkeys(devices)) if devices else [d["device"] for d in _survey(ctx)["devices"]]


def _survey(ctx: typer.Context) -> Any:
    """What a new survey finds."""
    client = session_of(ctx).client
    found = client.post("/v1/upgrade/survey")
    with output.notes.status("compiling") as spinner:
        while found["state"] == "running":
            time.sleep(POLL)
            found = client.get("/v1/upgrade/survey")
            spinner.update(f"compiled {found['compiled']} of {found['total']} resources")
    if found["state"] != "done":
        raise Stop(Exit.REFUSED, [_failed()])
    return found


def _failed() -> Diagnostic:
    return Diagnostic(
        Where(),
        "survey-failed",
        "The survey came to no end",
        "The controller was stopped meanwhile, or its database cannot be used; its log says why.",
        "Run it again.",
    )
