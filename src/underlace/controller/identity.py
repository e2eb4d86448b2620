"""Use cases of identity: who a caller is, tokens for people and programs, certificates for devices.

    a token       ul_<id>_<secret>       id finds the row, the secret proves it
    an enrolment  ule_<id>_<secret>      once, for one device, for a day

A secret is 256 random bits, so SHA-256 keeps it as well as a slow hash would: there is no guessing to slow down, and
a request costs microseconds where argon2 would cost tens of milliseconds. Passwords, if there ever are any, are
guessable and need argon2.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from underlace.access import CONTROLLER, TOKEN_ROLES, Actor, Role, Use, decide_use, device_actor, forbidden
from underlace.access.decision import Decision
from underlace.controller.authority import Authority, BadRequest, Clock, DeviceCertificate, read_device, utc_now
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import is_hostname, is_name
from underlace.store.identity import CertificateRow, EnrolmentRow, IdentityStore, TokenRow, Transaction

TOKEN_PREFIX = "ul"  # noqa: S105 - the visible part of a token, for secret scanners to know it by
ENROLMENT_PREFIX = "ule"
FIRST_TOKEN = "first-admin"  # noqa: S105 - a name
AUTHORITY = "authority"
"""Fact of a shared store: SHA-256 of the public key of its controllers' CA."""
RECOVERED_TOKEN = "recovered-admin"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token as it may be shown: never its secret."""

    id: str
    name: str
    role: str
    tenants: tuple[str, ...]
    created: int
    created_by: str
    expires: int | None
    revoked: int | None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token with its text, which nobody can show a second time."""

    info: TokenInfo
    text: str


@dataclass(frozen=True, slots=True)
class IssuedEnrolment:
    device: str
    text: str
    expires: int


