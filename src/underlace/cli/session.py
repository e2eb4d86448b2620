"""What the commands of one invocation share: the context, opened when first needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from underlace.cli.failure import Exit, Stop
from underlace.model.diagnostic import Refused

if TYPE_CHECKING:
    from underlace.cli.client import Client


class Session:
    """by_flag: the context was named on the command line, not by the environment."""

    def __init__(self, context: Path | None, config: Path | None, *, by_flag: bool = False) -> None:
        self.context_file = context
        self.config_file = config
        self.by_flag = by_flag
        self._client: Client | None = None

    @property
    def named_context(self) -> Path | None:
        """The context that the command line, the environment or a settings file names."""
        if self.context_file is not None:
            return self.context_file
        from underlace.settings import load

        # The environment has been asked, and what else it says is no business of a client.
        return load({}, self.config_file, environment={}).settings.context

    @property
    def client(self) -> Client:
        """The connection to the controller. The HTTP library is imported here: help and completion need none."""
        if self._client is None:
            from underlace.cli import context
            from underlace.cli.client import Client

            try:
                file = context.find(self.named_context)
                self._client = Client(context.load(file), file)
            except Refused as refused:
                raise Stop(Exit.UNREACHABLE, refused.diagnostics) from None
        return self._client


def session_of(ctx: typer.Context) -> Session:
    found = ctx.find_root().obj
    assert isinstance(found, Session)
    return found
