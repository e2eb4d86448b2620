"""The whole agent in a process of its own, with a real controller's side over HTTPS and a device in memory."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.agent_rig import DEVICE, Scopes, port, vrf
from support.https_controller import TOKEN, Authority, HttpsServer
from support.memory_door import MemoryDoor, MemoryDriver
from underlace.agent.config import AgentConfig
from underlace.agent.main import load_driver, main, run
from underlace.model.device import encode_fragment, hash_fragment
from underlace.model.diagnostic import Refused
from underlace.model.wire import Manifest, manifest_digest

RED = {"base": [port("swp1")], "vrf:red": [vrf("red")]}
BLUE = {"base": [port("swp1")], "vrf:blue": [vrf("blue")]}


class Bench:
    """A server, and agents forked as the lab forks them."""

    def __init__(self, directory: Path, server: HttpsServer) -> None:
        self.server, self.directory, self.log = server, directory, directory / "log"
        (directory / "ca.pem").write_text(server.authority.pem)
        (directory / "token").write_text(TOKEN)
        self.config = AgentConfig(
            device=DEVICE,
            controllers=(server.url,),
            ca=str(directory / "ca.pem"),
            state_dir=str(directory / "state"),
            token_file=str(directory / "token"),
            simulated=True,
        )

    def want(self, scopes: Scopes, confirm_within: float = 30.0) -> str:
        hashes = {}
        for scope, objects in scopes.items():
            body = encode_fragment(objects)
            hashes[scope] = hash_fragment(body)
            self.server.bodies[hashes[scope]] = body.decode()
        self.server.manifest = Manifest(DEVICE, 1, manifest_digest(hashes), hashes, confirm_within)
        return self.server.manifest.digest

    def child(self, once: bool = False) -> multiprocessing.process.BaseProcess:
        process = multiprocessing.get_context("fork").Process(target=self._child, args=(once,))
        process.start()
        return process

    def _child(self, once: bool) -> None:
        with self.log.open("a") as stream:
            code = main(self.config, MemoryDriver(), MemoryDoor(), once=once, stream=stream)
        os._exit(code)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def bench(tmp_path: Path, authority: Authority) -> Iterator[Bench]:
    with HttpsServer(tmp_path, authority) as server:
        yield Bench(tmp_path, server)


def until(what: str, holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.01)


def ended(process: multiprocessing.process.BaseProcess, seconds: float = 20.0) -> int | None:
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        pytest.fail("the agent did not end")
    return process.exitcode


def test_once_enrols_applies_confirms_and_ends(bench: Bench) -> None:
    digest = bench.want(RED)
    assert ended(bench.child(once=True)) == 0
    assert [(str(r.outcome), r.digest, r.simulated) for r in bench.server.reports] == [
        ("applied", digest, True),
        ("held", digest, True),
    ]
    assert {name for verb, name, _ in bench.server.seen if verb != "enrol"} == {DEVICE}


def test_once_without_a_controller_says_so_by_its_code(bench: Bench) -> None:
    bench.server.close()
    assert ended(bench.child(once=True)) == 1
    assert "controller-away" in bench.events()


def test_sigterm_ends_a_held_poll_at_once(bench: Bench) -> None:
    digest = bench.want(RED)
    process = bench.child()
    until("the poll", lambda: bool(bench.server.reports) and bench.server.reports[-1].outcome == "held")
    asked = len(bench.server.seen)
    until("the next poll", lambda: len(bench.server.seen) > asked or bench.server.seen[-1][0] == "desired")
    began = time.monotonic()
    os.kill(process.pid or 0, signal.SIGTERM)
    assert ended(process) == 0
    assert time.monotonic() - began < 5.0
    assert bench.events()[-1] == "stop"
    assert bench.server.reports[-1].digest == digest


def test_sigterm_takes_an_unconfirmed_change_back(bench: Bench) -> None:
    bench.server.confirms = False
    bench.want(RED, confirm_within=600.0)
    process = bench.child()
    until("the change", lambda: bool(bench.server.reports) and bench.server.reports[-1].outcome == "applied")
    os.kill(process.pid or 0, signal.SIGTERM)
    assert ended(process) == 0
    assert bench.server.reports[-1].outcome == "reverted"


def test_sighup_tries_a_rejected_manifest_at_once(bench: Bench) -> None:
    bench.server.confirms = False
    digest = bench.want(RED, confirm_within=0.2)
    process = bench.child()
    try:
        until("the revert", lambda: bool(bench.server.reports) and bench.server.reports[-1].rejected == digest)
        bench.server.confirms = True
        os.kill(process.pid or 0, signal.SIGHUP)
        until("another try", lambda: bench.server.reports[-1].outcome == "held", seconds=15.0)
    finally:
        os.kill(process.pid or 0, signal.SIGTERM)
        ended(process)


def test_second_agent_on_the_same_state_is_refused(bench: Bench) -> None:
    bench.want(RED)
    first = bench.child()
    try:
        until("the first agent", lambda: bool(bench.server.reports))
        assert ended(bench.child()) == 3
        assert "state-directory-unusable" in bench.events()
    finally:
        os.kill(first.pid or 0, signal.SIGTERM)
        assert ended(first) == 0


def test_sigkill_leaves_a_state_that_the_next_agent_takes_up(bench: Bench) -> None:
    bench.want(RED)
    process = bench.child()
    until("the state", lambda: bool(bench.server.reports) and bench.server.reports[-1].outcome == "held")
    process.kill()
    process.join()
    bench.want(BLUE)
    assert ended(bench.child(once=True)) == 0
    assert bench.server.reports[-1].outcome == "held"
    assert set(bench.server.reports[-1].scopes) == set(BLUE)


@pytest.mark.parametrize("name", ["nos_of_nobody", "../linux", "os.path", ""])
def test_unknown_driver_is_refused_with_a_remedy(bench: Bench, name: str) -> None:
    import msgspec

    with pytest.raises(Refused, match="agent-driver-unusable"):
        load_driver(msgspec.structs.replace(bench.config, driver=name))


def test_command_line_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(tmp_path / "none.json")], {}) == 2
    assert "remedy:" in capsys.readouterr().err
    assert run(["--twice"], {}) == 2
    assert capsys.readouterr().err.startswith("usage:")
