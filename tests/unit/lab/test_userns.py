"""An ordinary user's lab: root inside, entered as root, with accounts that FRR accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from underlace.lab import userns
from underlace.lab.namespace import Namespace
from underlace.lab.process import environment, search_path
from underlace.lab.state import MARK

LEAF = Namespace("leaf1", 77, True, "abc")


def test_root_enters_a_lab_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userns.os, "geteuid", lambda: 0)
    assert LEAF.as_root() == []
    assert not any("user" in word for word in LEAF.command(["true"]))


def test_an_ordinary_user_enters_its_lab_as_root_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the credentials kept, nsenter would ask for groups that a single mapped id does not have."""
    monkeypatch.setattr(userns.os, "geteuid", lambda: 1_000)
    entering = ["nsenter", "--user=/proc/77/ns/user", "--preserve-credentials"]
    assert LEAF.as_root() == [*entering, "--"]
    assert LEAF.command(["true"])[:3] == entering


def test_an_id_that_cannot_be_mapped_says_where() -> None:
    """Ubuntu allows the namespace and forbids this: the kernel's words alone name no file."""
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        userns._map(Path("/dev/full"), "0 1000 1")


def test_frr_s_accounts_are_other_names_of_root() -> None:
    known = (
        "root:x:0:0::/root:/bin/sh\nfrr:x:103:107::/nonexistent:/usr/sbin/nologin\nme:x:1000:1000::/home/me:/bin/sh\n"
    )
    assert userns.with_accounts(known, userns.ACCOUNTS["passwd"]).splitlines() == [
        "root:x:0:0::/root:/bin/sh",
        "me:x:1000:1000::/home/me:/bin/sh",
        "frr:x:0:0:FRR:/nonexistent:/usr/sbin/nologin",
    ]
    groups = userns.with_accounts("root:x:0:\nfrrvty:x:106:frr\nfrr:x:107:\n", userns.ACCOUNTS["group"])
    assert groups.splitlines() == ["root:x:0:", "frr:x:0:", "frrvty:x:0:root,frr"]


def test_programs_of_the_system_are_on_the_path_of_everything_in_a_lab() -> None:
    assert search_path({"PATH": "/home/me/bin:/usr/bin"}) == "/home/me/bin:/usr/bin:/usr/sbin:/sbin"
    assert search_path({"PATH": "/usr/sbin:/usr/bin:/sbin"}) == "/usr/sbin:/usr/bin:/sbin"
    assert environment("abc", {"PATH": "/usr/bin", "A": "b"}) == {
        "PATH": "/usr/bin:/usr/sbin:/sbin",
        "A": "b",
        "VTYSH_HISTFILE": "/run/frr/history",
        MARK: "abc",
    }
