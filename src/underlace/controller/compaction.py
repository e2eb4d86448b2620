"""Dropping what intent was long ago.

Never dropped: what a resource is, what it was at the limit or later, who changed something and when, and anything
about numbers, whose quarantine does not depend on history.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog
from sqlalchemy import Connection

from underlace.access import Actor, Use
from underlace.controller.devices import require
from underlace.controller.run import Engine
from underlace.store import ledger, past
from underlace.store.past import Place

BATCH = 2_000
"""Versions dropped in one transaction: other writers wait no longer than that takes."""

BATCHES = 25
"""Transactions for one request."""

log = structlog.get_logger()


class Compacted(msgspec.Struct, frozen=True):
    """since: the oldest revision whose intent can still be told. dropped: versions. after: what to ask with next;
    null when it is done."""

    since: int
    dropped: int
    after: tuple[int, int] | None


def compact(engine: Engine, actor: Actor, keep: timedelta, after: Place = Place()) -> Compacted:
    """Drop versions that were superseded longer ago than `keep`; some of them, so that a request does not last."""
    require(actor, Use.DROP_HISTORY, "drop history")
    now = engine.clock()
    moment = ledger.stamp(now - keep)
    dropped = 0
    place: Place | None = after

    def some(c: Connection) -> tuple[int, int, Place | None]:
        assert place is not None
        bound = past.bound(c, moment)
        number, following = past.drop(c, bound, place, BATCH)
        if number:
            ledger.write_audit(c, ledger.stamp(now), actor.name, "history-compact", "", f"{number} until {bound}")
        return bound, number, following

    for _ in range(BATCHES):
        bound, number, place = engine.store.write(some)
        dropped += number
        if place is None:
            break
    log.info("history-compacted", actor=actor.name, until=bound, dropped=dropped, more=place is not None)
    return Compacted(bound, dropped, place and (place.revision, place.id))
