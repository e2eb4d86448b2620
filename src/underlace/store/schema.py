"""The tables. One generic table of resources, and what is derived from each beside it as indexed rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

metadata = MetaData()


def _table(name: str, *parts: Column[Any] | Index, rowid: bool = False) -> Table:
    """A table whose primary key is its storage order; rowid: SQLite keeps its own row number as well."""
    return Table(name, metadata, *parts, sqlite_with_rowid=rowid)


def _key(name: str, kind: type[Text] | type[Integer] | type[BigInteger] = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


def _int(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False)


meta = _table("meta", _key("name"), _text("value"))
"""Facts of the store itself, and its counters: "revision" (the last one), "next_id" (never goes back)."""

revision = _table("revision", _key("id", Integer), _text("at"), _text("actor"), _text("message"), rowid=True)

resource = _table(
    "resource",
    _key("id", Integer),
    _text("kind"),
    _text("tenant"),
    _text("name"),
    _text("labels"),
    _text("spec"),
    Column("revision", Integer, nullable=False),
    Index("resource_identity", "kind", "tenant", "name", unique=True),
    Index("resource_revision", "revision"),
    rowid=True,
)

history = _table(
    "history",
    _key("id", Integer),
    _key("revision", Integer),
    _text("kind"),
    _text("tenant"),
    _text("name"),
    _text("labels"),
    Column("spec", Text),
    Index("history_revision", "revision"),
    Index("history_identity", "kind", "tenant", "name", "revision"),
)
"""Versions of resources that are not the current ones; spec is NULL where one was deleted. The current version is in
`resource`: at a million VPCs a second copy would be a tenth of the store."""

ref = _table("ref", _key("target", BigInteger), _key("src", Integer))
"""Who may refer to what: target is a digest of an identity (see rows.place); the referrer's spec has the last word.
In PostgreSQL this is no key but an index of target, which is a third as large."""

label = _table("label", _key("id", Integer), _key("key"), _text("value"), Index("label_value", "key", "value", "id"))

claim = _table(
    "claim",
    _key("space"),
    _key("low"),
    Column("high", Text),
    Column("id", Integer, nullable=False),
    Index("claim_id", "id"),
)
"""Disjoint intervals within a space: so an overlap is found by looking at one predecessor. high: NULL for that of one
point, which most are."""

mark = _table("mark", _key("space"), _key("value"), _key("id", Integer), Index("mark_id", "id"))

watch = _table("watch", _key("space"), _key("id", Integer), _flag("by_device"), Index("watch_id", "id"))
"""Whom a mark of a space concerns. In PostgreSQL this is no key but an index of space, as with `ref`."""

pool = _table(
    "pool", _key("id", Integer), _text("name"), _int("cursor"), Index("pool_name", "name", unique=True), rowid=True
)
"""Pools of numbers. cursor: the last number that was picked, the next pick looks after it."""

number = _table(
    "number",
    _key("pool", Integer),
    _key("value", BigInteger),
    Column("owner", Integer),
    _text("slot"),
    _flag("waiting"),
    Index("number_owner", "owner", "pool"),
    Index("number_waits", "owner", sqlite_where=text("waiting IS 1"), postgresql_where=text("waiting IS TRUE")),
)
"""Numbers in use and in quarantine. owner: a resource's id, NULL when only the quarantine keeps the number.
slot: empty where it is bound to a device and called as the pool is ("rd/leaf1").
waiting: requested while in quarantine."""

need = _table(
    "need", _key("id", Integer), _key("owner", Integer), _key("slot"), Index("need_owner", "owner", "slot", "id")
)
"""Who needs a number that belongs to another resource: it is released with the last of these rows."""

quarantine = _table(
    "quarantine",
    _key("pool", Integer),
    _key("value", BigInteger),
    _key("device"),
    _int("revision"),
    Index("quarantine_device", "device"),
)
"""Devices that may still be configured with a released number, and the revision that each has to confirm.
The pool "*" stands for every number that a restored store does not know."""

touch = _table("touch", _key("id", Integer), _text("fragments"), rowid=True)
"""Which fragments a resource touches, in one row: they are always read and written together."""

fragment = _table(
    "fragment",
    _key("device"),
    _key("scope"),
    Column("hash", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False),
    _text("members"),
    Column("body", LargeBinary, nullable=False),
)
"""What devices should hold. members: ids of the resources that touch it. body: squeezed."""

held = _table(
    "held",
    _key("device"),
    _key("scope"),
    Column("hash", LargeBinary, nullable=False),
    Column("body", LargeBinary),
)
"""What a device said that it holds. body: of what is not desired any more, for plans to compare with."""

device = _table(
    "device",
    _key("name"),
    _int("desired"),
    _int("offered"),
    _int("confirmed"),
    _int("reported"),
    _text("digest"),
    _text("outcome"),
    _text("last_seen"),
    _text("agent_version"),
    _text("driver"),
    _text("os_version"),
    _text("diagnostics"),
    _text("drift"),
    _text("rejected"),
    _flag("simulated"),
)
"""desired: revision of the last change of its fragments; offered: highest revision ever handed out;
reported, digest: of the manifest in place by its last word, which came at last_seen; confirmed: highest revision
whose removals are done."""

contact = _table("contact", _key("device"), _text("at"))
"""When the agent of a device was last heard, if only that it waits. Written now and then, for many together."""

audit = _table(
    "audit",
    Column("id", Integer, primary_key=True, autoincrement=True),
    _text("at"),
    _text("actor"),
    _text("action"),
    _text("target"),
    _text("detail"),
    rowid=True,
)
"""Who did what to what. There is no column for an answer."""
