"""Identity: tokens, enrolments, device certificates and their revocation."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, String, Text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tokens",
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
    op.create_table(
        "enrolments",
        Column("id", String(16), primary_key=True),
        Column("device", String(255), nullable=False, index=True),
        Column("secret_hash", LargeBinary(32), nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("created_by", String(255), nullable=False),
        Column("expires", BigInteger, nullable=False),
        Column("used", BigInteger, nullable=True, comment="when it was used or withdrawn"),
    )
    op.create_table(
        "device_certificates",
        Column("serial", String(64), primary_key=True),
        Column("device", String(255), nullable=False, index=True),
        Column("not_before", BigInteger, nullable=False),
        Column("not_after", BigInteger, nullable=False),
        Column("revoked", BigInteger, nullable=True),
    )
    op.create_table(
        "device_revocations",
        Column("device", String(255), primary_key=True),
        Column("at", BigInteger, nullable=False, comment="no certificate issued until then is good"),
    )


def downgrade() -> None:
    for table in ("device_revocations", "device_certificates", "enrolments", "tokens"):
        op.drop_table(table)
