"""Half the bytes: a version is stored once, references and touches are narrow, hashes and bodies are bytes.

Each table is written anew beside the old one, which is dropped; all in the one transaction of the migration.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Row,
    Text,
    text,
)

from underlace.model.ids import Ref
from underlace.store.fragments import digest
from underlace.store.rows import place
from underlace.store.squeeze import squeezed

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BATCH = 5_000
_GROWING: dict[str, Any] = {"postgresql_with": {"fillfactor": 100}}
"""Of an index by id or revision: what is new comes at its end, and leaves no gaps to fill."""


def upgrade() -> None:
    c = op.get_bind()
    _history()
    _resource()
    _ref(c)
    _claim()
    _watch(c)
    _pool()
    _number()
    _quarantine()
    _held(c)
    _fragment(c)
    _touch(c)
    op.drop_table("blob")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")


def _must(name: str, kind: type[Any] = Text) -> Column[Any]:
    return Column(name, kind, nullable=False, autoincrement=False)


def _replace(
    name: str, fill: Callable[[str], None], columns: Iterable[Column[Any]], key: tuple[str, ...], rowid: bool = False
) -> None:
    """Make the table anew with these columns; `fill` is given its name for the time being."""
    new = f"{name}_new"
    constraint = [PrimaryKeyConstraint(*key)] if key else []
    op.create_table(new, *columns, *constraint, sqlite_with_rowid=rowid)
    fill(new)
    op.drop_table(name)
    op.rename_table(new, name)
    if op.get_context().dialect.name == "postgresql" and key:
        op.execute(f"ALTER INDEX {new}_pkey RENAME TO {name}_pkey")


def _copy(c: Connection, query: str, into: str, rows: Callable[[Row[*tuple[Any, ...]]], tuple[Any, ...]]) -> None:
    """Write what `rows` makes of each row that the query finds, a batch in memory at a time."""
    found = c.execute(text(query).execution_options(yield_per=BATCH))
    made: Iterator[tuple[Any, ...]] = map(rows, found)
    while batch := list(islice(made, BATCH)):
        names = [f"v{i}" for i in range(len(batch[0]))]
        values = ", ".join(f":{n}" for n in names)
        insert = text(f"INSERT INTO {into} VALUES ({values}) ON CONFLICT DO NOTHING")  # noqa: S608 - all our own
        c.execute(insert, [dict(zip(names, row, strict=True)) for row in batch])


def _history() -> None:
    """What is current is in `resource`."""
    op.execute(
        "DELETE FROM history WHERE EXISTS "
        "(SELECT 1 FROM resource r WHERE r.id = history.id AND r.revision = history.revision)"
    )


def _resource() -> None:
    names = ("id", "revision", "kind", "tenant", "name", "labels", "spec")
    columns = [_must(n, Integer if n in ("id", "revision") else Text) for n in names]
    fill = "INSERT INTO resource_new SELECT id, revision, kind, tenant, name, labels, spec FROM resource"
    _replace("resource", lambda _: op.execute(fill), columns, ("id",), rowid=True)
    op.create_index("resource_identity", "resource", ["kind", "tenant", "name"], unique=True)
    op.create_index("resource_revision", "resource", ["revision"], **_GROWING)


def _ref(c: Connection) -> None:
    query = (
        "SELECT DISTINCT ref.src, ref.kind, ref.tenant, ref.name FROM ref JOIN resource r ON r.id = ref.src "
        "WHERE (ref.kind <> 'tenant' OR ref.name <> r.tenant) AND (ref.kind <> 'switch' OR NOT EXISTS "
        "(SELECT 1 FROM ref o WHERE o.src = ref.src AND o.name LIKE '%@' || ref.name))"
    )

    def fill(new: str) -> None:
        _copy(c, query, new, lambda r: (place(Ref(r[1], r[2], r[3])), r[0]))

    columns = (_must("target", BigInteger), _must("src", Integer))
    if c.dialect.name == "sqlite":
        _replace("ref", fill, columns, ("target", "src"))
        return
    # An index that is no key holds a target once, however many refer to it.
    _replace("ref", fill, columns, ())
    op.create_index("ref_target", "ref", ["target"])


def _claim() -> None:
    columns = (_must("id", Integer), _must("space"), _must("low"), Column("high", Text))
    fill = "INSERT INTO claim_new SELECT id, space, low, CASE WHEN high <> low THEN high END FROM claim"
    _replace("claim", lambda _: op.execute(fill), columns, ("space", "low"))
    op.create_index("claim_id", "claim", ["id"])


def _watch(c: Connection) -> None:
    if c.dialect.name == "postgresql":
        op.drop_constraint("watch_pkey", "watch")
        op.create_index("watch_space", "watch", ["space"])


def _pool() -> None:
    op.create_table(
        "pool",
        _must("cursor", BigInteger),
        _must("id", Integer),
        _must("name"),
        PrimaryKeyConstraint("id"),
    )
    op.execute(
        "INSERT INTO pool (id, name, cursor) SELECT CASE WHEN p.pool LIKE 'rd/%' THEN -1 ELSE 1 END * "
        "row_number() OVER (ORDER BY p.pool), p.pool, "
        "coalesce((SELECT k.value FROM cursor k WHERE k.pool = p.pool), 0) FROM "
        "(SELECT pool FROM number UNION SELECT pool FROM cursor UNION SELECT pool FROM quarantine) p"
    )
    op.create_index("pool_name", "pool", ["name"], unique=True)
    op.drop_table("cursor")


def _number() -> None:
    # In this order PostgreSQL puts no gaps between them.
    columns = (
        _must("value", BigInteger),
        _must("pool", Integer),
        Column("owner", Integer),
        _must("waiting", Boolean),
        _must("slot"),
    )
    fill = (
        "INSERT INTO number_new (value, pool, owner, waiting, slot) "
        "SELECT n.value, p.id, n.owner, n.waiting, "
        "CASE WHEN n.slot = n.pool AND n.slot LIKE '%/%' THEN '' ELSE n.slot END "
        "FROM number n JOIN pool p ON p.name = n.pool"
    )
    _replace("number", lambda _: op.execute(fill), columns, ("pool", "value"))
    op.create_index("number_owner", "number", ["owner", "pool"], **_GROWING)
    op.create_index(
        "number_waits",
        "number",
        ["owner"],
        sqlite_where=text("waiting IS 1"),
        postgresql_where=text("waiting IS TRUE"),
    )


def _quarantine() -> None:
    columns = (_must("value", BigInteger), _must("revision", BigInteger), _must("pool", Integer), _must("device"))
    fill = (
        "INSERT INTO quarantine_new (value, revision, pool, device) "
        "SELECT q.value, q.revision, p.id, q.device FROM quarantine q JOIN pool p ON p.name = q.pool"
    )
    _replace("quarantine", lambda _: op.execute(fill), columns, ("pool", "value", "device"))
    op.create_index("quarantine_device", "quarantine", ["device"])


def _body(old: str | None) -> bytes | None:
    """A body as it was stored: squeezed with the first dictionary, or not at all."""
    if old is None:
        return None
    return b"1" + b64decode(old[2:]) if old.startswith("1:") else squeezed(old)


def _held(c: Connection) -> None:
    query = (
        "SELECT h.device, h.scope, h.hash, b.body FROM held h LEFT JOIN fragment f ON f.device = h.device "
        "AND f.scope = h.scope AND f.hash = h.hash LEFT JOIN blob b ON b.hash = h.hash AND f.hash IS NULL"
    )

    def fill(new: str) -> None:
        _copy(c, query, new, lambda r: (r[0], r[1], digest(r[2]), _body(r[3])))

    columns = (_must("device"), _must("scope"), _must("hash", LargeBinary), Column("body", LargeBinary))
    _replace("held", fill, columns, ("device", "scope"))


_FRAGMENTS = (
    "SELECT f.revision, f.device, f.scope, f.hash, (SELECT {} FROM touch t WHERE t.device = f.device AND "
    "t.scope = f.scope), b.body FROM fragment f JOIN blob b ON b.hash = f.hash"
)
_MEMBERS = {"sqlite": "group_concat(t.id, ' ')", "postgresql": "string_agg(CAST(t.id AS TEXT), ' ')"}


def _fragment(c: Connection) -> None:
    """Before the touches are folded into it: they say who is in a fragment."""
    query = _FRAGMENTS.format(_MEMBERS[c.dialect.name])

    def fill(new: str) -> None:
        _copy(c, query, new, lambda r: (r[0], r[1], r[2], digest(r[3]), _sorted(r[4]), _body(r[5])))

    columns = (
        _must("revision", Integer),
        _must("device"),
        _must("scope"),
        _must("hash", LargeBinary),
        _must("members"),
        _must("body", LargeBinary),
    )
    _replace("fragment", fill, columns, ("device", "scope"))


def _sorted(members: str | None) -> str:
    return " ".join(map(str, sorted(map(int, (members or "").split()))))


_TOUCHES = {
    "sqlite": "SELECT id, group_concat(scope || char(9) || device, char(10)) FROM touch GROUP BY id",
    "postgresql": "SELECT id, string_agg(scope || chr(9) || device, chr(10)) FROM touch GROUP BY id",
}


def _lines(pairs: str) -> str:
    devices: dict[str, list[str]] = {}
    for scope, device in sorted(pair.split("\t") for pair in pairs.split("\n")):
        devices.setdefault(scope, []).append(device)
    return "\n".join("\t".join((scope, *found)) for scope, found in devices.items())


def _touch(c: Connection) -> None:
    def fill(new: str) -> None:
        _copy(c, _TOUCHES[c.dialect.name], new, lambda r: (r[0], _lines(r[1])))

    _replace("touch", fill, (_must("id", Integer), _must("fragments")), ("id",), rowid=True)
