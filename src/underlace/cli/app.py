"""`underlace`: the commands that speak to a controller, and how each of them ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from underlace import __version__
from underlace.cli import bulk, devices, fabric, intent, live, output, resources, tokens, upgrade
from underlace.cli.failure import Exit, Stop, show
from underlace.cli.session import Session, session_of
from underlace.cli.settings import show_settings
from underlace.model.diagnostic import Diagnostic, Refused, Where, by_place

SETTINGS_WORD = "show"
"""Reserved where a device is named: `config show` shows the settings."""

Output = Annotated[output.Format, typer.Option("-o", "--output", help="For `config show`.")]


def _version(wanted: bool) -> None:
    if wanted:
        output.write(f"underlace {__version__}")
        raise typer.Exit


def root(
    ctx: typer.Context,
    context: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar="UNDERLACE_CONTEXT", help="Which controller, as whom.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", envvar="UNDERLACE_CONFIG", help="A settings file (TOML).")
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which release.")
    ] = False,
) -> None:
    given = ctx.get_parameter_source("context")
    ctx.obj = Session(context, config, by_flag=given is not None and given.name == "COMMANDLINE")


def config(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(metavar="DEVICE|show", help="A device; or `show`, for the settings.")],
    form: Output = output.Format.TABLE,
) -> None:
    """Show the configuration that a device should hold; `config show`: the settings, and where each came from."""
    if device == SETTINGS_WORD:
        show_settings(session_of(ctx), form)
    else:
        devices.show_config(ctx, device)


_COMMANDS: tuple[Callable[..., None], ...] = (
    intent.plan,
    intent.apply,
    intent.explain,
    resources.get,
    resources.delete,
    resources.export,
    bulk.import_,
    config,
    fabric.status,
    live.live,
    fabric.history,
    fabric.compact,
    fabric.whoami,
    fabric.backup,
)


def command_line() -> typer.Typer:
    """The commands of a client, a new program each time: the composition root adds what is not a client's."""
    app = typer.Typer(
        name="underlace",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="VPCs on your own leaf/spine fabric: the controller for the physical network of a private cloud.",
    )
    app.callback()(root)
    for command in _COMMANDS:
        app.command(command.__name__.rstrip("_"))(command)
    app.add_typer(devices.app, name="device")
    app.add_typer(tokens.app, name="token")
    app.add_typer(upgrade.app, name="upgrade")
    return app


def run_safely(program: Callable[[], object]) -> int:
    """Run a program to its exit code. Whatever goes wrong, one clear message and never a traceback."""
    try:
        program()
    except Stop as stop:
        show(output.notes, stop.diagnostics)
        return stop.code
    except Refused as refused:
        show(output.notes, sorted(refused.diagnostics, key=by_place))
        return Exit.REFUSED
    except BrokenPipeError:
        # Whoever read our output went away (`underlace get vpc | head -1`): not a fault, but nothing more to say.
        sys.stdout = None
        return Exit.OK
    except KeyboardInterrupt:
        return 130
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else Exit.OK if leaving.code is None else Exit.REFUSED
    except Exception as fault:
        show(output.notes, [_unexpected(fault)])
        return Exit.REFUSED
    return Exit.OK


def _unexpected(fault: Exception) -> Diagnostic:
    frame = fault.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else "?"
    return Diagnostic(
        Where(),
        "unexpected",
        "Underlace failed unexpectedly",
        f"{type(fault).__name__}: {fault} ({place})",
        "This is a fault of Underlace: report it with the command and this message.",
    )
