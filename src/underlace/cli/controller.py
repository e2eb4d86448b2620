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


def mount(
    app: typer.Typer,
    serve: Callable[[Settings], None],
    unpack: Callable[[Path, Path], str],
    renew: Callable[[Path], str],
) -> None:
    """Add the commands. serve: runs until SIGTERM; unpack: restores a backup in a directory; renew: makes a token for
    its owner. Those two say what was done."""

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
        from underlace.settings import load

        flags = {
            "data": data,
            "listen": listen,
            "agent_listen": agent_listen,
            "agent_netns": agent_netns,
            "simulated": simulated,
        }
        serve(load(flags, session_of(ctx).config_file).settings)

    def restore(
        ctx: typer.Context,
        backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that `underlace backup` wrote.")],
        data: Data = None,
    ) -> None:
        """Make a data directory from a backup. No controller may run on it; it is started afterwards."""
        from underlace.settings import load

        directory = load({"data": data}, session_of(ctx).config_file).settings.data
        output.notes.print(unpack(backup, directory), highlight=False)

    def recover(ctx: typer.Context, data: Data = None) -> None:
        """Write a new administrator's context for a data directory. No controller may run on it."""
        from underlace.settings import load

        directory = load({"data": data}, session_of(ctx).config_file).settings.data
        output.notes.print(renew(directory), highlight=False)

    app.command()(up)
    app.command()(recover)
    app.command()(restore)
