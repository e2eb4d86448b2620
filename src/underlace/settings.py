"""Settings of the controller and the command line: one typed model, and where each value came from.

    flag  >  environment UNDERLACE_*  >  file  >  default

The file is TOML: the one named by --config or UNDERLACE_CONFIG, else ~/.config/underlace/underlace.toml laid over
/etc/underlace/underlace.toml. An unknown setting is refused wherever it stands: a typo must not mean a default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_serializer, model_validator

from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.wire import SILENT_AFTER, WAIT_MAX

PREFIX = "UNDERLACE_"
SYSTEM_FILE = Path("/etc/underlace/underlace.toml")

AGENT_PREFIX = "UNDERLACE_AGENT_"
"""An agent's own variables, told from two settings of the controller by what comes after it."""


def user_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "underlace" / "underlace.toml"


def _default_data() -> Path:
    """Root runs the system's controller; anybody else runs one of their own."""
    if os.geteuid() == 0:
        return Path("/var/lib/underlace")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "underlace"


def _words(value: object) -> object:
    """An environment variable or flag gives a list as words parted by commas."""
    return [w.strip() for w in value.split(",") if w.strip()] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Settings(BaseModel):
    """Every setting, with its default. The description is the reference page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(
        default_factory=_default_data,
        description="Directory of the controller: store, CA, admin context. One controller at a time uses it.",
    )
    database: str | None = Field(
        default=None,
        description="postgresql://USER@HOST/NAME in place of a store in `data`; several controllers may share it. "
        "There is no flag for it, since it may hold a password; better have that in a file (PGPASSFILE).",
    )
    listen: Words = Field(
        default=("127.0.0.1:8443",), description="ADDRESS:PORT, several by commas, of the API (HTTPS)."
    )
    agent_listen: Words = Field(
        default=(),
        description="ADDRESS:PORT for agents alone; agents may use `listen` when there is none.",
    )
    agent_netns: Path | None = Field(
        default=None,
        description="File of the network namespace in which `agent_listen` is bound, e.g. /run/netns/mgmt.",
    )
    server_names: Words = Field(
        default=(),
        description="Further host names and addresses for the server certificate, beside those of `listen`.",
    )
    certificate: Path | None = Field(
        default=None, description="PEM chain for the API in place of a certificate of the controller's own CA."
    )
    private_key: Path | None = Field(default=None, description="PEM key of `certificate`.")
    certificate_ca: Path | None = Field(
        default=None, description="PEM of the CA behind `certificate`, for the context that commands use."
    )
    device_certificate_days: int = Field(default=90, ge=1, le=825, description="Lifetime of a device's certificate.")
    enrolment_hours: int = Field(default=24, ge=1, le=720, description="How long an enrolment token may be used.")
    silent_seconds: int = Field(
        default=int(SILENT_AFTER),
        ge=10,
        le=86_400,
        description="A device whose agent was not heard for longer is shown as silent, and the fabric is not Active. "
        f"An agent that lives is heard at least every {WAIT_MAX:.0f} seconds.",
    )
    simulated: bool = Field(
        default=False,
        description="Every answer says that the devices are those of a lab. A store is of one sort for good.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Events of the controller from this level on go to standard error."
    )
    context: Path | None = Field(
        default=None, description="File with URL, CA and token that commands use to reach a controller."
    )

    @field_serializer("database")
    def _without_password(self, url: str | None) -> str | None:
        return None if url is None else re.sub(r"(//[^:@/]*):[^@]*@", r"\1:***@", url)

    @model_validator(mode="after")
    def _given_certificate(self) -> Self:
        """A certificate of another CA serves people; agents trust the controller's own CA and nothing else."""
        given = (self.certificate, self.private_key, self.certificate_ca)
        if any(given) and not all(given):
            raise ValueError("certificate, private_key and certificate_ca are given together or not at all")
        if self.certificate and not self.agent_listen:
            raise ValueError("with a certificate of its own the API cannot serve agents: set agent_listen too")
        if not self.listen:
            raise ValueError("listen names no address")
        return self


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each name the place that decided it ("default", "flag --data", "file ...")."""

    settings: Settings
    origins: Mapping[str, str]


def load(
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Merge all sources; Refused with every fault at once, each at the place where it was written.

    flags: by setting's name; None means not given.
    """
    environment = os.environ if environment is None else environment
    faults: list[Diagnostic] = []
    layers = [
        (name, value, f"file {file}") for file in _files(config, environment) for name, value in _read(file, faults)
    ]
    layers += [
        (variable.removeprefix(PREFIX).lower(), value, f"environment {variable}")
        for variable, value in environment.items()
        if _is_setting(variable)
    ]
    layers += [(n, v, f"flag --{n.replace('_', '-')}") for n, v in (flags or {}).items() if v is not None]
    faults += [_unknown(name, origin) for name, _, origin in layers if name not in Settings.model_fields]
    known = [layer for layer in layers if layer[0] in Settings.model_fields]
    values = {name: value for name, value, _ in known}
    origins = {name: origin for name, _, origin in known}
    try:
        settings = Settings(**values)
    except ValidationError as fault:
        faults += [_invalid(e["loc"], e["msg"], origins) for e in fault.errors()]
        raise Refused(faults) from None
    if faults:
        raise Refused(faults)
    return Loaded(settings, {name: origins.get(name, "default") for name in Settings.model_fields})


def _is_setting(variable: str) -> bool:
    """Whether a variable is meant as a setting: it is refused when there is no such setting."""
    if variable.startswith(AGENT_PREFIX):
        return variable.removeprefix(PREFIX).lower() in Settings.model_fields
    return variable.startswith(PREFIX) and variable != "UNDERLACE_CONFIG"


def _files(config: Path | None, environment: Mapping[str, str]) -> list[Path]:
    """Lowest precedence first. A file that was named must exist; the usual ones need not."""
    named = config or (Path(environment["UNDERLACE_CONFIG"]) if environment.get("UNDERLACE_CONFIG") else None)
    if named is not None:
        return [named]
    return [f for f in (SYSTEM_FILE, user_file()) if f.exists()]


def _read(file: Path, faults: list[Diagnostic]) -> list[tuple[str, Any]]:
    try:
        return list(tomllib.loads(file.read_text("utf-8")).items())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        faults.append(
            Diagnostic(
                Where(file=str(file)),
                "settings-unreadable",
                "A settings file cannot be read",
                str(fault),
                "Mend the file, or name another: --config FILE",
            )
        )
        return []


def _unknown(name: str, origin: str) -> Diagnostic:
    return Diagnostic(
        Where(file=origin.removeprefix("file ").strip()),
        "setting-unknown",
        "There is no such setting",
        f"{name!r} is none of {', '.join(Settings.model_fields)}.",
        "See what there is: underlace config show",
    )


def _invalid(where: tuple[int | str, ...], message: str, origins: Mapping[str, str]) -> Diagnostic:
    name = str(where[0]) if where else ""
    return Diagnostic(
        Where(file=origins.get(name, "default").removeprefix("file ")),
        "setting-invalid",
        "A setting has a value that it cannot have",
        f"{name}: {message}".removeprefix(": "),
        "See what is in force, and from where: underlace config show",
    )
