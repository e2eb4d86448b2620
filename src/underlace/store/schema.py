"""The tables. One generic table of resources, and what is derived from each beside it as indexed rows."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text, text

metadata = MetaData()


def _table(name: str, *parts: Column[object] | Index, rowid: bool = False) -> Table:
    """A table whose primary key is its storage order; rowid: SQLite keeps its own row number as well."""
    return Table(name, metadata, *parts, sqlite_with_rowid=rowid)


def _key(name: str, kind: type[Text] | type[Integer] | type[BigInteger] = Text) -> Column[object]:
    return Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def _text(name: str) -> Column[object]:
    return Column(name, Text, nullable=False)


def _int(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False)


def _flag(name: str) -> Column[object]:
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
    _int("revision"),
    _text("created"),
    Index("resource_identity", "kind", "tenant", "name", unique=True),
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
"""One row for each change of a resource; spec is NULL where it was deleted."""

ref = _table(
    "ref",
    _key("src", Integer),
    _key("kind"),
    _key("tenant"),
    _key("name"),
    _key("pointer"),
    _flag("soft"),
    Index("ref_target", "kind", "tenant", "name", "src"),
)

label = _table("label", _key("id", Integer), _key("key"), _text("value"), Index("label_value", "key", "value", "id"))

claim = _table("claim", _key("space"), _key("low"), _text("high"), _int("id"), Index("claim_id", "id"))
"""Disjoint intervals within a space: so an overlap is found by looking at one predecessor."""

mark = _table("mark", _key("space"), _key("value"), _key("id", Integer), Index("mark_id", "id"))

watch = _table("watch", _key("space"), _key("id", Integer), _flag("by_device"), Index("watch_id", "id"))

number = _table(
    "number",
    _key("pool"),
    _key("value", BigInteger),
    Column("owner", Integer),
    _text("slot"),
    _text("device"),
    _flag("waiting"),
    Index("number_owner", "owner", "device", "slot"),
    Index("number_waits", "owner", sqlite_where=text("waiting IS 1"), postgresql_where=text("waiting IS TRUE")),
)
"""Numbers in use and in quarantine. owner: a resource's id, NULL when only the quarantine keeps the number.
device: of a device-bound slot ("rd/leaf1"), else empty. waiting: requested while in quarantine."""

need = _table(
    "need", _key("id", Integer), _key("owner", Integer), _key("slot"), Index("need_owner", "owner", "slot", "id")
)
"""Who needs a number that belongs to another resource: it is released with the last of these rows."""

cursor = _table("cursor", _key("pool"), _int("value"))
"""The last number that was picked from a pool: the next pick looks after it."""

quarantine = _table(
    "quarantine",
    _key("pool"),
    _key("value", BigInteger),
    _key("device"),
    _int("revision"),
    Index("quarantine_device", "device"),
)
"""Devices that may still be configured with a released number, and the revision that each has to confirm.
The pool "*" stands for every number that a restored store does not know."""

touch = _table("touch", _key("device"), _key("scope"), _key("id", Integer), Index("touch_id", "id"))

fragment = _table(
    "fragment",
    _key("device"),
    _key("scope"),
    _text("hash"),
    _int("revision"),
    Index("fragment_hash", "hash"),
)

blob = _table("blob", _key("hash"), _text("body"), rowid=True)
"""Bodies of fragments that are desired or held, by content, squeezed. In order of writing: by hash, each would dirty
a page."""

held = _table("held", _key("device"), _key("scope"), _text("hash"), Index("held_hash", "hash"))
"""What a device said that it holds."""

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
