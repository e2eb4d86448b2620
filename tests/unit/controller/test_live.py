"""Live questions as a use case: access, parameters, VPCs, the audit, and that nothing else is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.controlled import ADMIN, Rig, quickstart, rig
from support.fabric import poll
from underlace.access import Actor, Role, device_actor
from underlace.controller import live as module
from underlace.model.diagnostic import Refused
from underlace.model.question import Answer, Observed, Question
from underlace.queries.registry import QUERIES

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

ROLES = {role: Actor(str(role), role, frozenset(("acme",))) for role in Role if role is not Role.DEVICE}
SESSION = {
    "vrf": "default",
    "peer": "swp1",
    "afi": "ipv4",
    "safi": "unicast",
    "state": "Established",
    "local_as": 1,
    "peer_as": 2,
    "uptime_seconds": 3,
    "received": 4,
    "sent": 5,
    "messages_received": 6,
    "messages_sent": 7,
    "flaps": 0,
}


@pytest.fixture
def fabric(database: None, tmp_path: Path) -> Iterator[Rig]:
    made = rig(tmp_path)
    made.put(*quickstart())
    yield made
    made.close()


@contextmanager
def answering(fabric: Rig, device: str, *rows: dict[str, Any]) -> Iterator[list[Question]]:
    """An agent that answers every question with these rows; the questions."""
    live, actor = fabric.controller.live, device_actor(device)
    came, over, asked = threading.Event(), threading.Event(), list[Question]()
    live.on_question(lambda devices: came.set() if device in devices else None)

    def run() -> None:
        with live.polling(actor) as number:
            while not over.is_set():
                came.wait(20.0)
                came.clear()
                for question in live.fetch(actor, number):
                    asked.append(question)
                    live.answer(actor, Answer(question.id, Observed(rows, "test")))

    thread = threading.Thread(target=run)
    thread.start()
    poll("the agent", lambda: live._live.board.listens(device), 10.0, 0.002)
    try:
        yield asked
    finally:
        over.set()
        came.set()
        thread.join()


def ask(fabric: Rig, query: str, *devices: str, actor: Actor = ADMIN, **parameters: str) -> Any:
    return fabric.controller.live.ask(actor, query, parameters, devices)


def codes(refused: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [d.code for d in refused.value.diagnostics]


def test_devices_are_asked_and_their_vrfs_named(fabric: Rig) -> None:
    with fabric.store.read() as c:
        (number,) = c.exec_driver_sql("SELECT id FROM resource WHERE kind = 'vpc' AND name = 'red'").scalars()
    vrf = f"vpc-{number}"
    with answering(fabric, "leaf1", SESSION, {**SESSION, "vrf": vrf}, {**SESSION, "vrf": "vpc-999"}) as asked:
        found = ask(fabric, "bgp-summary", "leaf1", vpc="acme/red")
    assert [(q.probe, q.arguments) for q in asked] == [("bgp-summary", {"vrf": vrf})]
    assert found.parameters == {"vpc": "acme/red"}
    assert found.vrfs == {vrf: "acme/red"}
    assert [row.vrf for row in found.devices[0].rows] == ["default", vrf, "vpc-999"]


def test_without_a_device_all_are_asked(fabric: Rig) -> None:
    assert [d.device for d in ask(fabric, "bgp-summary").devices] == ["leaf1", "leaf2", "leaf3", "spine1", "spine2"]


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
@pytest.mark.parametrize("role", ROLES)
def test_who_may_ask(fabric: Rig, role: Role, query: Any) -> None:
    allowed = (Role.ADMIN, Role.OPERATOR) if query.active else (Role.ADMIN, Role.OPERATOR, Role.READER)
    with pytest.raises(Refused) as refused:
        ask(fabric, query.name, "no-such-device", actor=ROLES[role], nonsense="1")
    assert codes(refused) == (["parameter-invalid"] if role in allowed else ["forbidden"])


def test_who_may_not_ask_learns_nothing_of_what_there_is(fabric: Rig) -> None:
    said = set()
    for query, device in (("bgp-summary", "leaf1"), ("bgp-summary", "nope"), ("nope", "leaf1")):
        with pytest.raises(Refused) as refused:
            ask(fabric, query, device, actor=ROLES[Role.TENANT])
        said.add(str(refused.value))
    assert len(said) == 1


def test_a_device_asks_nothing_and_only_devices_answer(fabric: Rig) -> None:
    with pytest.raises(Refused) as refused:
        ask(fabric, "bgp-summary", actor=device_actor("leaf1"))
    assert codes(refused) == ["forbidden"]
    for call in (
        lambda: fabric.controller.live.fetch(ADMIN, 1),
        lambda: fabric.controller.live.answer(ADMIN, Answer("1")),
        lambda: fabric.controller.live.polling(ADMIN),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert codes(refused) == ["forbidden"]


def test_what_cannot_be_asked_is_refused(fabric: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for query, devices, parameters, code in (
        ("nope", (), {}, "query-unknown"),
        ("bgp-summary", ("leaf9", "leaf8"), {}, "not-found"),
        ("bgp-summary", (), {"vpc": "acme/nope"}, "not-found"),
        ("bgp-summary", (), {"vpc": "red"}, "not-found"),
        ("bgp-summary", (), {"vrf": "vpc-1"}, "parameter-invalid"),
    ):
        with pytest.raises(Refused) as refused:
            ask(fabric, query, *devices, **parameters)
        assert set(codes(refused)) == {code}, query
    monkeypatch.setattr(module, "DEVICES_MAX", 4)
    with pytest.raises(Refused) as refused:
        ask(fabric, "bgp-summary")
    assert codes(refused) == ["live-too-many"]


def contents(fabric: Rig) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with fabric.store.read() as c:
        tables = list(c.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
        return {t: sorted(map(tuple, c.exec_driver_sql(f'SELECT * FROM "{t}"')), key=repr) for t in tables}  # noqa: S608


def test_only_the_audit_is_written_and_no_answer_is_in_it(fabric: Rig) -> None:
    """Law 2."""
    before = contents(fabric)
    with answering(fabric, "leaf1", {**SESSION, "state": "Zebra"}):
        for _ in range(20):
            assert ask(fabric, "bgp-summary", "leaf1", vpc="acme/red").devices[0].error is None
        ask(fabric, "bgp-summary", "leaf2")
    after = contents(fabric)
    changed = {table for table in after if after[table] != before[table]}
    assert changed <= {"audit", "sqlite_sequence"}
    rows = [row for row in after["audit"] if row not in before["audit"]]
    assert len(rows) == 21
    assert {row[2:] for row in rows} == {
        ("admin", "live bgp-summary", "leaf1", '{"vpc":"acme/red"}'),
        ("admin", "live bgp-summary", "leaf2", "{}"),
    }
    assert "Zebra" not in repr(after)
