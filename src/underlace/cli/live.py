"""live: what devices see right now."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from underlace.cli import output
from underlace.cli.failure import Exit, Stop
from underlace.cli.output import Format
from underlace.cli.session import session_of
from underlace.model.diagnostic import Diagnostic, Where

if TYPE_CHECKING:
    from underlace.cli.client import Client


def live(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="A query; without it, those that there are.")] = "",
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Parameters of the query.")
    ] = None,
    devices: Annotated[
        list[str] | None, typer.Option("-d", "--device", help="Only this device; may be repeated.")
    ] = None,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Ask again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.5, max=3600, help="With --watch: seconds from one answer to the next question.")
    ] = 2.0,
    form: Annotated[
        Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")
    ] = Format.TABLE,
) -> None:
    """Ask devices what is true right now: sessions, routes, ports, neighbours, services. Nothing of it is stored.

    A device that does not answer is part of the answer, and no failure of the command.
    """
    client = session_of(ctx).client
    if not query:
        _show_queries(client, form)
        return
    asked = dict(_parted(given) for given in parameters or [])

    def ask() -> dict[str, Any]:
        return _ask(client, query, asked, devices or [])

    if watch:
        _follow(ask, form, interval, time.sleep)
    elif form is Format.TABLE:
        _show(ask())
    else:
        output.emit(ask(), form)


def _follow(ask: Callable[[], dict[str, Any]], form: Format, interval: float, pause: Callable[[float], None]) -> None:
    """Answer after answer: on a terminal each in place of the one before, as JSON a line each."""
    while True:
        found = ask()
        if form is Format.JSON:
            output.write(json.dumps(found, ensure_ascii=False))
        elif form is Format.YAML:
            output.write("---")
            output.emit(found, form)
        else:
            output.begin()
            output.write(_heading(found))
            _show(found)
        pause(interval)


def _heading(found: dict[str, Any]) -> str:
    """When the answers of this round came."""
    last = max((d["observed_at"] for d in found["devices"]), default="")
    simulated = " (simulated)" if found["simulated"] else ""
    return f"{found['query']}{simulated} {last}"


def _ask(client: Client, query: str, parameters: dict[str, str], devices: list[str]) -> dict[str, Any]:
    given = {**parameters, **({"device": devices} if devices else {})}
    return dict(client.call("GET", f"/v1/live/{quote(query, safe='')}", query=given))


def _show_queries(client: Client, form: Format) -> None:
    items = client.get("/v1/live")["items"]
    if form is not Format.TABLE:
        output.emit(items, form)
        return
    rows = [(i["name"], [_usage(p) for p in i["parameters"]], i["summary"]) for i in items]
    output.table(("query", "parameters", "what it tells"), rows)


def _usage(parameter: dict[str, Any]) -> str:
    text = f"{parameter['name']}=…"
    return text if parameter["required"] else f"[{text}]"


def _show(found: dict[str, Any]) -> None:
    """Rows of all devices, and below them the devices that have none, with the reason."""
    answered = [d for d in found["devices"] if d["error"] is None]
    columns = next((list(row) for d in answered for row in d["rows"]), [])
    if columns:
        rows = [(d["device"], *(_named(found, row, c) for c in columns)) for d in answered for row in d["rows"]]
        output.table(("device", *(c.replace("_", " ") for c in columns)), rows)
    elif answered:
        output.note("there is nothing of it")
    for d in answered:
        if d["cut"]:
            output.note(f"{d['device']}: there are more rows than one answer holds; ask for less")
    if silent := [d for d in found["devices"] if d["error"] is not None]:
        if columns:
            output.write("")
        rows = [(d["device"], "yes" if d["device_reachable"] else "no", d["error"]["detail"]) for d in silent]
        output.table(("no answer from", "reachable", "why"), rows)


def _named(found: dict[str, Any], row: dict[str, Any], column: str) -> object:
    """A value of a row; a VRF by the name of its VPC."""
    value = row.get(column)
    return found["vrfs"].get(value, value) if column == "vrf" else value


def _parted(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise Stop(Exit.USAGE, [_no_parameter(given)])
    return name, value


def _no_parameter(given: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "usage",
        "A parameter has a name and a value",
        f"{given!r} is not NAME=VALUE.",
        "List the queries and their parameters: underlace live",
    )
