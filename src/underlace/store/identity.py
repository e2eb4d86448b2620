"""Rows of identity: tokens, enrolments and device certificates.

No secret is ever stored: a token and an enrolment leave a hash. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from underlace.store import ledger, schema
from underlace.store.store import Store

T = TypeVar("T")
Transaction = Connection
"""What a write works on; callers only hand it through."""

IDENTITY = MetaData()
"""Created by migration 0002; it has no foreign key into the tables of intent, and intent has none into it."""

tokens = Table(
    "tokens",
    IDENTITY,
    Column("id", String(16), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("role", String(16), nullable=False),
    Column("tenants", Text, nullable=False, comment="names, one a line"),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("expires", BigInteger, nullable=True),
    Column("revoked", BigInteger, nullable=True),
)

enrolments = Table(
    "enrolments",
    IDENTITY,
    Column("id", String(16), primary_key=True),
    Column("device", String(255), nullable=False, index=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=True, comment="when it was used or withdrawn"),
)

certificates = Table(
    "device_certificates",
    IDENTITY,
    Column("serial", String(64), primary_key=True),
    Column("device", String(255), nullable=False, index=True),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("revoked", BigInteger, nullable=True),
)

revocations = Table(
    "device_revocations",
    IDENTITY,
    Column("device", String(255), primary_key=True),
    Column("at", BigInteger, nullable=False, comment="no certificate issued until then is good"),
)


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: str
    name: str
    secret_hash: bytes
    role: str
    tenants: tuple[str, ...]
    created: int
    created_by: str
    expires: int | None = None
    revoked: int | None = None


@dataclass(frozen=True, slots=True)
class EnrolmentRow:
    id: str
    device: str
    secret_hash: bytes
    created: int
    created_by: str
    expires: int
    used: int | None = None


@dataclass(frozen=True, slots=True)
class CertificateRow:
    serial: str
    device: str
    not_before: int
    not_after: int
    revoked: int | None = None


class IdentityStore:
    """Bare reads and writes; a write belongs to the transaction that the caller opened with `write`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, work: Callable[[Connection], T]) -> T:
        """One transaction: all of what `work` writes, or nothing when it raises."""
        return self._store.write(work)

    def token(self, token_id: str) -> TokenRow | None:
        with self._store.read() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == token_id)).mappings().first()
        return TokenRow(**{**row, "tenants": tuple(row["tenants"].splitlines())}) if row else None

    def tokens(self) -> list[TokenRow]:
        with self._store.read() as connection:
            rows = connection.execute(select(tokens).order_by(tokens.c.created, tokens.c.id)).mappings().all()
        return [TokenRow(**{**row, "tenants": tuple(row["tenants"].splitlines())}) for row in rows]

    def tenants(self) -> list[str]:
        """The tenants that there are, for tokens that speak for them."""
        query = select(schema.resource.c.name).where(schema.resource.c.kind == "tenant")
        with self._store.read() as connection:
            return list(connection.execute(query.order_by(schema.resource.c.name)).scalars())

    def add_token(self, connection: Connection, row: TokenRow) -> None:
        connection.execute(insert(tokens).values(**{**_values(row), "tenants": "\n".join(row.tenants)}))

    def revoke_token(self, connection: Connection, token_id: str, at: int) -> bool:
        """Whether there was such a token, not yet revoked."""
        done = connection.execute(
            update(tokens).where(tokens.c.id == token_id, tokens.c.revoked.is_(None)).values(revoked=at)
        )
        return done.rowcount == 1

    def enrolment(self, enrolment_id: str) -> EnrolmentRow | None:
        with self._store.read() as connection:
            found = connection.execute(select(enrolments).where(enrolments.c.id == enrolment_id)).mappings().first()
        return EnrolmentRow(**found) if found else None

    def add_enrolment(self, connection: Connection, row: EnrolmentRow) -> None:
        connection.execute(insert(enrolments).values(**_values(row)))

    def use_enrolment(self, connection: Connection, enrolment_id: str, at: int) -> bool:
        """Whether it could still be used: of two that try at the same time, the database lets one."""
        usable = (enrolments.c.id == enrolment_id, enrolments.c.used.is_(None), enrolments.c.expires > at)
        return connection.execute(update(enrolments).where(*usable).values(used=at)).rowcount == 1

    def withdraw_enrolments(self, connection: Connection, device: str, at: int) -> None:
        unused = (enrolments.c.device == device, enrolments.c.used.is_(None))
        connection.execute(update(enrolments).where(*unused).values(used=at))

    def certificate(self, serial: str) -> CertificateRow | None:
        with self._store.read() as connection:
            found = connection.execute(select(certificates).where(certificates.c.serial == serial)).mappings().first()
        return CertificateRow(**found) if found else None

    def certificates(self, device: str) -> list[CertificateRow]:
        query = select(certificates).where(certificates.c.device == device).order_by(certificates.c.not_before)
        with self._store.read() as connection:
            return [CertificateRow(**row) for row in connection.execute(query).mappings()]

    def add_certificate(self, connection: Connection, row: CertificateRow) -> None:
        connection.execute(insert(certificates).values(**_values(row)))

    def revoke_certificates(self, connection: Connection, device: str, at: int) -> None:
        """Those that the store knows, and by date those that it does not."""
        valid = (certificates.c.device == device, certificates.c.revoked.is_(None))
        connection.execute(update(certificates).where(*valid).values(revoked=at))
        connection.execute(delete(revocations).where(revocations.c.device == device))
        connection.execute(insert(revocations).values(device=device, at=at))

    def last_revocation(self, device: str) -> int | None:
        """When the device was last forgotten."""
        with self._store.read() as connection:
            return connection.execute(select(revocations.c.at).where(revocations.c.device == device)).scalar()

    def fact(self, connection: Connection, name: str, value: str) -> str:
        """A fact of the store; the first to ask says what it is."""
        known = ledger.facts(connection).get(name)
        if known is None:
            ledger.set_fact(connection, name, value)
        return known or value

    def record(self, connection: Connection, at: datetime, actor: str, action: str, target: str, detail: str) -> None:
        """One line of the audit, in the transaction that does what it says."""
        ledger.write_audit(connection, ledger.stamp(at), actor, action, target, detail)


def _values(row: TokenRow | EnrolmentRow | CertificateRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
