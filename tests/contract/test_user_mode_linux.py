"""The guest whose kernel has what small kernels lack."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from support import user_mode_linux
from support.device_ns import missing as device_missing
from support.user_mode_linux import ROOT

pytestmark = pytest.mark.contract

LINKS = {
    "dummy": "add name swp7 type dummy",
    "8021q": "add link swp7 name swp7.7 type vlan id 7",
    "bonding": "add name bond7 type bond mode 802.3ad",
    "vrf": "add name red type vrf table 77",
    "vxlan": "add name vni7 type vxlan id 7 dstport 4789 local 127.0.0.1",
}


@pytest.fixture(autouse=True)
def _can_boot() -> None:
    if reason := user_mode_linux.missing():
        pytest.skip(reason)


def test_the_guests_kernel_has_what_small_ones_lack(artefacts: Path) -> None:
    script = "\n".join(f"ip link {words} && echo has {name}" for name, words in LINKS.items())
    done = user_mode_linux.run(["sh", "-c", script], artefacts)
    assert [line.split()[1] for line in done.output.splitlines() if line.startswith("has ")] == list(LINKS), done


def test_a_guest_writes_nothing_but_into_its_own_directory(artefacts: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("as it was")
    script = f"echo other >{tmp_path}/kept; cat {tmp_path}/kept; echo mine >{artefacts}/written; exit 3"
    done = user_mode_linux.run(["sh", "-c", script], artefacts)
    assert done == (3, "other\n")
    assert (tmp_path / "kept").read_text() == "as it was"
    assert (artefacts / "written").read_text() == "mine\n"


def test_a_guest_ends_in_time_with_all_its_processes(artefacts: Path) -> None:
    before = _processes()
    with pytest.raises(AssertionError, match="did not finish in time") as late:
        user_mode_linux.run(["sh", "-c", "sleep 1000 & exec sleep 1000"], artefacts, seconds=8)
    assert "guest" in str(late.value)
    assert _processes() - before == set()


def test_pytest_runs_in_a_guest(artefacts: Path, tmp_path: Path) -> None:
    test = tmp_path / "test_inside.py"
    test.write_text("import os\n\ndef test_inside():\n    assert os.uname().nodename == 'guest'\n")
    done = user_mode_linux.run(user_mode_linux.pytest_arguments("-q", str(test)), artefacts)
    assert done.code == 0, done.output
    assert "1 passed" in done.output


def _processes() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "exe").endswith(user_mode_linux.PROGRAM):
                found.add(int(path.name))
        except OSError:
            continue
    return found


def test_a_kernel_that_cannot_guard_its_ports_is_refused_before_one_is_up(artefacts: Path) -> None:
    """This one has no family of nftables but bridge: a device on it would have an open underlay (law 11)."""
    if reason := device_missing():
        pytest.skip(reason)
    there = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    script = [sys.executable, "-B", "-m", "support.unguarded"]
    load = (*user_mode_linux.LOADED, "nf_tables")  # without it nft, and so the device, says nothing at all
    done = user_mode_linux.run(script, artefacts, environment=there, load=load, seconds=240)
    assert done.code == 0, done.output
    found = json.loads(done.output)
    assert [one["key"][0] for one in found["refused"]] == ["nft"]
    assert found["up"] == []
