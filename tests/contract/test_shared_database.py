"""Several controllers on one PostgreSQL database: one order of changes, news between them, and none that lies."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, QUICKSTART, PlainDriver, Rig, doc, quickstart
from support.fabric import poll
from support.postgres import PostgresServer
from support.shell import Shell, Up, underlace
from underlace.access import device_actor
from underlace.controller.authority import Authority
from underlace.controller.controller import Controller
from underlace.controller.identity import Identity
from underlace.model.diagnostic import Refused
from underlace.model.ids import Ref
from underlace.model.question import Answer, Observed
from underlace.store.identity import IdentityStore
from underlace.store.store import Store

pytestmark = pytest.mark.contract

SESSION = dict.fromkeys(("vrf", "peer", "afi", "safi", "state"), "x") | dict.fromkeys(
    (
        "local_as",
        "peer_as",
        "uptime_seconds",
        "received",
        "sent",
        "messages_received",
        "messages_sent",
        "flaps",
    ),
    1,
)

PATIENCE = 60.0
"""Far more than a notification needs; what waits is woken long before."""


def controller(url: str) -> Rig:
    store = Store.open(url)
    return Rig(Path(), Controller(store, {"linux": PlainDriver()}, clock=lambda: NOW), store)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def three(url: str) -> Iterator[list[Rig]]:
    opened = [controller(url) for _ in range(3)]
    opened[0].put(*quickstart())
    yield opened
    for one in opened:
        one.close()


def test_all_may_start_at_once_on_an_empty_database(url: str) -> None:
    started: list[Rig] = []
    wrong: list[BaseException] = []

    def start() -> None:
        try:
            started.append(controller(url))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {len(one.controller.revisions(ADMIN)) for one in started} == {1}
    for one in started:
        one.close()


def test_writers_of_all_controllers_are_one_after_the_other(three: list[Rig]) -> None:
    """No number twice, no revision missing, and each sees what the others have written."""
    wrong: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for i in range(20):
                three[n % 3].put(doc("vpc", f"v{n}-{i}", "acme"))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for one in three:
        found = one.controller.find(ADMIN, "vpc", "acme", limit=1_000).items
        vnis = [i.status.allocated["vni"] for i in found]
        assert {f"v{n}-{i}" for n in range(6) for i in range(20)} <= {i.name for i in found}
        assert len(set(vnis)) == len(vnis)
        revisions = [r.id for r in one.controller.revisions(ADMIN, 1_000)]
        assert revisions == list(range(len(revisions), 0, -1))
    three[1].check_derived()


def test_a_name_is_taken_once_whoever_is_asked(three: list[Rig]) -> None:
    """Two controllers are asked for the same port at once: one of the V-Nets is refused, and nothing of it stays."""
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def work(one: Rig, name: str) -> None:
        barrier.wait()
        try:
            one.put(doc("vnet", name, "acme", vpc="red", ports=[{"port": "swp15@leaf1"}]))
            outcomes.append("done")
        except Refused as refused:
            outcomes.extend(d.code for d in refused.diagnostics)

    threads = [threading.Thread(target=work, args=(one, f"n{i}")) for i, one in enumerate(three[:2])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["already-claimed", "done"]
    three[2].check_derived()


def test_an_agent_hears_of_a_change_that_another_controller_made(
    url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr("underlace.store.news.PATIENCE", 1e9)  # nobody looks by himself
    three: list[Rig] = request.getfixturevalue("three")
    three[1].hold("leaf1")
    have = three[1].said["leaf1"].digest
    heard: list[object] = []
    waiting = threading.Thread(
        target=lambda: heard.append(three[1].controller.wait_desired(device_actor("leaf1"), have, PATIENCE))
    )
    waiting.start()
    three[0].put(doc("vnet", "new", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}]))
    waiting.join(PATIENCE / 2)
    assert not waiting.is_alive()
    assert heard != [None]


def test_a_server_that_comes_back_is_used_again(postgres: PostgresServer, three: list[Rig]) -> None:
    """What was answered is there; what comes later works, and news flow again."""
    three[1].hold("leaf1")
    have = three[1].said["leaf1"].digest
    three[0].put(doc("vpc", "before", "acme"))
    postgres.kill()
    postgres.resume()
    heard: list[object] = []
    waiting = threading.Thread(
        target=lambda: heard.append(three[1].controller.wait_desired(device_actor("leaf1"), have, PATIENCE))
    )
    waiting.start()
    three[0].put(doc("vnet", "after", "acme", vpc="red", ports=[{"port": "swp12@leaf1"}]))
    assert three[2].controller.get(ADMIN, Ref("vpc", "acme", "before")).name == "before"
    waiting.join(PATIENCE / 2)
    assert not waiting.is_alive()
    assert heard != [None]


def test_writes_are_durable_before_they_are_answered(postgres: PostgresServer, url: str) -> None:
    """Whatever the server's own setting is."""
    postgres.set(url, "synchronous_commit", "off")
    store = Store.open(url)
    assert store.write(lambda c: c.exec_driver_sql("SHOW synchronous_commit").scalar()) == "on"
    store.close()


