"""Three controllers on one database, killed one after the other, under clients that write and agents that listen."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from support.cluster import Cluster, Got, SimulatedAgent, Worker, Writer, poll
from support.controlled import ADMIN, NOW, QUICKSTART, PlainDriver, Rig
from support.postgres import PostgresServer
from underlace.controller.controller import Controller
from underlace.lab import intent
from underlace.model.ids import Ref
from underlace.store import ledger
from underlace.store.store import Store

# Python's ssl forgets to close a socket that the other end resets between connect and handshake, as the killed do.
FORGOTTEN = "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings(FORGOTTEN)]

DEVICES = ("leaf1", "leaf2", "leaf3", "spine1", "spine2")
SILENCE = 20.0
"""Most seconds that an agent may be without an answer; it has to turn to another controller, no more."""


@pytest.fixture
def cluster(postgres: PostgresServer, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, postgres.database())
    try:
        made.start()
        made.rests[0].apply(intent.read(QUICKSTART).documents)
        yield made
    finally:
        made.stop()


class Killer(Worker):
    """Kills the controllers in turn, and starts each again."""

    def __init__(self, cluster: Cluster, every: float) -> None:
        super().__init__("killer")
        self._cluster, self._every, self.kills = cluster, every, 0

    def step(self) -> None:
        self.ending.wait(self._every)
        one = self._cluster.ups[self.kills % len(self._cluster.ups)]
        one.stop(signal.SIGKILL)
        self.kills += 1
        self.ending.wait(self._every / 3)
        one.start()


class Observer(Worker):
    """Compiles everything from nothing, now and then, and compares it with what the controllers have stored."""

    def __init__(self, rig: Rig) -> None:
        super().__init__("observer")
        self._rig, self.looks = rig, 0

    def step(self) -> None:
        self._rig.check_derived()
        self.looks += 1
        self.ending.wait(1.0)


def observer_of(cluster: Cluster) -> Rig:
    store = Store.open(cluster.url)
    return Rig(Path(), Controller(store, {"linux": PlainDriver()}, clock=lambda: NOW), store)


def run(cluster: Cluster, directory: Path, seconds: float, every: float) -> None:
    began = time.monotonic()
    agents = [SimulatedAgent(d, directory / d, cluster, n % 3) for n, d in enumerate(DEVICES)]
    writers = [Writer(n, cluster.rests) for n in range(8)]
    killer = Killer(cluster, every)
    with closing(observer_of(cluster)) as rig:
        observer = Observer(rig)
        workers: list[Worker] = [*agents, *writers, killer, observer]
        for worker in workers:
            worker.start()
        poll("the time to be over", lambda: time.monotonic() > began + seconds or any(w.wrong for w in workers), 1e9)
        for ending in ([killer], writers):
            for worker in ending:
                worker.ending.set()
            for worker in ending:
                worker.join(120)
        _raise(workers)
        poll("all devices to hold all", lambda: _all_hold(cluster) or _raise(workers))
        for worker in workers:
            worker.ending.set()
        for worker in workers:
            worker.join(60)
            assert not worker.is_alive(), worker.name
        _raise(workers)
        for agent in agents:
            agent.close()
        assert killer.kills >= 3
        assert observer.looks >= 3
        rig.check_derived()
        check_writes(rig, writers)
    check_numbers(cluster, agents)
    check_manifests(cluster, agents)
    for agent in agents:
        gaps = [b - a for a, b in pairwise(agent.served)]
        assert max(gaps) < SILENCE, f"{agent.device} was without a controller"


def _raise(workers: list[Worker]) -> None:
    for worker in workers:
        if worker.wrong is not None:
            raise AssertionError(f"{worker.name}: {worker.wrong!r}") from worker.wrong


def _all_hold(cluster: Cluster) -> bool:
    devices = cluster.rests[0].get("/v1/devices")["items"]
    return {d["name"] for d in devices if d["state"] == "in-sync"} == set(DEVICES)


def check_writes(rig: Rig, writers: list[Writer]) -> None:
    """What was answered is there, in the revision that the answer named; revisions have no holes."""
    with rig.store.read() as c:
        ids = [row[0] for row in c.exec_driver_sql("SELECT id FROM revision ORDER BY id")]
        assert ids == list(range(1, len(ids) + 1))
        answers = [answer for writer in writers for answer in writer.answered]
        named = [revision for revision, _, _ in answers if revision]
        assert len(named) > 50, "hardly anything was written"
        assert len(set(named)) == len(named), "two answers name one revision"
        for revision, name, made in answers:
            if revision:
                done = {(v.ref.kind, v.ref.name): v.spec is not None for v in ledger.changed_at(c, revision)}
                assert done == {("vpc", name): made, ("vnet", name): made}
    found = {i.name for i in rig.controller.find(ADMIN, "vpc", "acme", limit=1_000).items}
    assert {n for n in found if n.startswith("w")} == {w.lives for w in writers if w.lives}
    for writer in writers:
        if writer.lives:
            assert rig.controller.get(ADMIN, Ref("vnet", "acme", writer.lives)).status.state == "Active"


def check_numbers(cluster: Cluster, agents: list[SimulatedAgent]) -> None:
    """No number is with two at a time, and none is kept by nobody."""
    with psycopg.connect(cluster.url) as c:
        assert c.execute("SELECT pool, value FROM number WHERE owner IS NULL").fetchall() == []
        assert c.execute("SELECT * FROM quarantine").fetchall() == []
    held: dict[int, list[tuple[str, Got]]] = {}
    for agent in agents:
        for got in agent.got:
            for vni, vrf in got.vnis.items():
                held.setdefault(vni, []).append((vrf, got))
    for vni, holders in held.items():
        for vrf, one in holders:
            for other_vrf, other in holders:
                apart = one.let_go <= other.at or other.let_go <= one.at
                assert vrf == other_vrf or apart, f"VNI {vni} with {vrf} and {other_vrf} at once"


def check_manifests(cluster: Cluster, agents: list[SimulatedAgent]) -> None:
    """Each manifest is what its revision says of the device, and nothing between two revisions."""
    wanted = cluster.manifests()
    for agent in agents:
        assert agent.got, agent.device
        for got in agent.got:
            assert wanted.get((agent.device, got.manifest.revision)) == got.manifest.scopes, got.manifest
        revisions = [got.manifest.revision for got in agent.got]
        assert revisions == sorted(revisions), f"{agent.device} was told an older state after a newer one"


@pytest.mark.timeout(240)
def test_three_controllers_of_which_one_dies_every_few_seconds(cluster: Cluster, tmp_path: Path) -> None:
    run(cluster, tmp_path / "agents", 30.0, every=3.0)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_the_same_for_ten_minutes(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """`make test-long ARGS="--seconds 3600"` for another duration."""
    run(cluster, tmp_path / "agents", float(request.config.getoption("--seconds")), every=15.0)
