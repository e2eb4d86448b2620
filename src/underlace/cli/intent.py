"""plan, apply, explain: from files of intent to a change of the fabric."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from underlace.cli import output
from underlace.cli.failure import Exit, Stop, show
from underlace.cli.output import Format
from underlace.cli.session import session_of
from underlace.cli.wait import await_active
from underlace.model.diagnostic import Diagnostic, Where, by_place

if TYPE_CHECKING:
    from underlace.model.document import Document, Reading

STDIN = "standard input"
SIGNS = {"create": "+", "update": "~", "delete": "-"}
TO_DO = {"create": "to create", "update": "to update", "delete": "to delete"}
DONE = {"create": "created", "update": "updated", "delete": "deleted"}
NOTHING = "nothing to change"

Files = Annotated[
    list[Path],
    typer.Option(
        "-f",
        "--file",
        help="A YAML or JSON file, a directory of *.yaml, *.yml and *.json without what is hidden, or - for YAML on "
        "standard input; may be repeated.",
    ),
]
Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]


def plan(
    ctx: typer.Context,
    files: Files,
    native: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE", help="Show the configuration of this device; may be repeated. Without: the first few."
        ),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 5 when the plan changes something.")] = False,
    form: Output = Format.TABLE,
) -> None:
    """Show what applying files would change: intent, each device's configuration, and what it hurts."""
    planned = _send(ctx, "/v1/plan", _read_all(ctx, files), {"native": native or None})
    if form is Format.TABLE:
        show_plan(planned)
    else:
        output.emit(planned, form)
    if exit_code and planned["resources"]:
        raise typer.Exit(Exit.CHANGES)


def apply(
    ctx: typer.Context,
    files: Files,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until every device that is touched has confirmed.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)] = 300.0,
    expect: Annotated[str, typer.Option(help="Digest of the plan that was looked at; refuse any other.")] = "",
    message: Annotated[str, typer.Option("-m", "--message", help="Why, for the history.")] = "",
    form: Output = Format.TABLE,
) -> None:
    """Change intent to what files say, all or nothing."""
    applied = _send(
        ctx, "/v1/apply", _read_all(ctx, files), {"expect": expect, "message": message, "show": True, "native": []}
    )
    _warn(applied)
    if form is Format.TABLE:
        done = applied["resources"]
        output.note(
            f"revision {applied['revision']}: {_summary(applied, applied['plans'], DONE)}" if done else NOTHING
        )
    if wait:
        await_active(session_of(ctx).client, applied["revision"], timeout)
    if form is not Format.TABLE:
        output.emit(applied, form)


def explain(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(help="A device.")],
    text: Annotated[str, typer.Argument(help="A part of its configuration, or of the name of a resource.")],
    form: Output = Format.TABLE,
) -> None:
    """Say why a device is configured as it is: which resources ask for what this text is about."""
    found = session_of(ctx).client.get("/v1/explain", device=device, text=text)["items"]
    if form is not Format.TABLE:
        output.emit(found, form)
        return
    if not found:
        raise Stop(Exit.REFUSED, [_unexplained(device, text)])
    for item in found:
        output.write(f"{' '.join(item['key'])}  ({item['scope']})")
        for reason in item["reasons"]:
            said = ", ".join(
                f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in reason["says"].items()
            )
            output.write(f"    because {reason['resource']}{': ' + said if said else ''}")


def read_documents(files: list[Path]) -> list[Document]:
    """The documents of all files, each with the place it was read from; Stop with every fault of every file."""
    reading = _read(files)
    if reading.diagnostics:
        raise Stop(Exit.REFUSED, reading.diagnostics)
    return reading.documents


def _read_all(ctx: typer.Context, files: list[Path]) -> list[Document]:
    """The same for a change: Stop with what the controller says of the readable documents, too."""
    reading = _read(files)
    if not reading.diagnostics:
        return reading.documents
    found = [*reading.diagnostics, *said_of_the_rest(ctx, reading)]
    raise Stop(Exit.REFUSED, sorted(found, key=by_place))


def _read(files: list[Path]) -> Reading:
    from underlace.model import document

    reading = document.Reading([], [])
    for file in files:
        found = (
            document.read_bytes(sys.stdin.buffer.read(), STDIN) if str(file) == "-" else document.read_paths([file])
        )
        reading.documents.extend(found.documents)
        reading.diagnostics.extend(found.diagnostics)
    return reading


