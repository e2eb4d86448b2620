"""Room in the kernel's neighbour tables."""

from __future__ import annotations

from pathlib import Path

from underlace.drivers.linux import limits


def _settings(root: Path, family: str, **values: int) -> Path:
    place = root / family / "neigh" / "default"
    place.mkdir(parents=True)
    for name, value in values.items():
        (place / name).write_text(f"{value}\n")
    return place


def test_room_is_made_where_there_is_less(tmp_path: Path) -> None:
    four = _settings(tmp_path, "ipv4", gc_thresh1=128, gc_thresh2=512, gc_thresh3=1024)
    six = _settings(tmp_path, "ipv6", gc_thresh1=128, gc_thresh2=1 << 20, gc_thresh3=1 << 20)
    raised = limits.make_room(tmp_path)
    assert raised == ["ipv4/gc_thresh3", "ipv4/gc_thresh2", "ipv4/gc_thresh1", "ipv6/gc_thresh1"]
    assert {f.name: int(f.read_text()) for f in four.iterdir()} == limits.ROOM
    assert int((six / "gc_thresh3").read_text()) == 1 << 20
    assert limits.make_room(tmp_path) == []


def test_a_guest_of_another_machine_leaves_its_tables_alone(tmp_path: Path) -> None:
    """The settings exist in the machine's first namespace only."""
    assert limits.make_room(tmp_path) == []
