"""The lab's controller: a process of its own with its own store, and the REST calls that the lab needs.

The API is on this machine's loopback, the agents' socket inside the out-of-band namespace and nowhere else.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from underlace.lab.namespace import Namespace
from underlace.lab.process import environment, spawn
from underlace.lab.state import State
from underlace.lab.state import stop as stop_process
from underlace.lab.wiring import CONTROLLER_ADDRESS
from underlace.model.diagnostic import Diagnostic

ROLE = "controller"
AGENT_PORT = 8_443
AGENT_URL = f"https://{CONTROLLER_ADDRESS}:{AGENT_PORT}"
REQUEST_SECONDS = 120.0


class ControllerError(Exception):
    """The controller refused or is not there, in its own words. diagnostics: its findings, if it gave any."""

    def __init__(self, text: str, diagnostics: Iterable[Diagnostic] = ()) -> None:
        super().__init__(text)
        self.diagnostics = tuple(diagnostics)


class ControllerGone(ControllerError):
    """It does not answer."""


class Rest:
    """The native API, as the lab's administrator. One connection per request: it may be used from several threads."""

    def __init__(self, context: Mapping[str, str]) -> None:
        parts = urlsplit(context["url"])
        self.host, self.port, self.token = parts.hostname or "", parts.port or 443, context["token"]
        self.ca = context["ca"]
        self.tls = ssl.create_default_context(cadata=self.ca)

    def call(self, method: str, path: str, body: object = None, timeout: float = REQUEST_SECONDS) -> Any:
        """The decoded answer. Raises ControllerError."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as fault:
            raise ControllerGone(f"{method} {path}: the controller does not answer: {fault}") from fault
        finally:
            connection.close()
        if answer.status >= 400:
            raise _problem(method, path, answer.status, text)
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Every resource of a kind, page by page."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"/v1/resources/{quote(kind)}{after}")
            found += page["items"]
            if not page.get("next"):
                return found
            after = f"?after={quote(page['next'], safe='')}"

    def apply(self, documents: Iterable[Mapping[str, Any]], delete: Iterable[Mapping[str, Any]] = ()) -> Any:
        return self.call("POST", "/v1/apply", {"documents": list(documents), "delete": list(delete)})

    def enrolment(self, device: str) -> str:
        """A one-time token for a device's agent."""
        return str(self.call("POST", f"/v1/devices/{quote(device, safe='')}/enrolment")["token"])


def _problem(method: str, path: str, status: int, text: bytes) -> ControllerError:
    try:
        told = json.loads(text)
    except ValueError:
        return ControllerError(f"{method} {path}: {status} {text[:200].decode(errors='replace')}")
    findings = msgspec.convert(told.get("diagnostics") or [], list[Diagnostic])
    lines = [str(finding) for finding in findings]
    return ControllerError("\n".join([f"{method} {path}: {status} {told.get('title', '')}", *lines]), findings)


def data(state: State) -> Path:
    return state.directory / "controller"


def context_file(state: State) -> Path:
    return data(state) / "context.json"


def log_path(state: State) -> Path:
    return state.directory / "logs" / "controller.log"


def rest(state: State) -> Rest:
    """The API of the lab's controller. Raises ControllerGone when there is none."""
    try:
        return Rest(json.loads(context_file(state).read_text()))
    except (OSError, ValueError, KeyError) as fault:
        raise ControllerGone(f"the lab in {state.directory} has no controller: {fault}") from fault


def _environment(state: State) -> dict[str, str]:
    """No setting of whoever starts the lab reaches its controller: a lab has a store of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UNDERLACE_")}
    settings = state.directory / "controller.toml"
    settings.touch()
    return {**environment(state.identity, clean), "UNDERLACE_CONFIG": str(settings)}


def start(state: State, oob: Namespace, listen: str = "127.0.0.1:0") -> None:
    """Start the controller's process; `ready` says when it can be used."""
    argv = [*oob.as_root(), sys.executable, "-c", "from underlace.main import run; run()", "up", "--simulated"]
    argv += [
        "--data",
        str(data(state)),
        "--listen",
        listen,
        "--agent-listen",
        f"{CONTROLLER_ADDRESS}:{AGENT_PORT}",
        "--agent-netns",
        oob.net(),
    ]
    state.record(ROLE, "", spawn(argv, _environment(state), log_path(state)))


def ready(state: State, limit: float = 30.0) -> Rest:
    """Wait until the controller answers. Raises ControllerError with the end of its log."""
    until = time.monotonic() + limit
    why = "it has not begun to answer"
    while time.monotonic() < until:
        if state.running(ROLE) is None:
            raise ControllerError(f"the controller ended:\n{tail(log_path(state))}")
        try:
            api = rest(state)
            api.call("GET", "/readyz", timeout=2.0)
            return api
        except ControllerError as fault:
            why = str(fault)
        time.sleep(0.03)
    raise ControllerError(f"the controller is not ready after {limit:g} s: {why}\n{tail(log_path(state))}")


def stop(state: State, number: signal.Signals = signal.SIGTERM, limit: float = 20.0) -> None:
    """End the controller and wait until it is gone. Nothing on the wire may notice (law 5)."""
    process = state.running(ROLE)
    if process is not None:
        stop_process(process, number, limit)


def tail(path: Path, lines: int = 20) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
