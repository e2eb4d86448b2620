"""What goes wrong with a lab, as diagnostics: each with a remedy that can be pasted, for the lab that was named."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from underlace.lab.channel import ChannelError
from underlace.lab.control import ControllerError
from underlace.lab.namespace import CommandFailed
from underlace.lab.place import command
from underlace.lab.state import State
from underlace.lab.wiring import PhysicalPort
from underlace.model.diagnostic import Diagnostic, Refused, Where, shortened


class LabError(Exception):
    """The lab cannot do what was asked: why, and what to do. Without a remedy: look at what there is."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


_CODES: dict[type[Exception], tuple[str, str]] = {
    PhysicalPort: ("lab-physical-port", "A lab would hold a real network port"),
    ControllerError: ("lab-controller", "The lab's controller refused or failed"),
    ChannelError: ("lab-process", "A process of the lab failed"),
    CommandFailed: ("lab-command", "A command inside the lab failed"),
    LabError: ("lab-failed", "The lab cannot do this"),
}


def near(name: str, known: Iterable[str]) -> str:
    """What to choose from: the known name that was likely meant, and all of them."""
    names = sorted(known)
    if not names:
        return "There is none."
    short = {full.rpartition("/")[2]: full for full in names}
    likely = [*difflib.get_close_matches(name, names, 1, 0.6), *difflib.get_close_matches(name, short, 1, 0.6)]
    meant = f"Did you mean {shortened(short.get(likely[0], likely[0]))}? " if likely else ""
    return f"{meant}There are: {', '.join(map(shortened, names))}."


@contextmanager
def spoken(directory: Path) -> Iterator[None]:
    """Turns what the lab of a directory raises into Refused, which every command knows how to show."""
    try:
        yield
    except (ControllerError, PhysicalPort, ChannelError, CommandFailed, LabError) as fault:
        raise Refused(_found(fault, directory)) from fault
    except (OSError, subprocess.SubprocessError) as fault:
        finding = Diagnostic(Where(), "lab-failed", "The lab cannot do this", str(fault), _look(directory))
        raise Refused([finding]) from fault


def _found(fault: Exception, directory: Path) -> Sequence[Diagnostic]:
    if isinstance(fault, ControllerError) and fault.diagnostics:
        return fault.diagnostics
    code, summary = next(words for kind, words in _CODES.items() if isinstance(fault, kind))
    remedy = fault.remedy if isinstance(fault, LabError) else ""
    if isinstance(fault, PhysicalPort):
        remedy = "Report this: it must not happen."
    return [Diagnostic(Where(), code, summary, str(fault), remedy or _look(directory))]


def _look(directory: Path) -> str:
    """Where to look further: at what there is of the lab, if anything is."""
    try:
        there = State.load(directory) is not None
    except (OSError, ValueError):
        return f"Look into {directory}: it should hold a lab's files and nothing else."
    if not there:
        return "Nothing is left of the lab. If it happens again, report this message."
    status, down = command(directory, "status"), command(directory, "down")
    return f"See {directory / 'logs'} and: {status}; or begin anew: {down}"
