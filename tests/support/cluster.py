"""Three real controllers of one PostgreSQL database, clients that write to them, and agents without devices."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from support.shell import Up
from underlace.agent.client import HttpsController, Refusal, Unreachable
from underlace.agent.desired import check_bodies, check_manifest
from underlace.agent.identity import Identity
from underlace.lab.control import ControllerError, ControllerGone, Rest
from underlace.model.device import L2Vni, decode_fragment
from underlace.model.wire import DesiredRequest, EnrolRequest, FragmentRequest, Manifest, Outcome, Report

LIMIT = 60.0
"""Seconds in which somebody has to give an answer."""

LOG = """
CREATE TABLE fragment_log (seq bigserial PRIMARY KEY, device text, scope text, hash text, revision bigint);
CREATE FUNCTION log_fragment() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'DELETE' THEN INSERT INTO fragment_log (device, scope) VALUES (OLD.device, OLD.scope);
  ELSE INSERT INTO fragment_log (device, scope, hash) VALUES (NEW.device, NEW.scope, encode(NEW.hash, 'hex')); END IF;
  RETURN NULL; END $$;
CREATE FUNCTION log_revision() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO fragment_log (revision) VALUES (NEW.id); RETURN NULL; END $$;
INSERT INTO fragment_log (device, scope, hash) SELECT device, scope, encode(hash, 'hex') FROM fragment;
INSERT INTO fragment_log (revision) SELECT max(id) FROM revision;
CREATE TRIGGER log_fragment AFTER INSERT OR UPDATE OF hash OR DELETE ON fragment
  FOR EACH ROW EXECUTE FUNCTION log_fragment();
CREATE TRIGGER log_revision AFTER INSERT ON revision FOR EACH ROW EXECUTE FUNCTION log_revision();
"""
"""The database itself notes what each revision did to fragments, beside whatever the controllers say."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """`start`, then `kill(n)` and `Up.start` as one likes."""

    def __init__(self, directory: Path, url: str, count: int = 3) -> None:
        self.url = url
        self.ups = [self._configured(directory / f"c{n}") for n in range(count)]
        self.rests: list[Rest] = []

    def start(self) -> None:
        self.ups[0].start()
        context = json.loads(self.ups[0].context.read_text())
        for one in self.ups[1:]:
            shutil.copytree(self.ups[0].data / "ca", one.data / "ca")
            one.start()
        self.rests = [Rest({**context, "url": f"https://{one.arguments[1]}"}) for one in self.ups]
        with psycopg.connect(self.url) as c:
            c.execute(LOG)

    def stop(self) -> None:
        for one in self.ups:
            if hasattr(one, "process") and one.process.poll() is None:
                one.stop(signal.SIGKILL)

    def manifests(self) -> dict[tuple[str, int], dict[str, str]]:
        """What each device should have held since each revision that changed it: {(device, revision): scopes}."""
        now: dict[str, dict[str, str]] = {}
        changed: set[str] = set()
        found = {}
        with psycopg.connect(self.url) as c:
            rows = c.execute("SELECT device, scope, hash, revision FROM fragment_log ORDER BY seq")
            for device, scope, hash_, revision in rows:
                if revision is not None:
                    found.update({(d, revision): dict(now[d]) for d in changed})
                    changed.clear()
                    continue
                changed.add(device)
                now.setdefault(device, {})[scope] = hash_
                if hash_ is None:
                    del now[device][scope]
        return found

    def _configured(self, home: Path) -> Up:
        settings = home / ".config" / "underlace" / "underlace.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'database = "{self.url}"\n')
        (home / "data").mkdir()
        return Up(home / "data", ("--listen", f"127.0.0.1:{free_port()}"))


class Worker(threading.Thread):
    """Runs `step` until told to end; the first thing that goes wrong is kept, and ends it."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.ending = threading.Event()
        self.wrong: BaseException | None = None

    def step(self) -> None:
        raise NotImplementedError

    def run(self) -> None:
        try:
            while not self.ending.is_set():
                self.step()
        except BaseException as fault:
            self.wrong = fault


