"""Four spines and sixty leaves: every allowed flow is answered, and no session is lost (hazards 13)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import large_lab
from support.fabric import host_side, poll
from underlace.lab import build, flows
from underlace.lab.expect import matrix
from underlace.lab.state import this_process

pytestmark = [pytest.mark.long]

WATCHED = 60.0
"""Seconds: twenty times what BFD waits for a packet here."""


def test_sixty_leaves_come_up_and_stay_up(place: Path) -> None:
    before, wanted = host_side(), large_lab.large()
    fabric = build.up(wanted, place / "lab", owner=this_process())
    assert flows.converge(matrix(wanted), fabric, large_lab.LIMIT) == []
    up, lost = large_lab.flaps(fabric)
    until = time.monotonic() + WATCHED
    poll("the sessions to have been watched", lambda: time.monotonic() > until, limit=2 * WATCHED)
    assert large_lab.flaps(fabric) == (up, lost)
    assert up == 2 * large_lab.SPINES * large_lab.LEAVES
    fabric.down()
    assert host_side() == before
