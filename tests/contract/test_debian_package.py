"""The Debian package of the agent: what is in it, and that it needs nothing else. test_real_device.py installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.machine.leaf import package

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg-deb", "--raw-extract", str(package()), str(place)], check=True)
    return place


def test_it_holds_an_agent_and_nothing_of_a_controller(unpacked: Path) -> None:
    parts = {path.name.partition(".")[0] for path in (unpacked / "usr/lib/underlace/python/underlace").iterdir()}
    assert parts == {"__init__", "__pycache__", "agent", "diff", "drivers", "model", "syscall"}
    units = {path.name for path in (unpacked / "usr/lib/systemd/system").glob("*.service")}
    assert units == {"underlace-agent.service", "underlace-management.service"}


def test_its_libraries_are_all_that_the_agent_imports(unpacked: Path) -> None:
    """By an interpreter that sees neither this environment nor this source."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import underlace.agent.main, underlace.drivers.linux.device"
    )
    libraries = str(unpacked / "usr/lib/underlace/python")
    plain = [str(Path(sys.base_prefix) / "bin" / "python3"), "-IBS", "-c", script, libraries]
    subprocess.run(plain, check=True, cwd="/", env={}, timeout=60)


def test_frr_has_descriptors_for_all_its_vpcs(unpacked: Path) -> None:
    """8 a VPC and 1,024 beside, or zebra dies at the limit."""
    drop_in = (unpacked / "usr/lib/systemd/system/frr.service.d/underlace.conf").read_text()
    daemons = (unpacked / "usr/lib/underlace/frr-daemons").read_text()
    assert f"LimitNOFILE={8 * 1_000 + 1_024}\n" in drop_in
    assert f"MAX_FDS={8 * 1_000 + 1_024}\n" in daemons


def test_the_same_tree_gives_the_same_package(unpacked: Path) -> None:
    once = package().read_bytes()
    assert package().read_bytes() == once
