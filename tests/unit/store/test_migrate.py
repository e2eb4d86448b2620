"""Opening stores: new, of this release, of a newer one, and after a migration that failed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData

from underlace.model.diagnostic import Refused
from underlace.store import identity, migrate, schema
from underlace.store.store import Store

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def everything() -> MetaData:
    """All tables of this release."""
    whole = MetaData()
    for part in (schema.metadata, identity.IDENTITY):
        for table in part.tables.values():
            table.to_metadata(whole)
    return whole


def test_migrations_lead_to_the_tables_of_this_release(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.sqlite")
    with store.read() as c:
        context = MigrationContext.configure(c, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, everything()) == []
        found = c.exec_driver_sql("SELECT name, wr FROM pragma_table_list WHERE schema = 'main'")
        rowids = {row[0]: bool(row[1]) for row in found}
        for table in schema.metadata.tables.values():
            without = table.dialect_options["sqlite"]["with_rowid"] is False
            assert rowids[table.name] == without, table.name
    store.close()


def test_a_store_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as c, c:
        c.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Refused) as refused:
        Store.open(path)
    (finding,) = refused.value.diagnostics
    assert finding.code == "store-too-new"
    assert "9999" in finding.detail
    assert migrate.revisions()[-1] in finding.detail


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.sqlite"
    broken = tmp_path / "migrations"
    (broken / "versions").mkdir(parents=True)
    (broken / "env.py").write_text((migrate.MIGRATIONS / "env.py").read_text())
    (broken / "versions" / "0001_fails.py").write_text(
        "from alembic import op\n"
        "from sqlalchemy import Column, Integer\n"
        "revision, down_revision, branch_labels, depends_on = '0001', None, None, None\n"
        "def upgrade():\n"
        "    op.create_table('half', Column('id', Integer, primary_key=True))\n"
        "    raise RuntimeError('power cut')\n"
    )
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "MIGRATIONS", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            Store.open(path)
    with closing(sqlite3.connect(path)) as c:
        assert c.execute("SELECT name FROM sqlite_master").fetchall() == []
    Store.open(path).close()


def test_a_store_that_is_up_to_date_is_only_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.sqlite"
    Store.open(path).close()
    monkeypatch.setattr(migrate, "_upgrade", lambda c: pytest.fail("nothing to migrate"))
    Store.open(path).close()
