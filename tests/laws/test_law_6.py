"""Law 6: a simulated fabric never mixes with a real one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fabric import QUICKSTART
from underlace.lab import agents, build, control, flows, intent, wiring
from underlace.lab.namespace import Namespace
from underlace.lab.state import MARK, State, marked


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lab"
    if (state := State.load(tmp_path / "lab")) is not None:
        state.end()


@pytest.mark.lab
def test_a_lab_whose_namespace_holds_a_real_port_does_not_start(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ifb is none of the kinds that a lab makes: it counts as a port that came from outside."""
    cables = wiring.cables

    def planted(*given: object) -> list[str]:
        nodes = given[1]
        assert isinstance(nodes, dict)
        return [*cables(*given), f"link add eno1 netns {nodes['leaf2'].net()} type ifb"]  # type: ignore[arg-type]

    monkeypatch.setattr(wiring, "cables", planted)
    with pytest.raises(wiring.PhysicalPort, match="the namespace of leaf2 holds eno1"):
        build.up(intent.read(QUICKSTART), lab)
    state = State.load(lab)
    assert state is not None
    assert not any(role == agents.AGENT for role, _ in state.processes()), "an agent was started all the same"
    state.end()
    assert marked(state.identity) == set()


def test_the_host_s_own_ports_count_as_real() -> None:
    told = [{"ifname": "eth0", "link_type": "ether", "parentbus": "pci", "parentdev": "0000:00:03.0"}]
    assert wiring.physical(told) == ["eth0"]


def test_no_setting_of_whoever_starts_a_lab_reaches_its_controller(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERLACE_DATA", "/var/lib/underlace")
    monkeypatch.setenv("UNDERLACE_CONTEXT", "/etc/underlace/real.json")
    state = State.create(lab)
    given = control._environment(state)
    assert {name for name in given if name.startswith("UNDERLACE_")} == {"UNDERLACE_CONFIG"}
    assert Path(given["UNDERLACE_CONFIG"]).read_text() == ""
    assert given[MARK] == state.identity
    assert control.data(state).is_relative_to(lab), "the store of a lab is its own"


def test_every_answer_of_a_lab_says_that_it_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    from underlace.lab import cli, demo

    verdict = flows.Verdict(1, (), 0, 0.1)
    assert verdict.json()["simulated"] is True
    assert demo.answer(verdict, 1.0)["simulated"] is True
    cli._emit({"nodes": []})
    assert json.loads(capsys.readouterr().out)["simulated"] is True


def test_a_lab_s_agents_and_controller_are_told_that_they_are_simulated(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State.create(lab)
    (lab / "logs").mkdir()
    seen: list[list[str]] = []

    def started(argv: list[str], environment: object, log: object) -> int:
        seen.append(argv)
        return os.getpid()

    monkeypatch.setattr(control, "spawn", started)
    control.start(state, Namespace("oob", os.getpid(), True, state.identity))
    assert "--simulated" in seen[0]
    assert build.agent_settings(lab, "leaf1")["simulated"] is True
