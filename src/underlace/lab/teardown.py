"""Ending a lab that is not wanted any more: nothing is left of it, or a way to finish is said."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from underlace.lab.fabric import clear, end
from underlace.lab.place import command
from underlace.lab.state import Process, State, is_running


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does, so that it always cleans up."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sweep(directory: Path, prefix: str) -> None:
    """Remove labs below a directory whose owner is gone: killed, or interrupted while it cleaned up.

    Only what is our own: anyone may put a state file into /tmp that names the processes of others.
    """
    for place in directory.glob(f"{prefix}*"):
        try:
            found = place.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            state = State.load(place) if ours else None
            owner = (state.facts().get("owner") or (0, 0)) if state is not None else (0, 0)
        except (OSError, ValueError):
            continue  # another command removes it, or it is no lab
        if state is not None and owner[0] and not is_running(Process("owner", "", *owner)):
            end(state)


def tear_down(directory: Path) -> None:
    """Remove a lab. Ctrl-C ends even this: what is left can be removed later."""
    try:
        sys.stderr.write("the lab is being removed\n")
        sys.stderr.flush()
        clear(directory, running=True)
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; what is left of the lab goes with: {command(directory, 'down')}\n")
        raise
