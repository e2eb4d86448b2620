"""config show: every setting, its value, and the place that decided it."""

from __future__ import annotations

from underlace.cli import output
from underlace.cli.output import Format
from underlace.cli.session import Session


def show_settings(session: Session, form: Format) -> None:
    """The settings that a controller started here and now would run with."""
    from underlace.settings import load

    # What the environment says, the settings find there by themselves: and say so.
    flags = {"context": session.context_file} if session.by_flag else {}
    loaded = load(flags, session.config_file)
    values = loaded.settings.model_dump(mode="json")
    if form is Format.TABLE:
        rows = [
            (name, value if value not in (None, []) else "-", loaded.origins[name]) for name, value in values.items()
        ]
        output.table(("setting", "value", "from"), rows)
        return
    output.emit({name: {"value": value, "from": loaded.origins[name]} for name, value in values.items()}, form)
