"""Neighbours that a new zebra is told of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from underlace.drivers.linux import programs
from underlace.drivers.linux.namespaces import Namespaces
from underlace.drivers.linux.neighbours import Neighbours, restated

SAID = """[
 {"dst": "10.1.1.12", "dev": "br10005", "lladdr": "72:92:1b:bb:3b:3c", "state": ["REACHABLE"]},
 {"dst": "2001:db8::12", "dev": "br10005", "lladdr": "72:92:1b:bb:3b:3c", "state": ["STALE"]},
 {"dst": "10.255.0.5", "dev": "br10002", "lladdr": "02:00:0a:ff:00:05", "extern_learn": null, "state": ["NOARP"]},
 {"dst": "10.1.1.11", "dev": "br10005", "lladdr": "02:00:00:00:00:01", "extern_learn": null, "state": ["REACHABLE"]},
 {"dst": "10.1.1.99", "dev": "br10005", "state": ["FAILED"]},
 {"dst": "10.1.1.98", "dev": "br10005", "lladdr": "02:00:00:00:00:02", "state": ["PERMANENT"]},
 {"dst": "fe80::1:1:1", "dev": "pr1", "lladdr": "82:ab:57:f6:8c:91", "router": null, "state": ["REACHABLE"]}]"""


def test_what_the_kernel_learnt_on_gateways_is_stated_again_and_nothing_else() -> None:
    assert list(restated(SAID)) == [
        "neigh replace 10.1.1.12 lladdr 72:92:1b:bb:3b:3c dev br10005 nud stale",
        "neigh replace 2001:db8::12 lladdr 72:92:1b:bb:3b:3c dev br10005 nud stale",
    ]


def test_no_neighbours_are_no_commands() -> None:
    assert list(restated("")) == []


def test_each_zebra_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path
    told: list[str] = []
    monkeypatch.setattr(programs, "ask", lambda *_: SAID)
    monkeypatch.setattr(programs, "run", lambda argv, lines: told.append(lines))
    neighbours = Neighbours(Namespaces(None, run), run)
    neighbours.tell([""])
    assert told == [], "no zebra runs"
    (run / "zebra.pid").write_text(f"{os.getpid()}\n")
    neighbours.tell([""])
    neighbours.tell([""])
    assert len(told) == 1
    neighbours.restate([""])
    assert len(told) == 2, "a V-Net that has just come is told of without asking"
