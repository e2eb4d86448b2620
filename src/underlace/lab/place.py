"""Where a lab keeps its files, and the commands about it: written so that they can be pasted as they stand."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def default_directory() -> Path:
    """Where a lab keeps its files unless told otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "underlace" / "lab"


def program() -> str:
    """The `underlace` of this very installation: its name where a shell finds it by name, else its path."""
    own, known = Path(sys.executable).with_name("underlace"), shutil.which("underlace")
    if not own.exists() or (known is not None and own.samefile(known)):
        return "underlace"
    return str(own)


def command(directory: Path, verb: str, *words: str) -> str:
    """An `underlace lab` command for the lab of a directory. verb: "down", or "fault undo"."""
    place = [] if directory == default_directory() else ["--lab", str(directory)]
    return shlex.join([program(), "lab", *verb.split(), *place, *words])