class Identity:
    """Every use case takes the actor who asks, decides, and leaves an event."""

    def __init__(
        self,
        store: IdentityStore,
        authority: Authority,
        enrolment_lifetime: timedelta = timedelta(hours=24),
        now: Clock = utc_now,
    ) -> None:
        self._store = store
        self._authority = authority
        self._enrolment_lifetime = enrolment_lifetime
        self._now = now

    @property
    def ca_pem(self) -> str:
        return self._authority.ca_pem

    def share(self) -> None:
        """Be one of several controllers of a store. Refused when they would not be of one CA: no device that one of
        them enrolled would trust another."""
        own = self._authority.key_digest
        known = self._store.write(lambda c: self._store.fact(c, AUTHORITY, own))
        # Releases before noted the certificate, which had no successor with the same key yet.
        if known not in (own, hashlib.sha256(self.ca_pem.encode()).hexdigest()):
            raise Refused([_other_authority()])

    # Who is it?

    def authenticate(self, text: str) -> Actor | None:
        """The actor behind a token, or None: unknown, wrong, expired and revoked are not told apart."""
        parts = _parts(text, TOKEN_PREFIX)
        row = self._store.token(parts[0]) if parts else None
        if parts is None or row is None or not hmac.compare_digest(row.secret_hash, _hash(parts[1])):
            return None
        if row.revoked is not None or (row.expires is not None and row.expires <= self._seconds()):
            return None
        return Actor(row.name, Role(row.role), frozenset(row.tenants))

    def authenticate_device(self, der: bytes) -> Actor | None:
        """The device behind a client certificate whose chain and dates the TLS handshake has checked.

        A certificate that the store does not know was issued after the backup that the store was restored from: it is
        good unless the device was forgotten since.
        """
        shown = read_device(der)
        row = self._store.certificate(shown.serial)
        if row is not None:
            return device_actor(row.device) if row.revoked is None else None
        forgotten = self._store.last_revocation(shown.device)
        if not shown.device or (forgotten is not None and shown.not_before.timestamp() <= forgotten):
            return None
        return device_actor(shown.device)

    # Tokens

    def create_token(
        self,
        actor: Actor,
        name: str,
        role: Role,
        tenants: Iterable[str] = (),
        lifetime: timedelta | None = None,
    ) -> IssuedToken:
        _require(actor, Use.MANAGE_IDENTITY, "manage tokens")
        tenants = tuple(sorted(set(tenants)))
        _check_token(name, role, tenants, lifetime)
        self._check_tenants(tenants)
        token_id, secret = _new_secret()
        now = self._seconds()
        expires = None if lifetime is None else now + int(lifetime.total_seconds())
        row = TokenRow(token_id, name, _hash(secret), role.value, tenants, now, actor.name, expires)

        def add(transaction: Transaction) -> None:
            self._store.add_token(transaction, row)
            self._record(transaction, actor, "token-created", token_id, f"{name} role={role}")

        self._store.write(add)
        return IssuedToken(_info(row), f"{TOKEN_PREFIX}_{token_id}_{secret}")

    def _check_tenants(self, tenants: tuple[str, ...]) -> None:
        """A misspelt tenant would be a token that sees nothing, or one day what somebody of that name makes."""
        known = self._store.tenants() if tenants else []
        unknown = [t for t in tenants if t not in known]
        if unknown:
            raise Refused(_no_tenant(name, known) for name in unknown)

    def list_tokens(self, actor: Actor) -> list[TokenInfo]:
        _require(actor, Use.MANAGE_IDENTITY, "manage tokens")
        return [_info(row) for row in self._store.tokens()]

    def revoke_token(self, actor: Actor, token_id: str) -> None:
        _require(actor, Use.MANAGE_IDENTITY, "manage tokens")

        def revoke(transaction: Transaction) -> None:
            if not self._store.revoke_token(transaction, token_id, self._seconds()):
                raise Refused([_no_token(token_id)])
            self._record(transaction, actor, "token-revoked", token_id)

        self._store.write(revoke)

    def first_token(self) -> IssuedToken | None:
        """The admin's token of a new controller; None when there ever was a token."""
        if self._store.tokens():
            return None
        return self.create_token(CONTROLLER, FIRST_TOKEN, Role.ADMIN)

    def recovery_token(self) -> IssuedToken:
        """Another token for an administrator who has lost theirs but owns the data directory."""
        return self.create_token(CONTROLLER, RECOVERED_TOKEN, Role.ADMIN)

    # Devices

    def create_enrolment(self, actor: Actor, device: str) -> IssuedEnrolment:
        """A one-time token for a device; earlier unused ones of that device are withdrawn."""
        _require(actor, Use.MANAGE_DEVICES, "enrol devices")
        if not is_hostname(device):
            raise Refused([_bad_device(device)])
        enrolment_id, secret = _new_secret()
        now = self._seconds()
        expires = now + int(self._enrolment_lifetime.total_seconds())
        row = EnrolmentRow(enrolment_id, device, _hash(secret), now, actor.name, expires)

        def replace(transaction: Transaction) -> None:
            self._store.withdraw_enrolments(transaction, device, now)
            self._store.add_enrolment(transaction, row)
            self._record(transaction, actor, "enrolment-created", device, enrolment_id)

        self._store.write(replace)
        return IssuedEnrolment(device, f"{ENROLMENT_PREFIX}_{enrolment_id}_{secret}", expires)

    def enrol(self, device: str, text: str, csr: str) -> str | None:
        """A certificate for the device that shows its enrolment token; None when the token is not good for it.

        A certificate request at fault (Refused) does not use the token up.
        """
        parts = _parts(text, ENROLMENT_PREFIX)
        row = self._store.enrolment(parts[0]) if parts else None
        if parts is None or row is None or not hmac.compare_digest(row.secret_hash, _hash(parts[1])):
            return None
        now = self._seconds()
        if row.device != device or row.used is not None or row.expires <= now:
            return None
        issued = self._sign(csr, device)

        def use(transaction: Transaction) -> bool:
            if not self._store.use_enrolment(transaction, row.id, now):
                return False
            self._keep(transaction, issued)
            self._record(transaction, device_actor(device), "device-enrolled", device, f"serial={issued.serial}")
            return True

        return issued.pem if self._store.write(use) else None

    def renew(self, actor: Actor, csr: str) -> str:
        """A new certificate for the device that shows a good one."""
        if actor.role is not Role.DEVICE:
            raise Refused([forbidden(actor, "renew a device certificate")])
        issued = self._sign(csr, actor.name)

        def keep(transaction: Transaction) -> None:
            self._keep(transaction, issued)
            self._record(transaction, actor, "device-renewed", actor.name, f"serial={issued.serial}")

        self._store.write(keep)
        return issued.pem

    def revoke_device(self, actor: Actor, device: str) -> None:
        """No certificate and no enrolment of this device is good any more."""
        _require(actor, Use.MANAGE_DEVICES, "forget devices")
        now = self._seconds()

        def revoke(transaction: Transaction) -> None:
            self._store.withdraw_enrolments(transaction, device, now)
            self._store.revoke_certificates(transaction, device, now)
            self._record(transaction, actor, "device-revoked", device)

        self._store.write(revoke)

    def _sign(self, csr: str, device: str) -> DeviceCertificate:
        try:
            return self._authority.sign_device(csr, device)
        except BadRequest as fault:
            raise Refused([_bad_request(device, str(fault))]) from None

    def _keep(self, transaction: Transaction, issued: DeviceCertificate) -> None:
        row = CertificateRow(
            issued.serial, issued.device, int(issued.not_before.timestamp()), int(issued.not_after.timestamp())
        )
        self._store.add_certificate(transaction, row)

    def _record(self, transaction: Transaction, actor: Actor, action: str, subject: str, detail: str = "") -> None:
        self._store.record(transaction, self._now(), actor.name, action, subject, detail)

    def _seconds(self) -> int:
        return int(self._now().timestamp())


