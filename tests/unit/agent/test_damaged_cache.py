"""Any file of an agent's cache, damaged in any way: the device is left alone, and the controller puts it right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.agent_rig import Rig, items, port, vrf

SCOPES = {"vrf:red": [vrf("red")], "port:swp1": [port("swp1")]}
LATER = {**SCOPES, "vrf:blue": [vrf("blue", 200)]}

DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "bit flip": lambda whole, at: whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :],
    "truncated": lambda whole, at: whole[:at],
    "empty": lambda whole, at: b"",
    "zeros": lambda whole, at: bytes(len(whole)),
}


def files(directory: Path) -> list[Path]:
    return sorted(p for p in directory.rglob("*") if p.is_file() and not p.name.endswith(".corrupt"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_restart_on_a_damaged_file_changes_nothing_and_the_controller_mends_it(
    tmp_path: Path, damage: str, share: float
) -> None:
    names = [p.relative_to(tmp_path / "first") for p in _kept(tmp_path / "first")]
    assert len(names) >= 5
    for number, name in enumerate(names):
        directory = tmp_path / str(number)
        rig = Rig(directory)
        rig.settled_on(SCOPES)
        path = directory / name
        whole = path.read_bytes()
        path.write_bytes(DAMAGES[damage](whole, int(len(whole) * share)))
        done = len(rig.door.done)
        rig.controller.reachable = False
        rig.start().turns(2)
        assert rig.door.state == items(SCOPES), name
        assert len(rig.door.done) == done, name
        rig.controller.reachable = True
        rig.controller.want(LATER)
        rig.turns(3)
        assert rig.door.state == items(LATER), name
        assert rig.controller.outcomes[-1] == "held", name
        if name.name != "good.txt":  # for people only: nothing reads it
            assert "agent-cache-damaged" in rig.codes(), name
        rig.controller.reachable = False
        rig.door.state = {}
        rig.start()
        assert rig.door.state == items(LATER), f"{name}: what was confirmed since is not remembered"


def _kept(directory: Path) -> list[Path]:
    Rig(directory).settled_on(SCOPES)
    return files(directory)
