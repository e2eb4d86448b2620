"""docs/reference/settings.md, from the settings model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.pages import NOTICE
from tools.pages.table import table
from underlace.settings import Settings

INTRO = """# Settings

A flag goes before the environment, the environment before the file, the file before the default. The file is TOML:
the one named by `--config` or `UNDERLACE_CONFIG`, else `~/.config/underlace/underlace.toml` laid over
`/etc/underlace/underlace.toml`. `underlace config show` prints what is in force and where each value came from.

"""


def pages() -> Iterator[tuple[str, str]]:
    rows = [
        (f"`{name}`", f"`UNDERLACE_{name.upper()}`", default_of(name, field), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    yield (
        "settings.md",
        NOTICE.format(source="src/underlace/settings.py")
        + INTRO
        + table(("setting", "environment", "default", "meaning"), rows),
    )


def default_of(name: str, field: Any) -> str:
    if name == "data":
        return "`/var/lib/underlace` for root, else `~/.local/share/underlace`"
    if field.default is None or field.default == ():
        return "none"
    value = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{value}`"
