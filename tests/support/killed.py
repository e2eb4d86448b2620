"""Work in a process of its own that ends with SIGKILL at a chosen step."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

FILES = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.connect")
"""Python's audit events of what changes a directory; `open` for writing beside them."""

Steps = Callable[[Callable[[], None]], None]
"""Has its argument called before each step."""


def killed_at(step: int, work: Callable[[], object], steps: Steps) -> bool:
    """Run `work`, and kill it right before its step number `step` (from 1). Whether it got that far."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed: see standard error"
        return os.WIFSIGNALED(status)
    left = step

    def pass_by() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        steps(pass_by)
        work()
        os._exit(0)
    except BaseException as fault:
        sys.stderr.write(f"{type(fault).__name__}: {fault}\n")
        os._exit(1)


def statements(pass_by: Callable[[], None]) -> None:
    """Each statement that any engine runs, and each commit."""
    event.listen(Engine, "before_cursor_execute", lambda *_: pass_by())
    commits(pass_by)


def commits(pass_by: Callable[[], None]) -> None:
    """Each commit of any engine."""
    event.listen(Engine, "commit", lambda *_: pass_by())


def file_steps(pass_by: Callable[[], None]) -> None:
    """Each change of a directory, and each file that is opened to be written."""

    def hear(name: str, arguments: tuple[Any, ...]) -> None:
        if name in FILES or (name == "open" and _writes(arguments)):
            pass_by()

    sys.addaudithook(hear)


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
