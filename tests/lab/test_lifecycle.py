"""Labs come up, go down and leave nothing, whatever happens to whoever started them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from support.fabric import QUICKSTART, apply, host_side, judged, poll
from underlace.lab import control, frr
from underlace.lab.fabric import Fabric, clear, load
from underlace.lab.fault import LabError
from underlace.lab.state import State, marked

RUN = [sys.executable, "-c", "from underlace.main import run; run()"]


def underlace(*arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def before(place: Path) -> Iterator[dict[str, str]]:
    """The host's side, compared again at the end."""
    found = host_side()
    yield found
    assert host_side() == found


def test_a_lab_goes_up_answers_and_leaves_nothing(place: Path, before: dict[str, str]) -> None:
    lab = str(place / "lab")
    up = underlace("lab", "up", str(QUICKSTART), "--lab", lab, "-o", "json")
    assert up.returncode == 0, up.stderr
    assert json.loads(up.stdout)["simulated"] is True
    assert "BFD timers 100 ms" in up.stderr
    identity = load(place / "lab").state.identity
    assert host_side() == before, "a running lab shows in the namespaces of whoever started it"

    again = underlace("lab", "up", str(QUICKSTART), "--lab", lab)
    assert again.returncode == 1
    assert "a lab runs in" in again.stderr

    status = json.loads(underlace("lab", "status", "--lab", lab, "-o", "json").stdout)
    assert status["simulated"] is True
    assert {row["state"] for row in status["nodes"] if row["role"] == "host"} == {"running"}

    assert {row["state"] for row in status["nodes"] if row["role"] in ("controller", "holder", "agents")} == {
        "running"
    }

    routes = underlace("lab", "exec", "--lab", lab, "leaf1/acme/red", "--", "ip", "route", "get", "10.9.1.11")
    assert routes.returncode == 0, routes.stderr
    hostname = underlace("lab", "exec", "--lab", lab, "spine1", "--", "hostname")
    assert hostname.stdout == "spine1\n"
    code = underlace("lab", "exec", "--lab", lab, "r1", "--", "false")
    assert code.returncode == 1

    test = underlace("lab", "test", "--lab", lab, "-o", "json")
    verdict = json.loads(test.stdout)
    assert test.returncode == 0, test.stdout
    assert verdict["simulated"] is True
    assert verdict["wrong"] == 0

    down = underlace("lab", "down", "--lab", lab)
    assert down.returncode == 0
    assert not (place / "lab").exists()
    assert marked(identity) == set()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("leaf9", ("no node leaf9", "Did you mean leaf", "spine1")),
        ("r1/acme/red", ("r1 is a host", "leaf1", "--lab {lab} r1 -- true")),
        ("isp1/mgmt", ("isp1 is no switch",)),
        ("leaf1/redd", ("no VPC redd", "Did you mean acme/red?", "bolt/blue")),
        ("spine1/acme/red", ("acme/red is not on spine1", "It is on: leaf1, leaf2, leaf3")),
    ],
)
def test_a_target_that_is_none_says_what_to_name(fabric: Fabric, target: str, words: tuple[str, ...]) -> None:
    lab = str(fabric.state.directory)
    done = underlace("lab", "exec", "--lab", lab, target, "--", "true")
    assert done.returncode == 1
    assert "nsenter" not in done.stderr
    for word in words:
        assert word.format(lab=lab) in done.stderr


def test_the_flows_are_proved_with_the_controller_gone(fabric: Fabric) -> None:
    """Law 5, by the command of whoever wants to see it."""
    lab = str(fabric.state.directory)
    peering = {"kind": "vpc-peering", "tenant": "platform", "name": "red-shared"}

    def tested() -> tuple[str, str]:
        done = underlace("lab", "test", "--lab", lab, "-o", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["intent"], done.stderr

    control.stop(fabric.state, signal.SIGKILL)
    source, said = tested()
    assert source == "lab-up"
    assert "brought up with" in said
    rows = {(r["node"], r["role"]): r["state"] for r in status(lab)}
    assert rows.pop(("-", "controller")) == "gone"
    assert {state for (_, role), state in rows.items() if role == "device"} == {"running, not reported"}
    assert {state for (_, role), state in rows.items() if role != "device"} == {"running"}
    named = underlace("lab", "exec", "--lab", lab, "leaf1/acme/red", "--", "true")
    assert "the controller does not answer" in named.stderr
    assert "vpc-" in named.stderr

    fabric.start_controller()
    apply(fabric, delete=(peering,))
    try:
        poll("the flows of the changed intent", lambda: judged(fabric).good)
        assert tested() == ("controller", "")
        control.stop(fabric.state, signal.SIGKILL)
        source, said = tested()
        assert source == "last-asked", "what it was brought up with is not true any more"
        assert "what it held at" in said
    finally:
        fabric.start_controller()
        apply(fabric, {**peering, "spec": {"a": {"vpc": "acme/red"}, "b": {"vpc": "shared"}}})


def test_a_part_that_is_gone_hides_no_other(fabric: Fabric) -> None:
    lab = str(fabric.state.directory)
    gone = fabric.state.running("host", "s2")
    assert gone is not None
    node = fabric.node("leaf3")
    fabric.stop_agents(["leaf2"])
    frr.stop(node.path(frr.RUN), ["bfdd"])
    os.kill(gone.pid, signal.SIGKILL)
    try:
        poll("s2 to be gone", lambda: not fabric.runs("s2"))
        rows = {r["node"]: r["state"] for r in status(lab)}
        assert rows["s2"] == "gone"
        assert rows["leaf2"].startswith("no agent, ")
        assert rows["leaf3"].startswith("no bfdd, ")
        assert rows["leaf1"] == "in-sync"
        done = underlace("lab", "test", "--lab", lab)
        assert done.returncode == 1
        assert "s2 does not answer" in done.stderr
        assert f"lab status --lab {lab}" in done.stderr
    finally:
        fabric.start_agents(["leaf2"])


def status(lab: str) -> list[dict[str, str]]:
    done = underlace("lab", "status", "--lab", lab, "-o", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, str]] = json.loads(done.stdout)["nodes"]
    return rows


