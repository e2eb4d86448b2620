"""The state file: what a lab started is found again and ended, and nothing else ever is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from underlace.lab.state import FILE, MARK, Process, State, is_running, lineage, marked, start_time


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import signal; print(flush=True); signal.pause()"], stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_recorded_process_is_found_again(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    State.create(tmp_path / "lab").record("device", "leaf1", sleeper.pid)
    found = State.load(tmp_path / "lab")
    assert found is not None
    process = found.running("device", "leaf1")
    assert process is not None
    assert process.pid == sleeper.pid
    assert sleeper.pid in found.alive()


def test_a_recycled_pid_is_not_ours(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    state = State.create(tmp_path / "lab")
    line = f'{{"role":"device","name":"leaf1","pid":{sleeper.pid},"start":{start_time(sleeper.pid) - 1}}}\n'
    with open(state.directory / FILE, "a") as file:
        file.write(line)
    assert state.running("device", "leaf1") is None
    state.end()
    assert sleeper.poll() is None, "a process that is not ours was killed"
    assert not state.directory.exists()


def test_a_zombie_does_not_run() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert start_time(pid) == 0
    os.waitpid(pid, 0)


def test_a_process_that_was_never_recorded_is_found_by_its_mark(tmp_path: Path) -> None:
    state = State.create(tmp_path / "lab")
    argv = [sys.executable, "-c", "import signal; print(flush=True); signal.pause()"]
    process = subprocess.Popen(argv, stdout=-1, env={**os.environ, MARK: state.identity})
    assert process.stdout is not None
    try:
        process.stdout.readline()
        assert marked(state.identity) == {process.pid}
        state.end()
        process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not state.directory.exists()


def test_a_lab_does_not_end_whoever_ends_it(tmp_path: Path) -> None:
    state = State.create(tmp_path / "lab")
    state.record("device", "self", os.getpid())
    assert state.alive() == set()
    assert {os.getpid(), os.getppid()} <= lineage()


def test_a_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    state = State.create(tmp_path / "lab", intent="here")
    state.note(port=1)
    with open(state.directory / FILE, "a") as file:
        file.write('{"role":"dev')
    assert state.facts()["port"] == 1
    assert state.facts()["simulated"] is True


def test_a_directory_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "photos").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        State.create(tmp_path)


@pytest.mark.parametrize("step", range(4))
def test_an_end_that_was_interrupted_is_followed_by_another(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At any step: before a kill, before a file or a directory goes."""
    state = State.create(tmp_path / "lab")
    state.record("device", "leaf1", sleeper.pid)
    (tmp_path / "lab" / "logs").mkdir()
    (tmp_path / "lab" / "intent.json").touch()
    reaper = threading.Thread(target=sleeper.wait)
    reaper.start()
    left = iter(range(step, -1, -1))
    with monkeypatch.context() as patched:
        for module, name in ((os, "kill"), (shutil, "rmtree"), (Path, "unlink")):
            patched.setattr(module, name, interrupted(getattr(module, name), left))
        with pytest.raises(KeyboardInterrupt):
            state.end()
    again = State.load(tmp_path / "lab")
    assert again is not None, "nothing says any more that there is half a lab"
    again.end()
    reaper.join(10)
    assert sleeper.returncode is not None
    assert not (tmp_path / "lab").exists()


def interrupted(step: Callable[..., object], left: Iterator[int]) -> Callable[..., object]:
    """The step, until none is left: then Ctrl-C comes instead."""

    def do(*given: object, **more: object) -> object:
        if next(left) == 0:
            raise KeyboardInterrupt
        return step(*given, **more)

    return do


def test_a_lab_that_was_killed_while_it_began_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / f"{FILE}.new").write_text('{"lab":')
    State.create(tmp_path)
    assert State.load(tmp_path) is not None


def test_no_lab_and_no_state_file_are_two_things(tmp_path: Path) -> None:
    assert State.load(tmp_path) is None
    (tmp_path / FILE).write_text("no state\n")
    with pytest.raises(ValueError, match="is not the state file"):
        State.load(tmp_path)


def test_pid_zero_never_runs() -> None:
    assert not is_running(Process("x", "", 0, 0))
