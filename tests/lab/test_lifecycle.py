"""Labs come up, go down and leave nothing, whatever happens to whoever started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fabric import QUICKSTART, poll
from underlace.lab.fabric import Fabric, LabError, clear, load
from underlace.lab.state import State, marked

RUN = [sys.executable, "-c", "from underlace.main import run; run()"]


def underlace(*arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def host_side() -> dict[str, str]:
    """What a lab could leave behind in the namespaces of whoever starts it."""
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True).stdout)
    return {
        "links": " ".join(sorted(link["ifname"] for link in links)),
        "routes": subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout,
        "named": " ".join(sorted(os.listdir("/run/netns"))) if Path("/run/netns").exists() else "",
        "frr": " ".join(sorted(os.listdir("/run/frr"))) if Path("/run/frr").exists() else "",
        "mounts": "\n".join(line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
    }


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

    routes = underlace("lab", "exec", "--lab", lab, "leaf1/acme/red", "--", "ip", "route", "get", "10.9.1.11")
    assert routes.returncode == 0, routes.stderr
    hostname = underlace("lab", "exec", "--lab", lab, "spine1", "--", "hostname")
    assert hostname.stdout == "spine1\n"
    code = underlace("lab", "exec", "--lab", lab, "r1", "--", "false")
    assert code.returncode == 1
    nobody = underlace("lab", "exec", "--lab", lab, "leaf9", "--", "true")
    assert "no running node leaf9" in nobody.stderr

    test = underlace("lab", "test", "--lab", lab, "-o", "json")
    verdict = json.loads(test.stdout)
    assert test.returncode == 0, test.stdout
    assert verdict["simulated"] is True
    assert verdict["wrong"] == 0

    down = underlace("lab", "down", "--lab", lab)
    assert down.returncode == 0
    assert not (place / "lab").exists()
    assert marked(identity) == set()


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
    assert "lab-intent-invalid" in done.stderr
    assert "/spec/ports" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place / "lab").exists()


def test_a_lab_that_runs_is_not_cleared_by_accident(fabric: Fabric) -> None:
    with pytest.raises(LabError, match="runs in"):
        clear(fabric.state.directory)