def test_a_server_that_is_away_is_an_answer(postgres: PostgresServer, url: str) -> None:
    one = controller(url)
    postgres.kill()
    try:
        for ask in (lambda: one.put(doc("vpc", "x", "acme")), lambda: one.controller.devices(ADMIN), controller):
            with pytest.raises(Refused) as refused:
                ask() if ask is not controller else controller(url)
            assert [d.code for d in refused.value.diagnostics] == ["store-unavailable"]
    finally:
        postgres.resume()
    one.close()


def test_a_server_that_takes_no_writes_is_an_answer(postgres: PostgresServer, url: str) -> None:
    """A standby, or one whose disk is full and that its administrator has made read-only. Reading goes on."""
    controller(url).close()
    postgres.set(url, "default_transaction_read_only", "on")
    one = controller(url)
    with pytest.raises(Refused) as refused:
        one.put(doc("tenant", "x"))
    assert [d.code for d in refused.value.diagnostics] == ["store-unavailable"]
    assert "read-only" in refused.value.diagnostics[0].detail
    assert one.controller.revisions(ADMIN)
    one.close()


def test_controllers_of_one_database_have_one_ca(url: str, tmp_path: Path) -> None:
    stores = [Store.open(url) for _ in range(2)]
    Identity(IdentityStore(stores[0]), Authority(tmp_path / "one")).share()
    Identity(IdentityStore(stores[1]), Authority(tmp_path / "one")).share()
    with pytest.raises(Refused) as refused:
        Identity(IdentityStore(stores[1]), Authority(tmp_path / "another")).share()
    assert [d.code for d in refused.value.diagnostics] == ["other-authority"]
    for store in stores:
        store.close()


def test_a_database_has_no_file_to_copy(url: str, tmp_path: Path) -> None:
    one = controller(url)
    with pytest.raises(Refused) as refused:
        one.controller.backup(ADMIN, tmp_path / "copy")
    assert [d.code for d in refused.value.diagnostics] == ["not-for-a-server"]
    one.close()


def configured(home: Path, url: str) -> Up:
    settings = home / ".config" / "underlace" / "underlace.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'database = "{url}"\n')
    return Up(home / "data")


def test_two_controllers_as_the_how_to_sets_them_up(url: str, tmp_path: Path) -> None:
    """docs/how-to/use-postgresql.md: without the CA the second one is refused; with it, it goes on alone."""
    one, other = configured(tmp_path / "one", url), configured(tmp_path / "other", url)
    one.start()
    try:
        listen = ("--listen", "127.0.0.1:0")
        refused = underlace(tmp_path / "other", "up", "--data", str(other.data), *listen, fresh=True)
        assert refused.code == 1
        assert "error[other-authority]" in refused.err
        done = Shell(one, tmp_path / "one")("apply", "-f", str(QUICKSTART))
        assert done.code == 0, done.err
    finally:
        one.stop(signal.SIGKILL)
    shutil.rmtree(other.data / "ca")
    shutil.copytree(one.data / "ca", other.data / "ca")
    other.start()
    try:
        (ready,) = (event for event in other.events() if event.get("event") == "ready")
        other.context.write_text(json.dumps({**json.loads(one.context.read_text()), "url": ready["url"]}))
        other.context.chmod(0o600)
        shell = Shell(other, tmp_path / "other")
        found = shell("get", "switch", "-o", "json")
        assert found.code == 0, found.err
        assert "leaf1" in [i["name"] for i in found.json]  # type: ignore[attr-defined]
        assert shell("delete", "vnet", "acme/red-db").code == 0
    finally:
        assert other.stop() == 0


def test_a_password_in_the_settings_is_not_shown(tmp_path: Path) -> None:
    configured(tmp_path, "postgresql://underlace:hunter2@db.example.net/underlace")
    for form in ("table", "json", "yaml"):
        shown = underlace(tmp_path, "config", "show", "-o", form)
        assert shown.code == 0, shown.err
        assert "hunter2" not in shown.out + shown.err
        assert "underlace:***@" in shown.out
    started = underlace(tmp_path, "up", "--data", str(tmp_path / "data"), fresh=True)
    assert started.code == 1
    assert "error[store-unavailable]" in started.err
    assert "hunter2" not in started.err


def test_a_question_reaches_the_controller_that_the_device_listens_to(three: list[Rig]) -> None:
    """And its answer comes back, a large one too; nothing of either is in a table."""
    asker, listener, _ = (rig.controller.live for rig in three)
    leaf1, rows = device_actor("leaf1"), [{**SESSION, "hostname": f"host{n}"} for n in range(2_000)]
    came, over = threading.Event(), threading.Event()
    listener.on_question(lambda devices: came.set() if "leaf1" in devices else None)

    def agent() -> None:
        with listener.polling(leaf1) as number:
            while not over.is_set():
                came.wait(PATIENCE)
                came.clear()
                for question in listener.fetch(leaf1, number):
                    listener.answer(leaf1, Answer(question.id, Observed(tuple(rows), "test")))

    thread = threading.Thread(target=agent)
    thread.start()
    try:
        poll("the answer", lambda: asker.ask(ADMIN, "bgp-summary", {}, ["leaf1"]).devices[0].rows, PATIENCE)
        found = asker.ask(ADMIN, "bgp-summary", {}, ["leaf1", "leaf2"]).devices
    finally:
        over.set()
        came.set()
        thread.join()
    assert [row.hostname for row in found[0].rows] == [row["hostname"] for row in rows]
    assert found[0].error is None
    assert found[1].error is not None
    assert found[1].latency_ms < 3_000
