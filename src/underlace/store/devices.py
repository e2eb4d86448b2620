"""What the controller keeps about devices: what they should hold, what they were offered, and their last word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from underlace.store import news, schema
from underlace.store.dialect import Insert, listed, packed

_d = schema.device.c


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """See `schema.device`. diagnostics and drift are JSON text. heard: see `schema.contact`; it is not written with
    the row."""

    name: str
    desired: int = 0
    offered: int = 0
    confirmed: int = 0
    reported: int = 0
    digest: str = ""
    outcome: str = ""
    last_seen: str = ""
    agent_version: str = ""
    driver: str = ""
    os_version: str = ""
    diagnostics: str = "[]"
    drift: str = "[]"
    rejected: str = ""
    simulated: bool = False
    heard: str = ""


def _rows() -> Select[Any]:
    both = schema.device.outerjoin(schema.contact, schema.contact.c.device == _d.name)
    return select(*schema.device.columns, func.coalesce(schema.contact.c.at, "")).select_from(both)


_ALL = _rows().order_by(_d.name)
_SOME = _rows().where(_d.name.in_(listed("names")))
_BEHIND = select(_d.name, _d.desired).where(_d.offered > 0, _d.confirmed < _d.desired)
_OFFERED = select(_d.name, _d.desired).where(_d.offered > 0, _d.name.in_(listed("names")))
_ENSURE = Insert(schema.device, "keep")
_DESIRED = update(schema.device).where(_d.name.in_(listed("names"))).values(desired=bindparam("revision"))
_WRITE = Insert(schema.device, "overwrite")
_DELETE = delete(schema.device).where(_d.name == bindparam("b_name"))
_HEARD = Insert(schema.contact, "overwrite")
_UNHEARD = delete(schema.contact).where(schema.contact.c.device == bindparam("b_name"))
_OFFER = update(schema.device).where(_d.name == bindparam("b_name")).values(offered=bindparam("b_offered"))


def _row(r: Any) -> DeviceRow:
    return DeviceRow(*r)


def every(c: Connection) -> list[DeviceRow]:
    return [_row(r) for r in c.execute(_ALL)]


def names(c: Connection) -> list[str]:
    """All devices that are known, which are all that should hold anything."""
    return [r[0] for r in c.execute(select(_d.name))]


def some(c: Connection, names: Iterable[str]) -> dict[str, DeviceRow]:
    return {r[0]: _row(r) for r in c.execute(_SOME, {"names": packed(names)})}


def one(c: Connection, name: str) -> DeviceRow | None:
    return some(c, [name]).get(name)


def behind(c: Connection) -> dict[str, int]:
    """Devices that were offered something and have not confirmed what they should hold: {name: desired revision}."""
    return {r[0]: r[1] for r in c.execute(_BEHIND)}


def offered(c: Connection, names: Iterable[str]) -> set[str]:
    """Which of these devices were ever offered a manifest: the others hold nothing of ours."""
    return {r[0] for r in c.execute(_OFFERED, {"names": packed(names)})}


def set_desired(c: Connection, names: Iterable[str], revision: int) -> None:
    """Fragments of these devices changed at this revision."""
    found = sorted(set(names))
    if found:
        news.tell(c)
    given = {"names": packed(found), "revision": revision}
    if found and c.execute(_DESIRED, given).rowcount < len(found):
        _ENSURE(c, [_written(DeviceRow(n)) for n in found])
        c.execute(_DESIRED, given)


_SINCE = select(_d.name).where(_d.desired > bindparam("revision"))


def desired_since(c: Connection, revision: int) -> frozenset[str]:
    """Devices whose fragments changed after this revision."""
    return frozenset(r[0] for r in c.execute(_SINCE, {"revision": revision}))


def offer(c: Connection, name: str, revision: int) -> None:
    """A manifest of this revision is about to be handed out."""
    c.execute(_OFFER, {"b_name": name, "b_offered": revision})


def write(c: Connection, row: DeviceRow) -> None:
    _WRITE(c, [_written(row)])


def hear(c: Connection, heard: Mapping[str, str]) -> None:
    """When these devices were last heard: {name: moment}."""
    _HEARD(c, heard.items())


def remove(c: Connection, name: str) -> None:
    c.execute(_DELETE, {"b_name": name})
    c.execute(_UNHEARD, {"b_name": name})


def _written(row: DeviceRow) -> tuple[Any, ...]:
    return astuple(row)[:-1]
