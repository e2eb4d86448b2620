"""What goes wrong with a lab, as diagnostics."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from underlace.lab.channel import ChannelError
from underlace.lab.control import ControllerError
from underlace.lab.fabric import LabError
from underlace.lab.intent import IntentUnreadable
from underlace.lab.namespace import CommandFailed
from underlace.lab.topology import Unbuildable
from underlace.lab.wiring import PhysicalPort
from underlace.model.diagnostic import Diagnostic, Refused, Where

_CODES: dict[type[Exception], tuple[str, str, str]] = {
    IntentUnreadable: ("lab-intent-invalid", "The lab's intent cannot be used", "Correct the documents named."),
    Unbuildable: ("lab-intent-invalid", "The lab's intent cannot be built", "Correct the documents named."),
    PhysicalPort: ("lab-physical-port", "A lab would hold a real network port", "Report this: it must not happen."),
    ControllerError: (
        "lab-controller",
        "The lab's controller refused or failed",
        "See its log in the lab's directory.",
    ),
    ChannelError: ("lab-process", "A process of the lab failed", "See the logs in the lab's directory."),
    CommandFailed: ("lab-command", "A command inside the lab failed", "See the logs in the lab's directory."),
    LabError: ("lab-failed", "The lab cannot do this", "Look at what there is: underlace lab status"),
}


def refuse(missing: Sequence[str]) -> None:
    """Raises Refused when the machine lacks something that a lab needs."""
    if missing:
        summary = "This machine cannot run a lab as it is"
        remedy = "As root: apt-get install frr iproute2 nftables openssl util-linux"
        raise Refused([Diagnostic(Where(), "lab-requirements", summary, "; ".join(missing), remedy)])


@contextmanager
def spoken() -> Iterator[None]:
    """Turns what a lab raises into Refused, which every command knows how to show."""
    try:
        yield
    except tuple(_CODES) as fault:
        code, summary, remedy = next(words for kind, words in _CODES.items() if isinstance(fault, kind))
        raise Refused([Diagnostic(Where(), code, summary, str(fault), remedy)]) from fault
    except (OSError, subprocess.SubprocessError) as fault:
        remedy = "See the logs in the lab's directory; bring it down: underlace lab down"
        raise Refused([Diagnostic(Where(), "lab-failed", "The lab cannot do this", str(fault), remedy)]) from fault
