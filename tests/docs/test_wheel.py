"""What is shipped: the lock files, and a wheel from which the demo runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
EXTRAS = {"agent": [], "controller": ["controller"], "dev": ["controller", "dev"]}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_file_pins_by_hash_and_names_no_host(lock: Path) -> None:
    lines = [line.strip() for line in lock.read_text().splitlines() if line.strip()]
    assert "://" not in lock.read_text()
    for line in lines:
        pinned = re.match(r"[a-z0-9._-]+==\S+( ; .+)? \\$", line)
        assert pinned or line.startswith(("#", "--hash=sha256:")), line


@pytest.mark.parametrize("lock", sorted(EXTRAS))
def test_a_lock_file_has_all_dependencies(lock: str) -> None:
    wanted = [*PROJECT["dependencies"]]
    for extra in EXTRAS[lock]:
        wanted += PROJECT["optional-dependencies"][extra]
    names = {canonical(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in wanted} - {"underlace"}
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE))
    assert names <= pinned, "run: make lock"


def test_a_device_gets_msgspec_and_nothing_else() -> None:
    assert [canonical(re.split(r"[<>=]", d)[0]) for d in PROJECT["dependencies"]] == ["msgspec"]


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_the_demo_runs_from_the_wheel() -> None:
    """In an empty environment with the locked dependencies, outside the repository."""
    run = subprocess.run(
        [ROOT / "tools" / "wheel"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    verdict = json.loads(run.stdout.splitlines()[-1])
    assert verdict["flows"] > 0
    assert verdict["wrong"] == 0
    with zipfile.ZipFile(next((ROOT / "dist").glob("*.whl"))) as wheel:
        shipped = wheel.namelist()
    assert "underlace/examples/quickstart/fabric.yaml" in shipped
    assert not [name for name in shipped if name.startswith(("tests/", "tools/", "benchmarks/"))]
