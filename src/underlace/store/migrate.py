"""Bring a store to the schema of this release, all or nothing; refuse one of a newer release."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from underlace.model.diagnostic import Diagnostic, Refused, Where

MIGRATIONS = Path(__file__).parent / "migrations"


def revisions() -> list[str]:
    """The schema revisions that this release knows, oldest first: the files' names begin with them."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def schema_revision(connection: Connection) -> str:
    """The schema revision of a store, "" for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def migrate(engine: Engine) -> None:
    """Run the missing migrations in one transaction. A store that is up to date is only looked at."""
    known = revisions()
    with engine.begin() as connection:
        found = schema_revision(connection)
        if found == known[-1]:
            return
        if found and found not in known:
            raise Refused([_newer(found, known[-1])])
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    # Imported here: alembic costs a quarter of a second that a start with nothing to migrate need not pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _newer(found: str, newest: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "store-too-new",
        "The store was written by a newer release",
        f"Its schema is {found}; this release knows schemas up to {newest}.",
        "Start the newer release, or restore a backup that this release made.",
    )
