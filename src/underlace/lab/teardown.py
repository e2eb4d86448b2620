"""Ending a lab that is not wanted any more: nothing is left of it, or a way to finish is said."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from underlace.lab.fabric import clear
from underlace.lab.place import command


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


def tear_down(directory: Path) -> None:
    """Remove a lab. Ctrl-C ends even this: what is left can be removed later."""
    try:
        sys.stderr.write("the lab is being removed\n")
        sys.stderr.flush()
        clear(directory, running=True)
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; what is left of the lab goes with: {command(directory, 'down')}\n")
        raise
