"""Starting a process that outlives whoever starts it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def spawn(argv: list[str], environment: Mapping[str, str], log: Path) -> int:
    """Start a program in a session of its own, its output appended to a file. Returns its pid.

    `subprocess.Popen` would complain when its object goes before its process.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)