@pytest.mark.parametrize("moment", [0.15, 0.5, 1.2, 3.0, 6.0])
def test_down_removes_what_a_killed_up_left(place: Path, before: dict[str, str], moment: float) -> None:
    lab = place / "lab"
    process = subprocess.Popen([*RUN, "lab", "up", str(QUICKSTART), "--lab", str(lab)], stderr=subprocess.DEVNULL)
    try:
        poll("the lab's state file", lambda: State.load(lab), 20, pause=0.005)
        until = time.monotonic() + moment
        poll("the chosen moment", lambda: time.monotonic() >= until, pause=0.005)
    finally:
        process.kill()
        process.wait()
    state = State.load(lab)
    assert state is not None
    assert underlace("lab", "down", "--lab", str(lab)).returncode == 0
    assert marked(state.identity) == set()
    assert not lab.exists()


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("stage", ["BFD timers", "the controller answers"])
def test_down_finishes_what_a_second_ctrl_c_interrupted(
    place: Path, before: dict[str, str], stage: str, pause: float
) -> None:
    """The second Ctrl-C falls into the removal that the first one began."""
    lab = place / "lab"
    argv = [*RUN, "lab", "up", str(QUICKSTART), "--lab", str(lab)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        awaited(process.stderr, stage)
        state = State.load(lab)
        assert state is not None
        process.send_signal(signal.SIGINT)
        awaited(process.stderr, "is being removed")
        until = time.monotonic() + pause
        poll("the chosen moment", lambda: time.monotonic() >= until, pause=0.002)
        process.send_signal(signal.SIGINT)
        left = process.stderr.read()
        assert process.wait(60) in (130, -signal.SIGINT), left  # the latter: it was about to end anyway
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert "Traceback" not in left
    if lab.exists():
        assert f"lab down --lab {lab}" in left
    down = underlace("lab", "down", "--lab", str(lab))
    assert down.returncode == 0, down.stderr
    assert marked(state.identity) == set()
    assert not lab.exists()


def awaited(stream: IO[str], words: str) -> None:
    seen = []
    for line in stream:
        seen.append(line)
        if words in line:
            return
    raise AssertionError(f"never said {words!r}: {seen}")


def test_down_without_a_lab_is_no_fault(place: Path) -> None:
    done = underlace("lab", "down", "--lab", str(place / "nothing"))
    assert done.returncode == 0
    assert "no lab" in done.stderr


def test_the_demo_ends_with_its_verdict(before: dict[str, str]) -> None:
    done = underlace("demo", "--once", "-o", "json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["wrong"] == 0
    assert verdict["flows"] > 400
    assert verdict["simulated"] is True
    assert "BFD timers" in done.stderr


def test_the_demo_cleans_up_after_ctrl_c(before: dict[str, str]) -> None:
    process = subprocess.Popen([*RUN, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "stays up until Ctrl-C" in line:
            break
    (lab,) = {
        Path(word) for line in seen if " lab test " in line for word in line.split() if "/underlace-demo-" in word
    }
    assert lab.exists()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0, "".join(seen)
    assert not lab.exists()


def test_intent_that_cannot_be_built_is_refused_in_words(place: Path) -> None:
    (place / "bad").mkdir(exist_ok=True)
    (place / "bad" / "x.yaml").write_text("{kind: switch, name: leaf1, spec: {site: dc1, role: leaf, ports: many}}\n")
    done = underlace("lab", "up", str(place / "bad"), "--lab", str(place / "lab"))
    assert done.returncode == 1
    assert f"at {place / 'bad' / 'x.yaml'}:1 switch/-/leaf1 /spec/ports" in done.stderr
    assert "remedy:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "lab").exists()


def test_intent_that_the_controller_refuses_leaves_nothing(
    place: Path, before: dict[str, str], fabric: Fabric
) -> None:
    """The words are those of `apply -f`, every one of them, with file, line and remedy."""
    wrong = place / "refused"
    shutil.copytree(QUICKSTART, wrong)
    (wrong / "wrong.yaml").write_text(REFUSED)
    done = underlace("lab", "up", str(wrong), "--lab", str(place / "lab"))
    assert done.returncode == 1
    assert not (place / "lab").exists()
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(place / "lab") in command_line(p)]
    context = str(control.context_file(fabric.state))
    applied = underlace("--context", context, "apply", "-f", str(wrong))
    assert applied.returncode == 1
    assert applied.stderr.count(f"at {wrong / 'wrong.yaml'}:") >= 4
    assert applied.stderr.count("remedy: ") >= 4
    for finding in applied.stderr.split("error["):  # where nothing stood before, a claim is told from both sides
        assert finding in done.stderr


REFUSED = """# What only the controller can refuse.
kind: vnet
tenant: acme
name: wrong
spec:
  vpc: nope
  gateways: [10.250.1.1/24]
  ports: [{port: swp99@leaf1}]
---
{kind: link, name: loose, spec: {a: swp16@leaf1, b: eth1@nobody}}
---
{kind: link, name: twice, spec: {a: swp1@leaf1, b: swp9@spine1}}
"""


def command_line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended meanwhile


def test_a_lab_that_runs_is_not_cleared_by_accident(fabric: Fabric) -> None:
    with pytest.raises(LabError, match="runs in"):
        clear(fabric.state.directory)
