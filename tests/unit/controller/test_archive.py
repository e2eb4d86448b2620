"""Backup files: whole, private, and all or nothing on the way back."""

from __future__ import annotations

import errno
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.controlled import ADMIN, NOW, Rig, doc, quickstart, rig
from support.killed import file_steps, killed_at
from underlace.access import Actor, Role
from underlace.controller import archive
from underlace.controller.archive import Archive
from underlace.controller.authority import Authority
from underlace.controller.directory import DataDirectory
from underlace.model.diagnostic import Refused

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "data").mkdir()
    opened = rig(tmp_path / "data")
    opened.put(*quickstart())
    Authority(tmp_path / "data" / "ca")
    yield opened
    opened.close()


def saved(fabric: Rig) -> Path:
    directory = DataDirectory.open(fabric.path)
    file = fabric.path.parent / "b.tar"
    with Archive(fabric.controller.backup, directory).pack(ADMIN) as whole, file.open("wb") as out:
        assert list(fabric.path.glob(".*")) == [], "nothing that a crash would leave behind"
        out.write(whole.read())
    directory.close()
    return file


def names(path: Path) -> list[str]:
    return sorted(str(f.relative_to(path)) for f in path.rglob("*"))


def code(file: Path, data: Path) -> str:
    """What a restore of the file into a directory is refused for."""
    directory = DataDirectory.open(data)
    with pytest.raises(Refused) as refused:
        archive.unpack(file, directory, NOW)
    directory.discard()
    return refused.value.diagnostics[0].code


def test_who_may_not_have_a_backup_leaves_nothing(fabric: Rig) -> None:
    directory = DataDirectory.open(fabric.path)
    before = names(fabric.path)
    with pytest.raises(Refused):
        Archive(fabric.controller.backup, directory).pack(Actor("olga", Role.OPERATOR))
    assert names(fabric.path) == before
    directory.close()


def test_another_ca_is_kept_beside_the_one_of_the_backup(fabric: Rig, tmp_path: Path) -> None:
    file = saved(fabric)
    Authority(tmp_path / "other" / "ca")
    own = (tmp_path / "other" / "ca" / "ca.key").read_bytes()
    directory = DataDirectory.open(tmp_path / "other")
    done = archive.unpack(file, directory, NOW)
    directory.close()
    assert [k.name for k in done.kept] == ["ca.key.before-restore", "ca.pem.before-restore"]
    assert done.kept[0].read_bytes() == own
    assert done.kept[0].stat().st_mode & 0o077 == 0
    assert (tmp_path / "other" / "ca" / "ca.key").read_bytes() == (fabric.path / "ca" / "ca.key").read_bytes()


@pytest.mark.parametrize("missing", ["underlace.json", "store.sqlite", "ca/ca.key", "ca/ca.pem"])
def test_a_backup_with_a_part_missing_leaves_nothing(fabric: Rig, tmp_path: Path, missing: str) -> None:
    whole, part = saved(fabric), tmp_path / "part.tar"
    with tarfile.open(whole) as one, tarfile.open(part, "w") as other:
        for entry in one:
            if entry.name != missing:
                other.addfile(entry, one.extractfile(entry))
    assert code(part, tmp_path / "new" / "data") == "backup-unusable"
    assert not (tmp_path / "new").exists()


def test_a_backup_that_ends_early_leaves_nothing(fabric: Rig, tmp_path: Path) -> None:
    file = saved(fabric)
    file.write_bytes(file.read_bytes()[:-40_000])
    assert code(file, tmp_path / "new") in ("backup-unusable", "backup-unreadable")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_nothing(fabric: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(fabric)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "there").mkdir()
    for step in ("shutil.copyfileobj", "underlace.store.backup.put_in_place", "underlace.store.backup.copy"):
        with monkeypatch.context() as patched:
            patched.setattr(step, full)
            assert code(file, tmp_path / "new") == "restore-failed"
            assert code(file, tmp_path / "there") == "restore-failed"
        assert not (tmp_path / "new").exists(), step
        assert names(tmp_path / "there") == [], step


def test_a_backup_that_is_killed_leaves_nothing_for_long(fabric: Rig) -> None:
    """What lies aside is a copy of the store and of its keys: it goes with the next start."""

    def back_up() -> None:
        Archive(fabric.controller.backup, DataDirectory.open(fabric.path)).pack(ADMIN)

    before, step, left = names(fabric.path), 1, 0
    while killed_at(step, back_up, file_steps):
        left += names(fabric.path) != before
        DataDirectory.open(fabric.path).close()
        assert set(names(fabric.path)) - {"controller.pid"} == set(before) - {"controller.pid"}, f"step {step}"
        step += 1
    assert left > 2
    fabric.check_derived()


def test_a_restore_that_is_killed_is_done_again_and_loses_nothing(fabric: Rig, tmp_path: Path) -> None:
    """At each step: the old store or the new one is there, whole; the old one and its CA are never lost."""
    file = saved(fabric)
    target = tmp_path / "target"
    target.mkdir()
    old = rig(target)
    old.put(doc("tenant", "precious"))
    old.close()
    Authority(target / "ca")
    keys = {name: (target / "ca" / name).read_bytes() for name in ("ca.key", "ca.pem")}

    def restore() -> None:
        archive.unpack(file, DataDirectory.open(target), NOW, replace=True)

    step, codes = 1, set[str]()
    while killed_at(step, restore, file_steps):
        directory = DataDirectory.open(target)
        assert list(target.glob(".*")) == [], f"step {step}"
        assert {"old", "new"} & whose(target / "store.sqlite"), f"step {step}: neither store"
        stores = [p for p in target.glob("store.sqlite*") if not p.name.endswith(("-shm", "-wal"))]
        assert any("old" in whose(p) for p in stores), f"step {step}: the old store is lost"
        for name, body in keys.items():
            assert body in [p.read_bytes() for p in (target / "ca").glob(f"{name}*")], f"step {step}: {name} is lost"
        try:
            Authority(target / "ca")
        except Refused as mixed:  # the key of one CA, the certificate of the other: no controller starts on that
            codes |= {d.code for d in mixed.diagnostics}
        directory.close()
        step += 1
    assert step > 10
    assert codes == {"authority-damaged"}
    assert "new" in whose(target / "store.sqlite")
    assert (target / "ca" / "ca.key").read_bytes() == (fabric.path / "ca" / "ca.key").read_bytes()


def whose(store: Path) -> set[str]:
    """Whether a store is the one from before the restore, or the restored one."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as c:
        found = {row[0] for row in c.execute("SELECT name FROM resource")}
    return {whose for whose, name in (("old", "precious"), ("new", "red")) if name in found}
