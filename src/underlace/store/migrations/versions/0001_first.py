"""The first schema: resources and their history, what is derived from them, numbers, fragments, devices."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
TABLES = (
    "meta",
    "revision",
    "resource",
    "history",
    "ref",
    "label",
    "claim",
    "mark",
    "watch",
    "number",
    "need",
    "cursor",
    "quarantine",
    "touch",
    "fragment",
    "blob",
    "held",
    "device",
    "audit",
)


def upgrade() -> None:
    _meta()
    _revision()
    _resource()
    _history()
    _ref()
    _label()
    _claim()
    _mark()
    _watch()
    _number()
    _need()
    _cursor()
    _quarantine()
    _touch()
    _fragment()
    _blob()
    _held()
    _device()
    _audit()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _meta() -> None:
    op.create_table(
        "meta",
        Column("name", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("value", Text, nullable=False),
        sqlite_with_rowid=False,
    )


def _revision() -> None:
    op.create_table(
        "revision",
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("at", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("message", Text, nullable=False),
    )


def _resource() -> None:
    op.create_table(
        "resource",
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("tenant", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("labels", Text, nullable=False),
        Column("spec", Text, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("created", Text, nullable=False),
    )
    op.create_index("resource_identity", "resource", ["kind", "tenant", "name"], unique=True)
    op.create_index("resource_tenant", "resource", ["tenant", "kind", "name"])


def _history() -> None:
    op.create_table(
        "history",
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("revision", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("tenant", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("labels", Text, nullable=False),
        Column("spec", Text),
        sqlite_with_rowid=False,
    )
    op.create_index("history_identity", "history", ["kind", "tenant", "name", "revision"])
    op.create_index("history_revision", "history", ["revision"])


def _ref() -> None:
    op.create_table(
        "ref",
        Column("src", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("kind", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("tenant", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("name", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("pointer", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("soft", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ref_target", "ref", ["kind", "tenant", "name", "src"])


def _label() -> None:
    op.create_table(
        "label",
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("key", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("value", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("label_value", "label", ["key", "value", "id"])


def _claim() -> None:
    op.create_table(
        "claim",
        Column("space", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("low", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("high", Text, nullable=False),
        Column("id", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("claim_id", "claim", ["id"])


def _mark() -> None:
    op.create_table(
        "mark",
        Column("space", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("value", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("mark_id", "mark", ["id"])


def _watch() -> None:
    op.create_table(
        "watch",
        Column("space", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("by_device", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("watch_id", "watch", ["id"])


def _number() -> None:
    op.create_table(
        "number",
        Column("pool", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("value", BigInteger, primary_key=True, nullable=False, autoincrement=False),
        Column("owner", Integer),
        Column("slot", Text, nullable=False),
        Column("device", Text, nullable=False),
        Column("waiting", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("number_owner", "number", ["owner", "device", "slot"])
    op.create_index("number_waiting", "number", ["waiting", "owner"])


def _need() -> None:
    op.create_table(
        "need",
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("owner", Integer, primary_key=True, nullable=False, autoincrement=False),
        Column("slot", Text, primary_key=True, nullable=False, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("need_owner", "need", ["owner", "slot", "id"])


def _cursor() -> None:
    op.create_table(
        "cursor",
        Column("pool", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("value", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        Column("pool", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("value", BigInteger, primary_key=True, nullable=False, autoincrement=False),
        Column("device", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("revision", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("quarantine_device", "quarantine", ["device"])


def _touch() -> None:
    op.create_table(
        "touch",
        Column("device", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("scope", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("id", Integer, primary_key=True, nullable=False, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_index("touch_id", "touch", ["id"])


def _fragment() -> None:
    op.create_table(
        "fragment",
        Column("device", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("scope", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("hash", Text, nullable=False),
        Column("revision", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("fragment_hash", "fragment", ["hash"])


def _blob() -> None:
    op.create_table(
        "blob",
        Column("hash", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("body", Text, nullable=False),
    )


def _held() -> None:
    op.create_table(
        "held",
        Column("device", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("scope", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("hash", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("held_hash", "held", ["hash"])


def _device() -> None:
    op.create_table(
        "device",
        Column("name", Text, primary_key=True, nullable=False, autoincrement=False),
        Column("desired", BigInteger, nullable=False),
        Column("offered", BigInteger, nullable=False),
        Column("confirmed", BigInteger, nullable=False),
        Column("reported", BigInteger, nullable=False),
        Column("digest", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("last_seen", Text, nullable=False),
        Column("agent_version", Text, nullable=False),
        Column("driver", Text, nullable=False),
        Column("os_version", Text, nullable=False),
        Column("diagnostics", Text, nullable=False),
        Column("drift", Text, nullable=False),
        Column("rejected", Text, nullable=False),
        Column("simulated", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )


def _audit() -> None:
    op.create_table(
        "audit",
        Column("id", Integer, primary_key=True, autoincrement=True),
        Column("at", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("target", Text, nullable=False),
        Column("detail", Text, nullable=False),
    )
