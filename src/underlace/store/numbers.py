"""Numbers in use and in quarantine: what is taken, what is free, and who has still to confirm a removal (law 8)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql import ColumnElement

from underlace.store import pools, schema
from underlace.store.dialect import Insert, Rows, among, listed, packed
from underlace.store.pools import Pool
from underlace.store.slots import lengthened, shortened, slot_device

ANY_POOL = "*"
"""The pool of a quarantine that stands for all numbers a restored store does not know."""

_n = schema.number.c
_q = schema.quarantine.c
_need = schema.need.c


class Held(NamedTuple):
    """A number with its owner (a resource's id), or None while only the quarantine keeps it."""

    pool: str
    value: int
    owner: int | None
    slot: str
    waiting: bool = False


def _beyond(owner: ColumnElement[Any]) -> ColumnElement[bool]:
    """Of this owner's numbers, those in pools that are not bound to a device. Said so that only the index by owner
    can be used: by its pools alone, PostgreSQL would read the numbers of everybody."""
    return tuple_(_n.owner, _n.pool) > tuple_(owner, literal(0))


# None of these joins with the pools: PostgreSQL would begin with all numbers of a pool.
_name = select(schema.pool.c.name).where(schema.pool.c.id == _n.pool).scalar_subquery()
_COLUMNS = (_name, _n.value, _n.owner, _n.slot, _n.waiting)
_OF_OWNERS = select(*_COLUMNS).where(_n.owner.in_(listed("owners", Integer)))
_owner = Rows("owners", id=Integer)
_COMMON = (
    select(*_COLUMNS)
    .select_from(_owner.source.join(schema.number, and_(_n.owner == _owner.id, _beyond(_owner.id))))
    .where(~_n.slot.contains("/"))
)
_pair = Rows("pairs", owner=Integer, slot=Text)
_OF_SLOTS = select(*_COLUMNS).select_from(
    _pair.source.join(schema.number, and_(_n.owner == _pair.owner, _beyond(_pair.owner), _n.slot == _pair.slot))
)
_bound = Rows("pairs", owner=Integer, pool=Integer)
# A pool given as a range of one: of two equalities, SQLite would take the pool's, and read the numbers of everybody.
_OF_POOLS = select(*_COLUMNS).select_from(
    _bound.source.join(schema.number, and_(_n.owner == _bound.owner, _n.pool.between(_bound.pool, _bound.pool)))
)
_given = Rows("numbers", pool=Integer, value=BigInteger)
_asked = Rows("numbers", pool=Text, value=BigInteger)
_id = select(schema.pool.c.id).where(schema.pool.c.name == _asked.pool).correlate(_asked.source).scalar_subquery()
_AT = select(*_COLUMNS).select_from(_asked.source.join(schema.number, and_(_n.pool == _id, _n.value == _asked.value)))
_AT_IDS = select(*_COLUMNS).select_from(
    _given.source.join(schema.number, and_(_n.pool == _given.pool, _n.value == _given.value))
)


def _held(rows: Iterable[Sequence[Any]]) -> list[Held]:
    return [Held(r[0], r[1], r[2], lengthened(r[3], r[0]), bool(r[4])) for r in rows]


def of_owners(c: Connection, owners: Iterable[int]) -> list[Held]:
    """Every number of these resources."""
    return _held(c.execute(_OF_OWNERS, {"owners": packed(owners)}))


def common(c: Connection, owners: Iterable[int]) -> list[Held]:
    """The numbers of these resources that are not bound to a device."""
    return _held(c.execute(_COMMON, {"owners": packed((owner,) for owner in set(owners))}))


def of_slots(c: Connection, slots: Iterable[tuple[int, str]]) -> list[Held]:
    """The numbers at (owner, slot)."""
    wanted = list(slots)
    devices = {slot for _, slot in wanted if slot_device(slot)}
    known = pools.find(c, devices) if devices else {}
    rows = list(c.execute(_OF_SLOTS, {"pairs": packed(wanted)}))
    if bound := [(owner, i) for owner, slot in wanted if (i := known.get(slot, 0)) < 0]:
        rows += c.execute(_OF_POOLS, {"pairs": packed(bound)})
    return _held(rows)


def at(c: Connection, numbers: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Held]:
    """Which of these (pool, value) are in use or in quarantine."""
    return {(n.pool, n.value): n for n in _held(c.execute(_AT, {"numbers": packed(numbers)}))}


def _known(c: Connection, numbers: Iterable[tuple[str, int]]) -> str:
    """Those of these (pool, value) whose pools there are, as rows have them."""
    wanted = list(numbers)
    known = pools.find(c, {pool for pool, _ in wanted})
    return packed((known[pool], value) for pool, value in wanted if pool in known)


_next = schema.number.alias("next")
_FIRST_GAP = (
    select(_n.value + 1)
    .where(
        _n.pool == bindparam("in_pool", type_=Integer),
        _n.value >= bindparam("low"),
        _n.value < bindparam("high"),
        ~exists().where(_next.c.pool == _n.pool, _next.c.value == _n.value + 1),
    )
    .order_by(_n.value)
    .limit(1)
)


def first_free(c: Connection, pool: str, low: int, high: int) -> int | None:
    """The smallest number of [low, high] that is neither in use nor in quarantine."""
    if not at(c, [(pool, low)]):
        return low
    return c.execute(_FIRST_GAP, {"in_pool": pools.find(c, [pool])[pool], "low": low, "high": high}).scalar()


_TAKE = Insert(schema.number, "overwrite")


def pools_of(c: Connection, slots: Iterable[tuple[str, str]]) -> dict[str, Pool]:
    """The pools of numbers that are to be taken, given as (slot, pool); those that are not known are added."""
    wanted = set(slots)
    if not wanted:
        return {}
    return pools.known(c, {pool for _, pool in wanted}, {pool for slot, pool in wanted if not shortened(slot, pool)})


def take(c: Connection, numbers: Iterable[Held], known: Mapping[str, Pool] | None = None) -> None:
    """Write numbers with their owners, over a row that only the quarantine keeps. known: their pools, where somebody
    has looked them up."""
    if rows := list(numbers):
        of = known or pools_of(c, ((n.slot, n.pool) for n in rows))
        _TAKE(c, [(of[n.pool].id, n.value, n.owner, shortened(n.slot, n.pool), n.waiting) for n in rows])


_DISOWN = update(schema.number).where(among("rows", _n.pool, _n.value)).values(owner=None, waiting=False)
_FREE = delete(schema.number).where(among("rows", _n.pool, _n.value), _n.owner.is_(None))
_QUARANTINE = Insert(schema.quarantine, "overwrite")


def disown(c: Connection, gone: Iterable[tuple[str, int]]) -> None:
    """Take these (pool, value) from their owners; they stay taken until `free_unowned` or their quarantine ends."""
    if rows := list(gone):
        c.execute(_DISOWN, {"rows": _known(c, rows)})


def free_unowned(c: Connection, gone: Iterable[tuple[str, int]]) -> None:
    """Make these (pool, value) available again."""
    if rows := list(gone):
        c.execute(_FREE, {"rows": _known(c, rows)})


def enclose(c: Connection, numbers: Mapping[tuple[str, int], Mapping[str, int]]) -> None:
    """Put numbers into quarantine: {(pool, value): {device: revision it has to confirm}}."""
    known = pools.known(c, (pool for pool, _ in numbers))
    rows = [(known[pool].id, value, *one) for (pool, value), found in numbers.items() for one in found.items()]
    _QUARANTINE(c, rows)


_q_name = select(schema.pool.c.name).where(schema.pool.c.id == _q.pool).scalar_subquery()
_QUARANTINED = select(_q_name, _q.value, _q.device, _q.revision).select_from(
    _given.source.join(schema.quarantine, and_(_q.pool == _given.pool, _q.value == _given.value))
)
_OF_POOL = select(_q.device, _q.revision).where(_q.pool == bindparam("in_pool", type_=Integer))


def quarantined(c: Connection, numbers: Iterable[tuple[str, int]]) -> dict[tuple[str, int], dict[str, int]]:
    """The devices that have still to confirm the removal of these numbers, and at which revision."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    for pool, value, device, revision in c.execute(_QUARANTINED, {"numbers": _known(c, numbers)}):
        found.setdefault((pool, value), {})[device] = revision
    return found


def unknown(c: Connection) -> dict[str, int]:
    """After a restore: devices that may hold numbers which this store has never seen."""
    known = pools.find(c, [ANY_POOL])
    return {r[0]: r[1] for r in c.execute(_OF_POOL, {"in_pool": known[ANY_POOL]})} if known else {}


_CLEARED = select(_q.pool, _q.value).where(_q.device == bindparam("on"), _q.revision <= bindparam("confirmed"))
_CLEAR = delete(schema.quarantine).where(_q.device == bindparam("on"), _q.revision <= bindparam("confirmed"))
_STILL = exists().where(_q.pool == _n.pool, _q.value == _n.value)
_UNWAIT = (
    update(schema.number)
    .where(among("rows", _n.pool, _n.value), _n.owner.is_not(None), ~_STILL)
    .values(waiting=False)
)
_FREE_CLEARED = delete(schema.number).where(among("rows", _n.pool, _n.value), _n.owner.is_(None), ~_STILL)


def clear(c: Connection, device: str, confirmed: int) -> list[Held]:
    """A device confirmed a revision. Frees numbers, and returns those whose owners need not wait any more."""
    given = {"on": device, "confirmed": confirmed}
    gone = [(r[0], r[1]) for r in c.execute(_CLEARED, given)]
    if not gone:
        return []
    c.execute(_CLEAR, given)
    rows = packed(gone)
    waited = [n for n in _held(c.execute(_AT_IDS, {"numbers": rows})) if n.waiting]
    c.execute(_FREE_CLEARED, {"rows": rows})
    c.execute(_UNWAIT, {"rows": rows})
    now = at(c, [(n.pool, n.value) for n in waited]) if waited else {}
    return [n for n in now.values() if not n.waiting]


_NEEDS_OF = select(_need.id, _need.owner, _need.slot).where(_need.id.in_(listed("ids", Integer)))
_needed = Rows("pairs", owner=Integer, slot=Text)
_STILL_NEEDED = (
    select(_need.owner, _need.slot)
    .distinct()
    .select_from(_needed.source.join(schema.need, and_(_need.owner == _needed.owner, _need.slot == _needed.slot)))
)
_DROP_NEEDS = delete(schema.need).where(among("rows", _need.id, _need.owner, _need.slot))
_ADD_NEEDS = Insert(schema.need)
Need = tuple[int, int, str]
"""(who needs it, owner of the number, slot)"""


def needs_of(c: Connection, ids: Collection[int]) -> set[Need]:
    """The numbers of other resources that these resources need."""
    return {(r[0], r[1], r[2]) for r in c.execute(_NEEDS_OF, {"ids": packed(ids)})}


def write_needs(c: Connection, gone: Iterable[Need], new: Iterable[Need]) -> None:
    if old := list(gone):
        c.execute(_DROP_NEEDS, {"rows": packed(old)})
    _ADD_NEEDS(c, new)


def still_needed(c: Connection, slots: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of these (owner, slot) some other resource needs."""
    return {(r[0], r[1]) for r in c.execute(_STILL_NEEDED, {"pairs": packed(slots)})}


_WAITING = select(_n.owner).distinct().where(_n.owner.in_(listed("owners", Integer)), _n.waiting.is_(True))
_WAITING_OWNERS = select(_n.owner).distinct().where(_n.waiting.is_(True), _n.owner.is_not(None))


def waiting(c: Connection, owners: Iterable[int]) -> set[int]:
    """Which of these resources wait for numbers in quarantine."""
    return {r[0] for r in c.execute(_WAITING, {"owners": packed(owners)})}


def waiting_owners(c: Connection, limit: int) -> list[int]:
    """Some resources whose numbers are in quarantine."""
    return [r[0] for r in c.execute(_WAITING_OWNERS.limit(limit))]


_LOWER = (
    update(schema.quarantine)
    .where(_q.device == bindparam("on"), _q.revision == bindparam("b_from"))
    .values(revision=bindparam("b_to"))
)


def lower(c: Connection, device: str, before: int, after: int) -> None:
    """A device has to confirm only the revision `after`, where `before` had been assumed."""
    c.execute(_LOWER, {"on": device, "b_from": before, "b_to": after})


def allocated(c: Connection, owners: Iterable[int]) -> dict[int, dict[str, int]]:
    """{owner: {slot: number}}."""
    found: dict[int, dict[str, int]] = {}
    for n in sorted(of_owners(c, owners), key=lambda n: n.slot):
        if n.owner is not None:
            found.setdefault(n.owner, {})[n.slot] = n.value
    return found
