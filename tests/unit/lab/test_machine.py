"""A machine that cannot run a lab is told what it lacks, and what to do about it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from underlace.lab import machine, userns
from underlace.model.diagnostic import Diagnostic, Refused

DENIED = "[Errno 1] unshare: Operation not permitted"


def found(refused: str, settings: Mapping[str, str]) -> list[Diagnostic]:
    return list(machine.namespaces(refused, settings.get))


def test_what_works_is_not_questioned() -> None:
    """Ubuntu has programs that AppArmor lets pass: the trial counts, not the setting."""
    assert found("", {"kernel.apparmor_restrict_unprivileged_userns": "1"}) == []


@pytest.mark.parametrize(
    ("name", "forbids", "allows"),
    [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user.max_user_namespaces", "0", "15000"),
        ("user.max_net_namespaces", "0", "15000"),
    ],
)
def test_a_setting_that_forbids_is_named_with_the_line_that_changes_it(name: str, forbids: str, allows: str) -> None:
    every = {one.name: one.allows for one in machine.RESTRICTIONS}
    (told,) = found(DENIED, {**every, name: forbids})
    assert told.code == "lab-user-namespaces"
    assert f"{name} is {forbids}: {DENIED}" in str(told)
    assert f"sysctl -w {name}={allows};" in told.remedy
    assert f"{name} = {allows} into /etc/sysctl.d/" in told.remedy
    assert "as root" in told.remedy


def test_all_settings_that_forbid_are_told_at_once() -> None:
    told = found(DENIED, {"user.max_user_namespaces": "0", "kernel.unprivileged_userns_clone": "0"})
    assert len(told) == 2


def test_where_no_setting_forbids_it_the_kernel_s_words_are_told() -> None:
    (told,) = found(DENIED, {"kernel.unprivileged_userns_clone": "1"})
    assert DENIED in str(told)
    assert "container" in told.remedy
    assert "as root" in told.remedy


def test_settings_are_read_where_the_kernel_shows_them(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "unprivileged_userns_clone").write_text("0\n")
    assert machine.setting("kernel.unprivileged_userns_clone", tmp_path) == "0"
    assert machine.setting("kernel.apparmor_restrict_unprivileged_userns", tmp_path) is None


def test_root_s_programs_are_found_where_an_ordinary_user_does_not_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbin").mkdir()
    for name in machine.PROGRAMS:
        (tmp_path / "sbin" / name).touch(mode=0o755)
    monkeypatch.setattr(machine.frr, "DEVICE_DAEMONS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("underlace.lab.process.SYSTEM_PROGRAMS", (str(tmp_path / "nothing"),))
    (told,) = machine.programs()
    assert "the program nft is missing" in str(told)
    assert "apt-get install" in told.remedy
    monkeypatch.setattr("underlace.lab.process.SYSTEM_PROGRAMS", (str(tmp_path / "sbin"),))
    assert list(machine.programs()) == []


@pytest.mark.parametrize("user", [0, 1_000])
def test_only_an_ordinary_user_needs_a_user_namespace(monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    monkeypatch.setattr(machine, "programs", lambda: iter(()))
    monkeypatch.setattr(machine, "tried", lambda: DENIED)
    monkeypatch.setattr(userns.os, "geteuid", lambda: user)
    if user == 0:
        machine.refuse()
        return
    with pytest.raises(Refused) as told:
        machine.refuse()
    assert {one.code for one in told.value.diagnostics} == {"lab-user-namespaces"}


def test_a_limit_of_open_files_that_would_end_zebra_is_told_before_anything_starts() -> None:
    assert list(machine.open_files(9_024, 9_024)) == []
    (told,) = machine.open_files(4_096, 9_024)
    assert told.code == "lab-open-files"
    assert "needs 9024 descriptors, the hard limit is 4096" in str(told)
    assert "nofile 9024" in told.remedy


def test_a_trial_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", f"a warning\n{DENIED}\n")

    monkeypatch.setattr(subprocess, "run", run)
    assert machine.tried() == DENIED
