"""up and restore: the command lines of what runs on the controller's machine. The composition root does the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from underlace.cli import output
from underlace.cli.session import session_of

if TYPE_CHECKING:
    from underlace.settings import Settings

Data = Annotated[Path | None, typer.Option(metavar="DIR", help="The controller's directory: store, CA, context.")]


Serve = Callable[["Settings"], None]
"""Runs a controller until SIGTERM."""

Unpack = Callable[[Path, "Settings", bool], str]
"""(backup, data directory, whether to replace a store) -> what was done, for people."""

Renew = Callable[["Settings"], str]
"""Makes a token for the owner of a data directory -> what was done, for people."""


def mount(app: typer.Typer, serve: Serve, unpack: Unpack, renew: Renew) -> None:
    """Add the commands to a program."""
    for command in (_up(serve), _restore(unpack), _recover(renew)):
        app.command()(command)


def _up(serve: Serve) -> Callable[..., None]:
    def up(
        ctx: typer.Context,
        data: Data = None,
        listen: Annotated[
            str | None, typer.Option(metavar="ADDR:PORT", help="For the API; several by commas.")
        ] = None,
        agent_listen: Annotated[
            str | None, typer.Option(metavar="ADDR:PORT", help="For agents alone; else they use --listen.")
        ] = None,
        agent_netns: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Network namespace in which --agent-listen is bound.")
        ] = None,
        simulated: Annotated[
            bool | None, typer.Option("--simulated", help="Say in every answer: this is a lab.")
        ] = None,
    ) -> None:
        """Run the controller until SIGTERM."""
        flags = {
            "data": data,
            "listen": listen,
            "agent_listen": agent_listen,
            "agent_netns": agent_netns,
            "simulated": simulated,
        }
        serve(_settings(ctx, **flags))

    return up


def _restore(unpack: Unpack) -> Callable[..., None]:
    def restore(
        ctx: typer.Context,
        backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that `underlace backup` wrote.")],
        data: Data = None,
        replace: Annotated[
            bool, typer.Option("--replace", help="Put it in the place of a store that is there; that one is kept.")
        ] = False,
    ) -> None:
        """Make a data directory from a backup. No controller may run on it; it is started afterwards.

        All or nothing. A store in the directory is replaced with --replace only, and kept beside the new one.
        """
        output.note(unpack(backup, _settings(ctx, data=data), replace))

    return restore


def _recover(renew: Renew) -> Callable[..., None]:
    def recover(ctx: typer.Context, data: Data = None) -> None:
        """Write a new administrator's context for a data directory. No controller may run on it."""
        output.note(renew(_settings(ctx, data=data)))

    return recover


def _settings(ctx: typer.Context, **flags: object) -> Settings:
    from underlace.settings import load

    return load(flags, session_of(ctx).config_file).settings
