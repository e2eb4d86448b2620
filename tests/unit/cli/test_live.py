"""`underlace live`: what it asks, and what it shows of answers and of silence."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from support.shell import COMMAND, Shell, environment
from underlace.cli import live
from underlace.cli.output import Format


def envelope(*devices: dict[str, Any]) -> dict[str, Any]:
    return {
        "query": "bgp-summary",
        "parameters": {},
        "simulated": True,
        "devices": list(devices),
        "vrfs": {"vpc-7": "acme/red"},
    }


def device(name: str, *rows: dict[str, Any], error: str = "", cut: bool = False, at: str = "") -> dict[str, Any]:
    found = {"detail": error} if error else None
    told = {"device": name, "device_reachable": not error, "observed_at": at}
    return {**told, "rows": list(rows), "cut": cut, "error": found}


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
    for word in ("path", "body", "method"):
        stranger = shell("live", "bgp-summary", f"{word}=x")
        assert stranger.code == 1
        assert f"unknown field `{word}`" in stranger.err
    unknown = shell("live", "nope")
    assert unknown.code == 1
    assert "There is no such live query" in unknown.err
    found = json.loads(shell("live", "bgp-summary", "-o", "json").out)
    assert found["devices"] == []


class Enough(Exception):
    """Ctrl-C."""


def followed(form: Format, capsys: pytest.CaptureFixture[str]) -> str:
    """What is shown of three rounds."""
    rounds = [envelope(device("leaf1", {"peer": f"swp{n}"}, at=f"2030-01-01T00:00:0{n}.000Z")) for n in range(3)]
    left, pauses = iter(rounds), list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(rounds):
            raise Enough

    with pytest.raises(Enough):
        live._follow(lambda: next(left), form, 7.0, pause)
    assert pauses == [7.0] * 3
    return capsys.readouterr().out


def test_what_is_followed_is_shown_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in followed(Format.TABLE, capsys).splitlines() if line]
    assert lines[0] == ["bgp-summary", "(simulated)", "2030-01-01T00:00:00.000Z"]
    assert [line for line in lines if line[0] == "leaf1"] == [["leaf1", f"swp{n}"] for n in range(3)]


def test_for_programs_each_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = [json.loads(line) for line in followed(Format.JSON, capsys).splitlines()]
    assert [t["devices"][0]["rows"][0]["peer"] for t in told] == ["swp0", "swp1", "swp2"]


def test_it_is_followed_until_ctrl_c(shell: Shell) -> None:
    words = [*COMMAND, "--context", str(shell.up.context), "live", "bgp-summary", "--watch", "--interval", "0.5"]
    process = subprocess.Popen(
        [*words, "-o", "json"], stdout=subprocess.PIPE, text=True, env=environment(shell.home), cwd=shell.home
    )
    assert process.stdout is not None
    with process.stdout as out:
        assert json.loads(out.readline())["query"] == json.loads(out.readline())["query"] == "bgp-summary"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
