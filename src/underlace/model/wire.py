"""What an agent and the controller say to each other: protocol `agent/v1`, JSON over mutual TLS.

The version travels in the header `Underlace-Agent`; the controller accepts its own and the one before.

    POST /agent/v1/enrol       EnrolRequest    -> Credentials   (one-time token, no client certificate)
    POST /agent/v1/renew       RenewRequest    -> Credentials
    POST /agent/v1/desired     DesiredRequest  -> Manifest, or 204 when nothing changed within `wait` seconds
    POST /agent/v1/fragments   FragmentRequest -> Fragments     (409 when a hash is no longer desired: ask again)
    POST /agent/v1/report      Report          -> Receipt
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from underlace.model.diagnostic import Diagnostic

PROTOCOL = 1
HEADER = "Underlace-Agent"

WAIT_MAX = 60.0
"""Seconds that a request may wait for a change, whatever it asks for: middleboxes forget idle connections. So an
agent that lives is heard at least as often."""

SILENT_AFTER = 1.5 * WAIT_MAX
"""Seconds without a request after which an agent counts as silent: it missed one, and had time to try again."""

Short = Annotated[str, msgspec.Meta(max_length=128)]
"""Names, digests and versions: a device is believed about itself, but does not fill the controller's store."""


UPGRADE_PENDING = "upgrade-pending"
"""The device holds its state as a former release of its agent has configured it; the next change brings the rest."""

CANNOT = "device-cannot"
"""Code of a finding that a device lacks what its OS has; its pointer is "/" and a name of `Capabilities`."""

LASTING = frozenset({"address-claimed-twice", CANNOT, UPGRADE_PENDING})
"""Codes of findings that are in every report for as long as they hold; any other one is told once."""


class EnrolRequest(msgspec.Struct, frozen=True):
    """csr: PEM, its common name is the device."""

    device: str
    token: str
    csr: str


class RenewRequest(msgspec.Struct, frozen=True):
    csr: str


class Credentials(msgspec.Struct, frozen=True):
    """PEM of the device's certificate and of the controller's CA."""

    certificate: str
    ca: str


class DesiredRequest(msgspec.Struct, frozen=True):
    """have: digest of the manifest that the agent works on, "" for none; wait: seconds to hold the request."""

    have: str = ""
    wait: float = 0.0


class Manifest(msgspec.Struct, frozen=True):
    """What a device should hold. scopes: {scope: fragment hash}. digest names the scopes alone, not the revision.

    confirm_within: seconds after an apply in which the agent needs a Receipt that confirms, else it reverts.
    """

    device: str
    revision: int
    digest: str
    scopes: dict[str, str]
    confirm_within: float = 60.0


_canonical = msgspec.json.Encoder(order="sorted")


def manifest_digest(scopes: Mapping[str, str]) -> str:
    """The digest of a manifest: SHA-256 of {scope: fragment hash} as canonical JSON, hexadecimal."""
    return hashlib.sha256(_canonical.encode(scopes)).hexdigest()


class FragmentRequest(msgspec.Struct, frozen=True):
    hashes: tuple[str, ...]


class Fragments(msgspec.Struct, frozen=True):
    """{hash: canonical bytes as text}; the agent checks each hash."""

    bodies: dict[str, str]


class Outcome(StrEnum):
    APPLIED = "applied"
    """Applied and read back; waits for confirm."""
    HELD = "held"
    """Confirmed state, read and found in place (also after an agent's restart, from its cache)."""
    REVERTED = "reverted"
    """Apply or check failed, or no confirm came: the last good state is back."""
    FAILED = "failed"
    """Neither the new nor the last good state could be reached."""


class Report(msgspec.Struct, frozen=True):
    """What a device holds. digest, scopes, revision: of the manifest that is in place on the device.

    rejected: digest of a manifest that the agent gave up, "" for none. drift: scopes in which owned state had been
    changed by someone else and was mended since the last report.
    """

    device: Short
    outcome: Outcome
    revision: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    digest: Short
    scopes: dict[Short, Short]
    agent_version: Short
    driver: Short
    os_version: Short
    rejected: Short = ""
    drift: Annotated[tuple[Short, ...], msgspec.Meta(max_length=10_000)] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    simulated: bool = False


class Receipt(msgspec.Struct, frozen=True):
    """confirmed: digest of the manifest that may be kept and written to boot files, "" for none."""

    confirmed: str = ""
