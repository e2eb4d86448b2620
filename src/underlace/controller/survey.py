"""After an upgrade: what a compile from nothing would change on devices, found out beside everything else.

    start ─► a thread: every resource compiled, a batch at a time ─► compared with what is stored ─► who differs
    found() ─► how far it is, and then which devices

It reads one moment of the store and writes nothing: changes go on meanwhile, and a controller that is killed has
lost only the time. What is found reaches a device when somebody has it compiled anew (`Request.recompile`), with a
plan like any other (law 10).
"""

from __future__ import annotations

import threading

import msgspec
import structlog

from underlace.access import Actor, Use
from underlace.controller import maintenance
from underlace.controller.devices import require
from underlace.controller.run import Engine
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.store import ledger

log = structlog.get_logger()

NONE, RUNNING, DONE, FAILED = "none", "running", "done", "failed"


class DeviceDifference(msgspec.Struct, frozen=True):
    """A device, and how many of its scopes this release would configure otherwise."""

    device: str
    scopes: int


class Found(msgspec.Struct, frozen=True):
    """state: "none", "running", "done" or "failed". compiled, total: resources. revision: the one that was looked at.
    devices: which differ, once it is done."""

    state: str
    compiled: int = 0
    total: int = 0
    revision: int = 0
    devices: tuple[DeviceDifference, ...] = ()


class Survey:
    """One at a time. Its thread ends with the process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._found = Found(NONE)
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self, actor: Actor) -> Found:
        """Begin one, unless one is under way."""
        require(actor, Use.MANAGE_DEVICES, "compile the fabric anew")
        with self._lock:
            if self._found.state != RUNNING:
                self._found = Found(RUNNING)
                self._thread = threading.Thread(target=self._run, args=(actor,), name="survey", daemon=True)
                self._thread.start()
            return self._found

    def found(self, actor: Actor) -> Found:
        require(actor, Use.READ_FABRIC, "read what an upgrade would change")
        return self._found

    def close(self) -> None:
        """Have one that is under way end soon, and wait for that."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def _run(self, actor: Actor) -> None:
        try:
            with self._engine.store.read() as c:
                revision = ledger.counters(c).revision
            differ = maintenance.differences(self._engine, actor, self._progress)
        except Exception as fault:  # whatever it was, whoever waits has to hear of it
            log.warning("survey-failed", error=type(fault).__name__)
            self._found = msgspec.structs.replace(self._found, state=FAILED)
            return
        devices: dict[str, int] = {}
        for one in differ:
            devices[one.device] = devices.get(one.device, 0) + 1
        found = tuple(DeviceDifference(name, count) for name, count in sorted(devices.items()))
        self._found = msgspec.structs.replace(self._found, state=DONE, revision=revision, devices=found)
        log.info("survey-done", revision=revision, devices=len(found))

    def _progress(self, compiled: int, total: int) -> None:
        if self._closed:
            raise Refused([_closing()])
        self._found = msgspec.structs.replace(self._found, compiled=compiled, total=total)


def _closing() -> Diagnostic:
    return Diagnostic(
        Where(),
        "not-ready",
        "The controller is being stopped",
        "What it was doing is not finished.",
        "Ask again when it runs.",
    )