def said_of_the_rest(ctx: typer.Context, reading: Reading) -> list[Diagnostic]:
    """What a plan of the documents that could be read is refused for. A plan, whatever the command: nothing of a
    change with faults may happen.

    A document whose name could be read is sent with a spec that no kind takes, so that the controller knows that it
    is there but not what it says, and does not tell others that they refer to nothing.
    """
    from underlace.model.document import located

    if not reading.documents:
        return []
    present = {str(d) for d in reading.documents}
    unread = {d.where.resource for d in reading.diagnostics if d.where.resource.count("/") >= 2} - present
    named = [dict(zip(("kind", "tenant", "name"), r.split("/", 2), strict=True)) for r in sorted(unread)]
    body = as_body(reading.documents) + [{**identity, "spec": None} for identity in named]
    try:
        session_of(ctx).client.post("/v1/plan", {"documents": body})
    except Stop as stop:
        found = [d for d in stop.diagnostics if d.where.resource not in unread]
        return located(found, reading.documents)
    return []


def as_body(documents: list[Document]) -> list[dict[str, Any]]:
    """Documents as /v1/apply takes them."""
    return [
        {
            "kind": d.kind,
            "tenant": d.tenant,
            "name": d.name,
            "labels": d.labels,
            "spec": d.spec,
            "file": d.file,
            "line": d.line,
        }
        for d in documents
    ]


def _send(ctx: typer.Context, path: str, documents: list[Document], more: dict[str, Any]) -> Any:
    from underlace.model.document import located

    try:
        return session_of(ctx).client.post(path, {"documents": as_body(documents), **more})
    except Stop as stop:
        raise Stop(stop.code, located(stop.diagnostics, documents)) from None


def show_plan(planned: dict[str, Any]) -> None:
    """A plan for people: what changes in intent, which numbers are given, then device by device."""
    _warn(planned)
    if not planned["digest"]:
        output.note(NOTHING)
        return
    for change in planned["resources"]:
        _show_resource(change)
    for number in planned["numbers"]:
        held = f"{number['before']} -> {number['value']}" if number["before"] is not None else number["value"]
        waits = " (in quarantine: its owner waits)" if number["waiting"] else ""
        output.write(f"# {_name(number)} {number['slot']} {held}{waits}")
    for device in planned["devices"]:
        output.write(f"\n{device['device']}: {device['disruption']}")
        if device["native"] is None:
            output.write(f"    (left out: plan --native {device['device']} shows it)")
        for line in device["native"] or ():
            output.write(f"    {line}")
    output.write(f"\nplan {planned['digest']}")
    output.note(_summary(planned, planned["devices"], TO_DO))


def _show_resource(change: dict[str, Any]) -> None:
    """A new or vanished resource is one line; of a changed one every field is shown."""
    output.write(f"{SIGNS[change['action']]} {_name(change)}")
    if change["action"] == "update":
        for field in change["fields"]:
            before, after = (json.dumps(field[side], ensure_ascii=False) for side in ("before", "after"))
            output.write(f"    {field['pointer']}: {before} -> {after}")


def _summary(change: dict[str, Any], devices: list[dict[str, Any]], words: dict[str, str]) -> str:
    """What happens to how many resources; how many devices change, and how much that hurts."""
    counts = Counter(c["action"] for c in change["resources"])
    resources = ", ".join(f"{n} {words[action]}" for action, n in sorted(counts.items()))
    hurts = Counter(d["disruption"] for d in devices)
    worst_first = ", ".join(f"{hurts[word]} {word}" for word in ("outage", "flap", "hitless") if word in hurts)
    changing = f"{len(devices)} devices change: {worst_first}" if devices else ""
    return "; ".join(part for part in (resources, changing) if part)


def _name(item: dict[str, Any]) -> str:
    return f"{item['kind']}/{item['tenant']}/{item['name']}"


def _warn(applied: dict[str, Any]) -> None:
    show(output.notes, msgspec.convert(applied["warnings"], list[Diagnostic]))


def _unexplained(device: str, text: str) -> Diagnostic:
    return Diagnostic(
        Where(device=device),
        "line-not-found",
        "Nothing that the device is told holds this text",
        f"{text!r} is in nothing that Underlace configures on {device}.",
        f"See the whole configuration: underlace config {device}",
    )
