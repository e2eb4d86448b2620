"""status, history, whoami, backup: the controller as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from underlace.cli import output
from underlace.cli.failure import Exit
from underlace.cli.intent import SIGNS
from underlace.cli.output import Format
from underlace.cli.resources import waiting
from underlace.cli.session import session_of
from underlace.cli.wait import ACTIVE
from underlace.model.diagnostic import Diagnostic, Refused, Where

Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]


def status(
    ctx: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 6 when something waits for a device, or a device is silent.")
    ] = False,
    form: Output = Format.TABLE,
) -> None:
    """Show whether the fabric is what intent says by the word of devices that are heard, and what it waits for.

    Provisioning: something waits for a device. Silent: nothing waits, but the agent of a device is not heard any
    more, so nobody knows what it holds now. Else it is Active.
    """
    found = session_of(ctx).client.get("/v1/status")
    if form is Format.TABLE:
        show_status(found)
    else:
        output.emit(found, form)
    if exit_code and found["state"] != ACTIVE:
        raise typer.Exit(Exit.UNSETTLED)


def show_status(found: dict[str, Any]) -> None:
    simulated = " (simulated)" if found["simulated"] else ""
    devices = f", {found['in_sync']} of {found['total']} devices in sync" if found["total"] else ""
    silent = f", {found['silent']} silent" if found["silent"] else ""
    output.write(f"revision {found['revision']}: {found['state']}{simulated}{devices}{silent}")
    if found["devices"]:
        output.write("")
        rows = [
            (d["name"], d["state"], d["desired"], d["reported"], d["last_seen"] or "never") for d in found["devices"]
        ]
        output.table(("device", "state", "desired", "reported", "last seen"), rows)
    if found["resources"]:
        output.write("")
        waits = [(f"{i['kind']}/{i['tenant']}/{i['name']}", waiting(i["status"])) for i in found["resources"]]
        output.table(("resource", "waits for"), waits)
    for warning in found.get("warnings", ()):  # a controller of the release before has none
        output.write("")
        output.write(f"{warning['severity']}: {warning['detail']}")


def history(
    ctx: typer.Context,
    revision: Annotated[int | None, typer.Argument(metavar="[REVISION]", help="Show what this one wrote.")] = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=1000, help="As many revisions, newest first.")
    ] = 20,
    form: Output = Format.TABLE,
) -> None:
    """Show who changed intent, when and why."""
    if revision is not None:
        _show_revision(session_of(ctx).client.get(f"/v1/revisions/{revision}"), form)
        return
    items = session_of(ctx).client.get("/v1/revisions", limit=limit)["items"]
    if form is not Format.TABLE:
        output.emit(items, form)
        return
    rows = [(r["id"], r["at"], r["actor"], r["message"] or "-") for r in items]
    output.table(("revision", "at", "actor", "message"), rows)


def _show_revision(found: dict[str, Any], form: Format) -> None:
    if form is not Format.TABLE:
        output.emit(found, form)
        return
    about = found["revision"]
    output.write(f"revision {about['id']} at {about['at']} by {about['actor']}: {about['message'] or '-'}")
    for item in found["items"]:
        output.write(f"{SIGNS[item['action']]} {item['kind']}/{item['tenant']}/{item['name']}")


def compact(
    ctx: typer.Context,
    keep_days: Annotated[
        int, typer.Option("--keep-days", min=1, max=36_500, help="What intent was within so many days stays.")
    ],
) -> None:
    """Drop what intent was longer ago: versions of resources that others have followed since. Nobody gets them back.

    What resources are, who changed what and when, and all numbers stay. Interrupted, it is run again.
    """
    dropped, after = 0, None
    while True:
        body = {"keep_days": keep_days, "after": after}
        found = session_of(ctx).client.post("/v1/history/compact", body)
        dropped, after = dropped + found["dropped"], found["after"]
        if after is None:
            break
        output.note(f"{dropped} versions dropped so far")
    output.note(f"{dropped} versions dropped; what intent was can be told since revision {found['since']}")


def whoami(ctx: typer.Context, form: Output = Format.TABLE) -> None:
    """Show which actor the context's token stands for."""
    me = session_of(ctx).client.get("/v1/whoami")
    if form is Format.TABLE:
        output.table(("name", "role", "tenants"), [(me["name"], me["role"], me["tenants"] or "-")])
    else:
        output.emit(me, form)


def _not_written(file: Path, why: str) -> Diagnostic:
    return Diagnostic(
        Where(file=str(file)),
        "not-written",
        "The file cannot be written",
        f"{file}: {why}.",
        "Choose a directory that exists and that you may write to, with room for the backup.",
    )


def _there_already(file: Path) -> Diagnostic:
    return Diagnostic(
        Where(file=str(file)),
        "file-exists",
        "There is a file of this name",
        f"{file} may be an older backup.",
        "Choose another name, or say that you mean it: underlace backup --force FILE",
    )


def backup(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="Where to put the backup. It holds the keys of the CA: keep it private.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
) -> None:
    """Write a backup of the running controller: intent, history, allocations, identity and CA."""
    if file.exists() and not force:
        raise Refused([_there_already(file)])
    partial = file.with_name(file.name + ".partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            size = session_of(ctx).client.download("/v1/backup", out)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    except OSError as fault:
        raise Refused([_not_written(file, fault.strerror or str(fault))]) from None
    finally:
        partial.unlink(missing_ok=True)
    output.note(f"{file}: {size} bytes")
