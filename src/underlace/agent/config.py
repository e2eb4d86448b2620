"""What an agent must be told: one JSON file, each field overridden by UNDERLACE_AGENT_<FIELD>."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import is_hostname

PREFIX = "UNDERLACE_AGENT_"


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one agent.

    controllers: https URLs, tried in turn. ca: file with the controller's CA, the only one that is trusted.
    state_dir: holds key, certificate and cache; it must survive a reboot.
    management_netns: namespace whose sockets reach the controller ("/run/underlace/mgmt"); None for the agent's own.
    token_file: one-time enrolment token; it is removed once used.
    driver: package under underlace.drivers. driver_options: passed to its door.
    read_interval: seconds between full reads. wait: seconds that the controller may hold a poll.
    request_timeout: seconds for a request, beyond `wait`.
    retry_rejected: seconds before a given-up manifest is tried again; doubles up to an hour.
    restart_command: run after two failed reverts, e.g. ["systemctl", "restart", "frr"]; it loads the boot files.
    simulated: marks every report as a lab's.
    """

    device: str
    controllers: tuple[str, ...]
    ca: str
    state_dir: str
    management_netns: str | None = None
    token_file: str = ""
    driver: str = "linux"
    driver_options: dict[str, str] = {}
    read_interval: float = 60.0
    wait: float = 30.0
    request_timeout: float = 10.0
    retry_rejected: float = 60.0
    restart_command: tuple[str, ...] = ()
    simulated: bool = False


def load_config(path: Path | None, environ: Mapping[str, str]) -> AgentConfig:
    """The settings of a file and the environment. Raises Refused with every fault at once."""
    place = str(path) if path is not None else "environment"
    try:
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, object]) if path is not None else {}
    except OSError as gone:
        raise Refused([_fault(place, f"{place} cannot be read: {gone.strerror}")]) from gone
    except msgspec.DecodeError as broken:
        raise Refused([_fault(place, f"{place} is not a JSON object: {broken}")]) from broken
    values |= _overrides(environ)
    try:
        config = msgspec.convert(values, AgentConfig, strict=False)
    except msgspec.ValidationError as broken:
        raise Refused([_fault(place, str(broken))]) from broken
    if found := check_config(config, place):
        raise Refused(found)
    return config


def _overrides(environ: Mapping[str, str]) -> dict[str, object]:
    """Fields set by the environment. Lists and maps are JSON; a list may also be words separated by commas."""
    found: dict[str, object] = {}
    for field in AgentConfig.__struct_fields__:
        text = environ.get(PREFIX + field.upper())
        if text is None:
            continue
        if text[:1] in ("[", "{"):
            try:
                found[field] = msgspec.json.decode(text.encode())
            except msgspec.DecodeError as broken:
                name = PREFIX + field.upper()
                raise Refused([_fault("environment", f"{name} is not valid JSON: {broken}")]) from broken
        else:
            found[field] = text.split(",") if field in ("controllers", "restart_command") else text
    return found


def check_config(config: AgentConfig, place: str) -> list[Diagnostic]:
    """What types cannot say."""
    found = []
    if not is_hostname(config.device):
        found.append(_fault(place, f"device {config.device!r} is not a host name"))
    if not config.controllers:
        found.append(_fault(place, "controllers is empty"))
    for url in config.controllers:
        try:
            parts = urlsplit(url)
            usable = parts.scheme == "https" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if not usable:
            found.append(_fault(place, f"controller {url!r} is not an https URL with a host"))
    for field in ("read_interval", "request_timeout", "retry_rejected"):
        if not getattr(config, field) > 0:
            found.append(_fault(place, f"{field} must be more than 0 seconds"))
    if not config.wait >= 0:
        found.append(_fault(place, "wait must not be negative"))
    return found


def _fault(place: str, detail: str) -> Diagnostic:
    return Diagnostic(
        Where(file=place),
        "agent-config-invalid",
        "The agent's settings are not valid.",
        detail,
        remedy=f"Correct the setting, or the variable {PREFIX}<FIELD> that overrides it, and start the agent again.",
    )
