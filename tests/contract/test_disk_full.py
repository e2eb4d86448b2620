"""A disk that is full: a clear message, nothing lost, and all goes on when there is room again."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.agent_rig import Rig, items, vrf
from support.controlled import QUICKSTART
from support.shell import Shell, Up, underlace
from support.small_disk import fill, free, small_disk

pytestmark = pytest.mark.contract

TENANT = "kind: tenant\nname: {}\nspec: {{}}\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 24) as place:
        yield place


@pytest.fixture
def up(disk: Path) -> Iterator[Up]:
    """A controller whose data directory, and nothing else, is on the small disk. It holds the quickstart."""
    one = Up(disk / "data", log_file=disk.parent / "up.log")
    one.start()
    assert Shell(one, disk.parent)("apply", "-f", str(QUICKSTART)).code == 0
    yield one
    one.stop(signal.SIGKILL)


def tenants(shell: Shell) -> set[str]:
    found = shell("get", "tenant", "-o", "json")
    assert found.code == 0, found.err
    return {i["name"] for i in found.json}  # type: ignore[attr-defined]


def whole(store: Path) -> None:
    with closing(sqlite3.connect(store)) as c:
        assert c.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        revisions = [row[0] for row in c.execute("SELECT id FROM revision ORDER BY id")]
        assert revisions == list(range(1, len(revisions) + 1))


def test_a_controller_says_so_and_goes_on_when_there_is_room(up: Up, disk: Path) -> None:
    shell = Shell(up, disk.parent)
    fill(disk)
    answered, refused = tenants(shell), []
    for n in range(2_000):  # the log of the database has some room left
        done = shell("apply", "-f", "-", stdin=TENANT.format(f"t{n}"))
        if done.code:
            refused.append(done)
            break
        answered.add(f"t{n}")
    assert "error[store-unavailable]" in refused[0].err
    assert "Make room on the disk" in refused[0].err
    assert tenants(shell) >= answered, "reading goes on"
    backup = shell("backup", str(disk.parent / "copy"))
    assert backup.code == 1
    assert "error[backup-failed]" in backup.err
    assert "Make room on the disk" in backup.err

    free(disk)
    assert shell("apply", "-f", "-", stdin=TENANT.format("after")).code == 0
    assert tenants(shell) == answered | {"after"}
    up.stop(signal.SIGKILL)
    whole(up.data / "store.sqlite")
    up.start()
    assert tenants(shell) == answered | {"after"}


def test_a_controller_that_cannot_start_says_why(up: Up, disk: Path) -> None:
    shell = Shell(up, disk.parent)
    before = tenants(shell)
    up.stop(signal.SIGKILL)
    fill(disk)
    for damage in (lambda: None, (up.data / "ca" / "server.pem").unlink, up.data.joinpath("store.sqlite-shm").unlink):
        damage()
        started = underlace(disk.parent, "up", "--data", str(up.data), "--listen", "127.0.0.1:0", fresh=True)
        assert started.code == 1, started.err
        assert "error[data-not-written]" in started.err or "error[store-unavailable]" in started.err, started.err
        assert "room" in started.err
    free(disk)
    up.start()
    assert tenants(shell) == before


def test_a_first_start_on_a_full_disk_leaves_nothing_that_stands_in_the_way(disk: Path) -> None:
    """Whatever room there is: it starts, or says why; and with room it starts."""
    data = disk / "data"
    for leave in (0, 4_096, 16_384, 65_536, 131_072):
        fill(disk, leave)
        started = underlace(disk.parent, "up", "--data", str(data), "--listen", "127.0.0.1:0", fresh=True)
        assert started.code == 1, started.err
        codes = [
            c for c in ("data-unusable", "data-not-written", "store-unavailable") if f"error[{c}]" in started.err
        ]
        assert codes, started.err
        free(disk)
    up = Up(data, log_file=disk.parent / "up.log")
    up.start()
    assert up.stop() == 0
    if not up.context.exists():  # its token was made, and found no room
        assert underlace(disk.parent, "recover", "--data", str(data)).code == 0
    up.start()
    tenants(Shell(up, disk.parent))
    assert up.stop() == 0


def test_an_agent_says_so_keeps_the_device_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state", 1) as state:
        rig = Rig(state)
        old, new = {"vrf:red": [vrf("red")]}, {"vrf:red": [vrf("red")], "vrf:blue": [vrf("blue", 200)]}
        rig.settled_on(old)
        fill(state)
        rig.controller.want(new)
        rig.turns(2)
        assert rig.door.state == items(old)
        assert "agent-disk-failed" in rig.codes()
        rig.start().turns()
        assert rig.door.state == items(old), "also after a restart"
        free(state)
        rig.clock.pass_by(3600)
        rig.turns(2)
        assert rig.door.state == items(new)
        assert rig.controller.outcomes[-1] == "held"
        rig.controller.reachable = False
        rig.door.state = {}
        rig.start()
        assert rig.door.state == items(new), "what was confirmed is on the disk"
