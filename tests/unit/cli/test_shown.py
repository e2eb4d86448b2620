"""What commands make of answers, where it would take long to get a controller to give them."""

from __future__ import annotations

import pytest

from underlace.cli import fabric


def test_a_status_names_silent_devices(capsys: pytest.CaptureFixture[str]) -> None:
    device = {
        "name": "leaf2",
        "state": "silent",
        "desired": 2,
        "reported": 2,
        "last_seen": "2030-01-01T00:00:00.000Z",
    }
    totals = {"revision": 2, "simulated": False, "resources": [], "in_sync": 4, "total": 5, "silent": 1}
    fabric.show_status({**totals, "state": "Silent", "devices": [device]})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "revision 2: Silent, 4 of 5 devices in sync, 1 silent"
    assert lines[-1].split() == ["leaf2", "silent", "2", "2", "2030-01-01T00:00:00.000Z"]
