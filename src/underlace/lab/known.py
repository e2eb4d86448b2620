"""The intent that a lab is judged by: what the controller holds, or what is known of it when the controller is gone.

The network outlives its controller (law 5), so `lab test` has to as well: it needs intent and the hosts alone.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from underlace.lab.control import ControllerGone
from underlace.lab.fabric import INTENT_FILE, Fabric
from underlace.lab.intent import Intent, parse

LAST_FILE = "last-intent.json"
"""What the controller held when it was last asked, in the lab's directory."""


class Known(NamedTuple):
    """source: "controller", "last-asked" or "lab-up". said: for people, "" when the controller was asked just now."""

    intent: Intent
    source: str
    said: str = ""


def ask(fabric: Fabric) -> Known:
    """Intent from the controller, or else the last that is known."""
    try:
        fabric.answering()
        intent = fabric.current_intent()
    except ControllerGone:
        return _last(fabric)
    _keep(fabric.state.directory, intent)
    return Known(intent, "controller")


def _keep(directory: Path, intent: Intent) -> None:
    whole = directory / f"{LAST_FILE}.new"
    whole.write_text(json.dumps({"at": time.strftime("%Y-%m-%d %H:%M:%S"), "documents": intent.documents}))
    whole.replace(directory / LAST_FILE)


def _last(fabric: Fabric) -> Known:
    gone = "the controller does not answer: judged by"
    since = "what was changed since is not in it"
    try:
        kept: dict[str, Any] = json.loads((fabric.state.directory / LAST_FILE).read_text())
    except FileNotFoundError:
        said = f"{gone} the intent that the lab was brought up with ({fabric.state.directory / INTENT_FILE}); {since}"
        return Known(fabric.intent, "lab-up", said)
    intent = parse(kept["documents"], fabric.intent.directory, fabric.played)
    return Known(intent, "last-asked", f"{gone} what it held at {kept['at']}; {since}")
