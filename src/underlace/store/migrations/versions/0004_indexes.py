"""Fewer indexes: each is a page more for every change to write, and at a million VPCs a hundred megabytes."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("resource_tenant", "resource")
    op.drop_index("number_waiting", "number")
    op.create_index(
        "number_waits",
        "number",
        ["owner"],
        sqlite_where=text("waiting IS 1"),
        postgresql_where=text("waiting IS TRUE"),
    )


def downgrade() -> None:
    op.drop_index("number_waits", "number")
    op.create_index("number_waiting", "number", ["waiting", "owner"])
    op.create_index("resource_tenant", "resource", ["tenant", "kind", "name"])
