"""docs/reference/cli.md, from the command line itself."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import typer

from tools.pages import NOTICE
from tools.pages.table import table
from underlace.cli.failure import Exit

Command = Any
"""A command of the click that Typer carries; it has no public name there."""

COMPLETION = frozenset({"install_completion", "show_completion"})


def pages(app: typer.Typer) -> Iterator[tuple[str, str]]:
    root: Command = typer.main.get_command(app)
    text = NOTICE.format(source="src/underlace/cli/") + f"# Command line\n\n{prose(root)}\n"
    rows = [(f"`{names(p)}`", help_of(p)) for p in root.params if shown(p)]
    text += "\n" + table(("option", "meaning"), rows) if rows else ""
    for path, command in commands(root, "underlace"):
        text += f"\n## {path}\n\n{prose(command)}\n"
        text += f"\n```\n{usage(path, command)}\n```\n"
        rows = [(f"`{names(p)}`", help_of(p)) for p in command.params if shown(p)]
        text += "\n" + table(("argument", "meaning"), rows) if rows else ""
    yield "cli.md", text + exit_codes()


def exit_codes() -> str:
    """The codes, and the sentence below each in the source."""
    body = ast.parse(inspect.getsource(Exit)).body[0]
    assert isinstance(body, ast.ClassDef)
    told = {
        target.id: after.value.value
        for before, after in pairwise(body.body)
        if isinstance(before, ast.Assign)
        and isinstance(target := before.targets[0], ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    rows = [(f"`{code.value}`", str(told.get(code.name, "Done."))) for code in Exit]
    return "\n## Exit codes\n\n" + table(("code", "meaning"), rows)


def commands(group: Command, path: str) -> Iterator[tuple[str, Command]]:
    """Every command that can be run, with the words that call it, in order of the help."""
    if not hasattr(group, "list_commands"):
        yield path, group
        return
    for name in group.list_commands(typer.Context(group)):
        command = group.get_command(typer.Context(group), name)
        if not command.hidden:
            yield from commands(command, f"{path} {name}")


def prose(command: Command) -> str:
    lines = (command.help or "").replace("\b", "").strip().splitlines()
    return "\n".join(line.strip() for line in lines)


def usage(path: str, command: Command) -> str:
    return " ".join([path, *command.collect_usage_pieces(typer.Context(command, info_name=path))])


def shown(parameter: Any) -> bool:
    return not getattr(parameter, "hidden", False) and parameter.name not in {"help", *COMPLETION}


def names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def help_of(parameter: Any) -> str:
    return str(getattr(parameter, "help", None) or "")