class Writer(Worker):
    """Makes a VPC with a V-Net, then removes it, and so on. `answered`: (revision, name, whether made)."""

    def __init__(self, number: int, rests: list[Rest]) -> None:
        super().__init__(f"writer{number}")
        self._number, self._rests, self._turn, self._made = number, rests, number, 0
        self.answered: list[tuple[int, str, bool]] = []
        self.unanswered = 0
        self.lives = ""
        """The VPC that there is by the last answer."""

    def step(self) -> None:
        if self.lives:
            self._remove(self.lives)
            return
        self._made += 1
        name = f"w{self._number}-{self._made}"
        vnet = {"vpc": name, "ports": [{"port": f"swp{12 + self._number // 3}@leaf{self._number % 3 + 1}"}]}
        documents = [
            {"kind": "vpc", "tenant": "acme", "name": name, "spec": {}},
            {"kind": "vnet", "tenant": "acme", "name": name, "spec": vnet},
        ]
        self._done(self._ask(documents, []), name, True)

    def _remove(self, name: str) -> None:
        gone = [{"kind": kind, "tenant": "acme", "name": name} for kind in ("vnet", "vpc")]
        self._done(self._ask([], gone), name, False)

    def _done(self, revision: int, name: str, made: bool) -> None:
        self.answered.append((revision, name, made))
        self.lives = name if made else ""

    def _ask(self, documents: list[dict[str, Any]], delete: list[dict[str, str]]) -> int:
        """Until some controller answers. 0 where the answer was lost with its controller, but not what it did."""
        lost, until = False, time.monotonic() + LIMIT
        while True:
            try:
                said = self._rests[self._turn % len(self._rests)].apply(documents, delete)
                return 0 if lost else int(said["revision"])
            except ControllerGone:
                lost = True
                self.unanswered += 1
                self._turn += 1
            except ControllerError as refused:
                if lost and delete and {d.code for d in refused.diagnostics} <= {"not-found", "nothing-to-delete"}:
                    return 0
                raise
            assert time.monotonic() < until, f"no controller answers {self.name}"
            self.ending.wait(0.05)


@dataclass
class Got:
    """A manifest as it came, and what it says of V-Nets: {VNI: VRF}."""

    manifest: Manifest
    vnis: Mapping[int, str]
    at: float
    let_go: float = field(default=float("inf"))
    """When the controller had the word of a later one."""


class SimulatedAgent(Worker):
    """Polls, fetches and reports as an agent does, over the agent's own client; its device obeys at once."""

    def __init__(self, device: str, directory: Path, cluster: Cluster, turn: int) -> None:
        super().__init__(f"agent-{device}")
        self.device, self.have = device, ""
        self.got: list[Got] = []
        self.served: list[float] = []
        self._bodies: dict[str, bytes] = {}
        directory.mkdir(parents=True)
        self._identity = Identity(directory, device)
        ca = directory / "trusted.pem"
        ca.write_text(cluster.rests[0].ca)
        urls = [f"https://{rest.host}:{rest.port}" for rest in cluster.rests]
        self._controller = HttpsController(
            [*urls[turn:], *urls[:turn]], (ca, self._identity.ca), self._identity.pem, None, 10.0
        )
        token = cluster.rests[0].enrolment(device)
        self._identity.install(self._controller.enrol(EnrolRequest(device, token, self._identity.request())))

    def step(self) -> None:
        try:
            manifest = self._controller.desired(DesiredRequest(self.have, 2.0))
            self.served.append(time.monotonic())
            if manifest is not None:
                self._take(manifest)
        except Unreachable:
            self.ending.wait(0.05)
        except Refusal as refusal:
            if not refusal.outdated:
                raise

    def close(self) -> None:
        self._controller.forget()

    def _take(self, manifest: Manifest) -> None:
        check_manifest(manifest, self.device)
        lacking = tuple(sorted(set(manifest.scopes.values()) - self._bodies.keys()))
        if lacking:
            sent = self._controller.fragments(FragmentRequest(lacking))
            self._bodies |= check_bodies(self.device, sent.bodies, lacking)
        objects = [o for name in manifest.scopes.values() for o in decode_fragment(self._bodies[name])]
        vnis = {o.vni: o.vrf for o in objects if isinstance(o, L2Vni)}
        self.got.append(Got(manifest, vnis, time.monotonic()))
        if self._controller.report(self._report(manifest, Outcome.APPLIED)).confirmed != manifest.digest:
            return  # another one is wanted by now
        # From here on the controller may believe that everything before has gone; not before it has been asked.
        before, asked = self.got[:-1], time.monotonic()
        self._controller.report(self._report(manifest, Outcome.HELD))
        for one in before:
            one.let_go = min(one.let_go, asked)
        self.have = manifest.digest

    def _report(self, m: Manifest, outcome: Outcome) -> Report:
        return Report(m.device, outcome, m.revision, m.digest, m.scopes, "0.1.0", "linux", "8.4.4", "")


def poll(what: str, ready: Callable[[], object], limit: float = LIMIT) -> None:
    until = time.monotonic() + limit
    while not ready():
        assert time.monotonic() < until, f"waited {limit:g} s for {what}"
        time.sleep(0.05)
