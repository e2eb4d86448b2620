"""`underlace live`: what it asks, and what it shows of answers and of silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.shell import Shell
from underlace.cli import live


def envelope(*devices: dict[str, Any]) -> dict[str, Any]:
    return {
        "query": "bgp-summary",
        "parameters": {},
        "simulated": True,
        "devices": list(devices),
        "vrfs": {"vpc-7": "acme/red"},
    }


def device(name: str, *rows: dict[str, Any], error: str = "", cut: bool = False) -> dict[str, Any]:
    found = {"detail": error} if error else None
    return {"device": name, "device_reachable": not error, "rows": list(rows), "cut": cut, "error": found}


def test_rows_and_who_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ({"vrf": "vpc-7", "peer_as": 1}, {"vrf": "default", "peer_as": 2})
    live._show(envelope(device("leaf1", *rows, cut=True), device("leaf2", error="leaf2 did not answer")))
    told = capsys.readouterr()
    lines = [line.split() for line in told.out.splitlines()]
    assert lines[0] == ["DEVICE", "VRF", "PEER", "AS"]
    assert lines[1:3] == [["leaf1", "acme/red", "1"], ["leaf1", "default", "2"]]
    assert lines[-1] == ["leaf2", "no", "leaf2", "did", "not", "answer"]
    assert "leaf1: there are more rows" in told.err


def test_nothing_is_said_to_be_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    live._show(envelope(device("leaf1")))
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "there is nothing of it\n")


def test_against_a_controller(shell: Shell) -> None:
    listed = shell("live")
    assert listed.code == 0, listed
    assert "bgp-summary" in listed.out
    refused = shell("live", "bgp-summary", "colour")
    assert refused.code == 2
    assert "NAME=VALUE" in refused.err
    unknown = shell("live", "nope")
    assert unknown.code == 1
    assert "There is no such live query" in unknown.err
    found = json.loads(shell("live", "bgp-summary", "-o", "json").out)
    assert found["devices"] == []
