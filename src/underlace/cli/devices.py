"""device list|show|enrol|forget, and config DEVICE."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from underlace.cli import output
from underlace.cli.output import Format
from underlace.cli.session import session_of

app = typer.Typer(
    no_args_is_help=True, help="Devices: what they should hold, what they hold, and who may speak for them."
)

Device = Annotated[str, typer.Argument(metavar="DEVICE", help="A device, e.g. leaf1.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="table for people, json or yaml for programs.")]

COLUMNS = ("device", "state", "desired", "reported", "drift", "last seen", "agent", "os")


@app.command("list")
def list_devices(ctx: typer.Context, form: Output = Format.TABLE) -> None:
    """Show every device: the revision it should hold, and the one it says it holds."""
    items = session_of(ctx).client.get("/v1/devices")["items"]
    if form is Format.TABLE:
        output.table(COLUMNS, [_row(d) for d in items])
    else:
        output.emit(items, form)


@app.command("show")
def show_device(ctx: typer.Context, device: Device, form: Output = Format.YAML) -> None:
    """Show all that is known of a device."""
    found = session_of(ctx).client.get(device_path(device))
    if form is Format.TABLE:
        output.table(COLUMNS, [_row(found)])
    else:
        output.emit(found, form)


@app.command("enrol")
def enrol_device(ctx: typer.Context, device: Device, form: Output = Format.TABLE) -> None:
    """Make a one-time token with which the agent of a device gets its certificate. Earlier ones become void."""
    issued = session_of(ctx).client.post(device_path(device) + "/enrolment")
    if form is Format.TABLE:
        output.write(issued["token"])
        output.note(f"for {device}, once, until {moment(issued['expires'])}")
    else:
        output.emit(issued, form)


@app.command("forget")
def forget_device(
    ctx: typer.Context,
    device: Device,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Declare a device dead: its certificates become void and it no longer holds numbers back.

    Only for a device that is off or wiped: one that still runs could go on using numbers that others are given.
    """
    if not yes:
        typer.confirm(f"Is {device} off, or wiped? Its numbers will be given to others.", abort=True, err=True)
    session_of(ctx).client.delete(device_path(device))
    output.note(f"{device} is forgotten")


def show_config(ctx: typer.Context, device: str) -> None:
    """The native configuration that a device should hold."""
    for line in session_of(ctx).client.get(device_path(device) + "/config")["lines"]:
        output.write(line)


def device_path(device: str) -> str:
    return "/v1/devices/" + quote(device, safe="")


def moment(seconds: int | None) -> str:
    """A time for people, in UTC."""
    from datetime import UTC, datetime

    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _row(d: dict[str, Any]) -> tuple[object, ...]:
    return (
        d["name"],
        d["state"],
        d["desired"],
        d["reported"],
        ", ".join(d["drift"]) or "-",
        d["last_seen"] or "never",
        d["agent_version"] or "-",
        " ".join(filter(None, (d["os"], d["os_version"]))) or "-",
    )
