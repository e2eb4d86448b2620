"""The quickstart on FRR 10 beside the system's: the same matrix, and boots from its own boot files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fabric import CONVERGENCE_SECONDS, QUICKSTART, ROOT, judged, settled
from underlace.drivers.linux import config
from underlace.lab import control, flows, frr, intent
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def frr_10() -> Iterator[None]:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("needs mmdebstrap: apt-get install mmdebstrap")
    made = [ROOT / "tools" / "frr-beside", ROOT / "build" / "frr"]
    where = subprocess.run(made, capture_output=True, text=True, check=True, timeout=1_800).stdout.strip()
    frr.choose(Path(where))
    yield
    frr.choose(None)


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """The switches of the quickstart, said to run FRR 10."""
    switches = [d for d in intent.read(QUICKSTART).documents if d["kind"] == "switch"]
    return tuple({**d, "spec": {**d["spec"], "os_version": "10.3"}} for d in switches)


def running(fabric: Fabric, device: str) -> list[str]:
    """What FRR holds, whatever the order."""
    said = frr.vtysh(fabric.node(device), "show running-config")
    return sorted(" / ".join((*context, line)) for context, line in config.lines(said))


def test_it_is_frr_10_and_devices_say_so(fabric: Fabric) -> None:
    assert "FRRouting 10." in frr.vtysh(fabric.node("leaf1"), "show version")
    settled(fabric)
    told = {d["name"]: d["os_version"] for d in fabric.api.get("/v1/devices")["items"]}
    assert {version.partition(".")[0] for name, version in told.items() if name in fabric.lab.switches} == {"10"}


def test_a_vrf_uses_all_paths_of_the_fabric(fabric: Fabric) -> None:
    """FRR 8.4 loses the next hop that remains when one of several goes, so there it uses one."""
    held = running(fabric, "leaf1")
    assert "router bgp 4200000002 vrf vpc-60 / address-family ipv4 unicast / maximum-paths 16" in held
    assert not [line for line in held if "maximum-paths 1" in line.split(" / ")]


def test_the_whole_matrix_is_right(fabric: Fabric) -> None:
    assert judged(fabric).good


def test_a_reboot_starts_from_one_file_and_needs_no_controller(fabric: Fabric) -> None:
    settled(fabric)
    before = running(fabric, "leaf2")
    kept = {path.name for path in fabric.node("leaf2").path(frr.CONFIG).iterdir()}
    assert kept == {"frr.conf", "vtysh.conf"}
    control.stop(fabric.state)
    try:
        fabric.rebuild("leaf2")
        assert flows.converge(matrix(fabric.intent), fabric, CONVERGENCE_SECONDS) == []
        assert flows.run(flows.checks(matrix(fabric.intent).flows), fabric) == []
        assert running(fabric, "leaf2") == before
    finally:
        fabric.start_controller()
    settled(fabric)


def test_frr_that_restarts_comes_back_from_its_file(fabric: Fabric) -> None:
    node = fabric.node("leaf1")
    before = running(fabric, "leaf1")
    frr.stop(node.path(frr.RUN))
    frr.start(node, vrf_namespaces=True)
    assert flows.converge(matrix(fabric.intent), fabric, CONVERGENCE_SECONDS) == []
    assert running(fabric, "leaf1") == before
    assert judged(fabric).good
