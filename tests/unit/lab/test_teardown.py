"""What a killed command left is removed by the next one; what belongs to others is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import fabric
from underlace.lab.place import command
from underlace.lab.state import FILE, State, this_process
from underlace.lab.teardown import sweep, tear_down

PREFIX = "underlace-demo-"


@pytest.fixture
def gone() -> tuple[int, int]:
    """Pid and start time of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid, 1


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def lab(directory: Path, owner: tuple[int, int], process: subprocess.Popen[bytes]) -> Path:
    State.create(directory, owner=list(owner)).record("device", "leaf1", process.pid)
    return directory


def reaped(process: subprocess.Popen[bytes]) -> bool:
    """Whether it was killed. Only its parent, which is this process, can bury it."""
    try:
        return process.wait(timeout=5) != 0
    except subprocess.TimeoutExpired:
        return False


def test_a_lab_whose_owner_is_gone_is_removed(
    tmp_path: Path, gone: tuple[int, int], sleeper: subprocess.Popen[bytes]
) -> None:
    left = lab(tmp_path / f"{PREFIX}x", gone, sleeper)
    sweep(tmp_path, PREFIX)
    assert reaped(sleeper)
    assert not left.exists()


def test_a_lab_whose_owner_runs_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    used = lab(tmp_path / f"{PREFIX}x", this_process(), sleeper)
    sweep(tmp_path, PREFIX)
    assert sleeper.poll() is None
    assert used.exists()


def test_a_lab_of_another_user_is_left_alone(
    tmp_path: Path, gone: tuple[int, int], sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may write into /tmp: a state file there must not choose which of our processes are killed."""
    planted = lab(tmp_path / f"{PREFIX}x", gone, sleeper)
    monkeypatch.setattr(os, "geteuid", lambda: planted.stat().st_uid + 1)
    sweep(tmp_path, PREFIX)
    assert sleeper.poll() is None
    assert planted.exists()


def test_what_is_no_lab_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}empty").mkdir()
    (tmp_path / f"{PREFIX}other").mkdir()
    (tmp_path / f"{PREFIX}other" / FILE).write_text("notes\n")
    (tmp_path / f"{PREFIX}file").touch()
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path, PREFIX)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupted_removal_says_how_to_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    State.create(tmp_path / "lab")

    def interrupted(state: State) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(State, "end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tear_down(tmp_path / "lab")
    assert command(tmp_path / "lab", "down") in capsys.readouterr().err


def test_labs_of_killed_test_runs_are_reaped(
    tmp_path: Path, gone: tuple[int, int], sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fabric, "TEMPORARY", tmp_path)
    left = tmp_path / f"{fabric.PLACES}{gone[0]}-{gone[1]}-abc"
    left.mkdir()
    lab(left / "fabric", (0, 0), sleeper)
    mine = fabric.new_place()
    assert reaped(sleeper)
    assert sorted(tmp_path.iterdir()) == [mine]