def _new_secret() -> tuple[str, str]:
    """An id to find the row by and 256 bits to prove it, both without "_", which parts them."""
    letters = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    return letters, secrets.token_hex(32)


def _other_authority() -> Diagnostic:
    return Diagnostic(
        Where(),
        "other-authority",
        "The controllers of a database have one CA",
        "The CA in this controller's data directory is not that of the controllers who share the database.",
        "Stop it, replace the directory ca/ in its data directory by a copy of another's, and start it again.",
    )


def _parts(text: str, prefix: str) -> tuple[str, str] | None:
    parts = text.split("_")
    if len(parts) != 3 or parts[0] != prefix or not text.isascii():
        return None
    return parts[1], parts[2]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _info(row: TokenRow) -> TokenInfo:
    return TokenInfo(row.id, row.name, row.role, row.tenants, row.created, row.created_by, row.expires, row.revoked)


def _require(actor: Actor, use: Use, what: str) -> None:
    if decide_use(actor, use) is not Decision.ALLOW:
        raise Refused([forbidden(actor, what)])


def _check_token(name: str, role: Role, tenants: tuple[str, ...], lifetime: timedelta | None) -> None:
    faults = []
    if not is_name(name):
        faults.append(("/name", f"{name!r} is not a name.", "Use letters, digits, blanks and ._:@/()+#-"))
    if role not in TOKEN_ROLES:
        faults.append(("/role", f"A token cannot have the role {role}.", "Use admin, operator, reader or tenant"))
    if (role is Role.TENANT) != bool(tenants):
        detail = "A tenant's token names its tenants, and no other token does."
        faults.append(("/tenants", detail, "Give --tenant NAME with --role tenant, and only then"))
    if any(not is_name(t) for t in tenants):
        faults.append(("/tenants", "A tenant's name is not a name.", "List the tenants: underlace get tenant"))
    if lifetime is not None and lifetime <= timedelta():
        faults.append(("/expires_in", "A token cannot expire before it is made.", "Give a number of seconds above 0"))
    if faults:
        summary = "The token asked for is not possible"
        raise Refused(Diagnostic(Where("token", p), "token-invalid", summary, d, r) for p, d, r in faults)


def _no_tenant(name: str, known: list[str]) -> Diagnostic:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return Diagnostic(
        Where("token", "/tenants"),
        "unknown-tenant",
        "There is no such tenant",
        f"{name!r} is none of the {len(known)} tenants.",
        f"Did you mean {near[0]}?" if near else "Create the tenant first, or list them: underlace get tenant",
    )


def _no_token(token_id: str) -> Diagnostic:
    return Diagnostic(
        Where(f"token/{token_id}"[:80]),
        "not-found",
        "There is no such token in force",
        "It never existed, or is revoked already.",
        "List the tokens: underlace token list",
    )


def _bad_device(device: str) -> Diagnostic:
    return Diagnostic(
        Where(device=device[:80]),
        "device-invalid",
        "This cannot be the name of a device",
        "A device is named by lower case letters, digits, dots and hyphens, at most 63.",
        "List the devices: underlace device list",
    )


def _bad_request(device: str, why: str) -> Diagnostic:
    return Diagnostic(
        Where(device=device),
        "csr-invalid",
        "The certificate request cannot be signed",
        why,
        "Make a new key and request, with the device's name as common name",
    )
