"""The client's context: where the controller is, which CA it is trusted by, and the token to show."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from underlace.model.diagnostic import Diagnostic, Refused, Where

VARIABLE = "UNDERLACE_CONTEXT"


class Context(msgspec.Struct, frozen=True):
    """url: "https://ADDRESS:PORT"; ca: PEM text, the only CA that is trusted; token: "ul_…"."""

    url: str
    ca: str
    token: str


def usual_places() -> list[Path]:
    """Where a context is looked for when none is named: the user's, then the one of this machine's controller."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return [
        config / "underlace" / "context.json",
        data / "underlace" / "context.json",
        Path("/var/lib/underlace/context.json"),
    ]


def find(named: Path | None) -> Path:
    """The context file in force. Refused when there is none."""
    chosen = named or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if chosen is not None:
        return chosen
    for place in usual_places():
        if os.access(place, os.R_OK):
            return place
    looked = ", ".join(str(p) for p in usual_places())
    remedy = "Start a controller (underlace up) and name the context that it prints: underlace --context FILE"
    raise Refused([_fault("", "context-missing", "There is no context", f"Looked at {looked}.", remedy)])


def load(named: Path | None) -> Context:
    """Read a context; Refused when it is not one, or when others than its owner may read it."""
    file = find(named)
    try:
        mode = file.stat().st_mode & 0o777
        body = file.read_bytes()
    except OSError as fault:
        remedy = f"Name another context than {file}: underlace --context FILE"
        detail = fault.strerror or str(fault)
        raise Refused(
            [_fault(str(file), "context-unreadable", "The context cannot be read", detail, remedy)]
        ) from None
    if mode & 0o077:
        detail = f"Its mode is {mode:o}: others than its owner may read the token in it."
        raise Refused(
            [_fault(str(file), "context-exposed", "The context is not private", detail, f"chmod 600 {file}")]
        )
    try:
        return msgspec.json.decode(body, type=Context)
    except msgspec.MsgspecError as fault:
        remedy = (
            f"Write {file} anew: an administrator makes it with `underlace token create --as-context NAME`; "
            "their own, context.json in the controller's data directory, is made anew by `underlace recover` while "
            "it is stopped."
        )
        raise Refused([_fault(str(file), "context-invalid", "The context is not one", str(fault), remedy)]) from None


def _fault(file: str, code: str, summary: str, detail: str, remedy: str) -> Diagnostic:
    return Diagnostic(Where(file=file), code, summary, detail, remedy)
