"""Waiting for devices, with progress on stderr and a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from underlace.cli import output
from underlace.cli.failure import Exit, Stop
from underlace.model.diagnostic import Diagnostic, Where

if TYPE_CHECKING:
    from underlace.cli.client import Client

ACTIVE = "Active"
SILENT = "silent"
GAVE_UP = ("rejected", "reverted", "failed")
POLL = 0.2
NAMED = 6
"""As many devices are named while waiting; of more, the number says enough."""


def await_active(client: Client, revision: int, timeout: float) -> None:
    """Return when every device has confirmed `revision`. Stop at the limit, or as soon as a device gave up."""
    started = time.monotonic()
    last = ""
    before: dict[str, str] = {}
    with output.notes.status("waiting for devices") as spinner:
        while True:
            status = client.get("/v1/status", revision=revision)
            if status["state"] == ACTIVE:
                break
            # A device may have given up an earlier change: what counts is what it says from now on.
            failed = [
                d
                for d in status["devices"]
                if d["state"] in GAVE_UP and before.setdefault(d["name"], d["last_report"]) != d["last_report"]
            ]
            if failed:
                raise Stop(Exit.REFUSED, [_gave_up(d) for d in failed])
            text = f"waiting for {_awaited(status)} to confirm revision {revision}"
            spinner.update(text)
            if text != last and not output.notes.is_terminal:
                output.note(text)
            last = text
            if time.monotonic() - started > timeout:
                raise Stop(Exit.TIMEOUT, [_timed_out(status, revision, timeout)])
            time.sleep(POLL)
    spent = time.monotonic() - started
    output.note(f"revision {revision} is active on every device ({spent:.1f} s)")


def _awaited(status: dict[str, Any]) -> str:
    """The devices, each once; how many there are where the actor may not read devices."""
    names = {d["name"]: d["state"] for d in status["devices"]}
    names |= {w["device"]: w["reason"] for r in status["resources"] for w in r["status"]["waiting"]}
    if not names:
        most = max((r["status"]["waiting_for"] for r in status["resources"]), default=0)
        return f"{most} devices" if most else "devices"
    shown = [f"{name} (silent)" if why == SILENT else name for name, why in sorted(names.items())]
    rest = len(shown) - NAMED
    return ", ".join(shown[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _gave_up(device: dict[str, Any]) -> Diagnostic:
    said = [d.get("detail") or d.get("summary") or "" for d in device["diagnostics"]]
    return Diagnostic(
        Where(device=device["name"]),
        f"device-{device['state']}",
        "A device could not take the change",
        " ".join(filter(None, said)) or "It gave no reason.",
        f"See what it says: underlace device show {device['name']}",
    )


def _timed_out(status: dict[str, Any], revision: int, timeout: float) -> Diagnostic:
    return Diagnostic(
        Where(),
        "wait-timeout",
        "Devices have not confirmed in time",
        f"After {timeout:.0f} seconds revision {revision} is not confirmed by {_awaited(status)}.",
        "The change stays in force and devices go on. "
        + ("See their state: underlace device list" if status["total"] else "See what waits: underlace status"),
    )
