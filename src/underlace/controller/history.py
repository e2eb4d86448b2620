"""What happened: revisions, the life of one resource, and all intent as it was."""

from __future__ import annotations

from typing import Any

import msgspec

from underlace.access import Actor, Use, Verb, decide, missing, refusal
from underlace.controller.devices import require
from underlace.controller.run import Engine
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import Ref
from underlace.store import ledger, past
from underlace.store.ledger import Version


class RevisionItem(msgspec.Struct, frozen=True):
    id: int
    at: str
    actor: str
    message: str


class VersionItem(msgspec.Struct, frozen=True):
    """A resource as a revision left it; spec is None where it was deleted, and has no defaults in it."""

    revision: int
    kind: str
    tenant: str
    name: str
    id: int
    labels: dict[str, str]
    spec: dict[str, Any] | None


class ChangeItem(VersionItem, frozen=True):
    """A version with what made it. action: "create", "update" or "delete"."""

    action: str


def revisions(engine: Engine, actor: Actor, limit: int = 100, before: int | None = None) -> list[RevisionItem]:
    """The newest first."""
    require(actor, Use.READ_FABRIC, "read revisions")
    with engine.store.read() as c:
        return [RevisionItem(*r) for r in ledger.revisions(c, limit, before)]


def revision(engine: Engine, actor: Actor, number: int) -> tuple[RevisionItem, list[ChangeItem]]:
    """A revision and what it wrote."""
    require(actor, Use.READ_FABRIC, "read revisions")
    with engine.store.read() as c:
        found = ledger.revision(c, number)
        if found is None:
            raise Refused([_no_revision(number)])
        if number <= past.since(c):
            raise Refused([_compacted(number, past.since(c))])
        return RevisionItem(*found), [_change(v) for v in ledger.changed_at(c, number)]


def versions(engine: Engine, actor: Actor, ref: Ref, limit: int = 100) -> list[ChangeItem]:
    """The life of one identity, the newest first; a name used again continues it.

    A fabric resource that is assigned to a tenant now may have been another's before: its past is for those who read
    all.
    """
    kind = engine.kinds.get(ref.kind)
    if kind is None:
        raise Refused([missing(ref)])
    if (fault := refusal(decide(actor, Verb.READ, kind, ref), actor, Verb.READ, ref)) is not None:
        raise Refused([fault])
    with engine.store.read() as c:
        found = ledger.versions(c, ref, limit)
    if not found:
        raise Refused([missing(ref)])
    return [_change(v) for v in found]


def as_of(engine: Engine, actor: Actor, number: int) -> list[VersionItem]:
    """All intent as a revision left it."""
    require(actor, Use.READ_FABRIC, "read the intent of an earlier revision")
    with engine.store.read() as c:
        if ledger.revision(c, number) is None:
            raise Refused([_no_revision(number)])
        if number < past.since(c):
            raise Refused([_compacted(number, past.since(c))])
        return [_version(v) for v in ledger.as_of(c, number)]


def _version(v: Version) -> VersionItem:
    spec = None if v.spec is None else msgspec.json.decode(v.spec)
    return VersionItem(v.revision, *v.ref, v.id, msgspec.json.decode(v.labels), spec)


def _change(v: Version) -> ChangeItem:
    action = "delete" if v.spec is None else "create" if v.first else "update"
    item = _version(v)
    return ChangeItem(item.revision, *v.ref, item.id, item.labels, item.spec, action)


def _compacted(number: int, since: int) -> Diagnostic:
    return Diagnostic(
        Where(),
        "history-compacted",
        "What the revision wrote has been dropped",
        f"What intent was before revision {since} was dropped on request; {number} is older.",
        "Look into a backup that was made before: underlace restore it into a directory of its own.",
    )


def _no_revision(number: int) -> Diagnostic:
    return Diagnostic(
        Where(),
        "not-found",
        "The revision does not exist",
        f"There is no revision {number}.",
        "List the revisions: underlace history",
    )
