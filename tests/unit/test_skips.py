"""The skip discipline of tests/conftest.py, tried on a run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"

TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no such hardware")
def test_skipped():
    pass
"""


def run_with(tmp_path: Path, listed: str, tests: str = TESTS) -> subprocess.CompletedProcess[str]:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(tests)
    skips = tmp_path / "skips"
    skips.mkdir()
    for platform in ("linux-root", "linux-user"):
        (skips / f"{platform}.txt").write_text(listed)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:schemathesis",
            "-c",
            os.devnull,
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        env={**os.environ, "UNDERLACE_SKIPS": str(skips)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_skip_that_nobody_listed_fails(tmp_path: Path) -> None:
    run = run_with(tmp_path, "")
    assert run.returncode == 1
    assert "1 passed, 1 error" in run.stdout
    assert "test_it.py::test_skipped | no such hardware" in run.stdout


def test_a_listed_skip_is_a_skip(tmp_path: Path) -> None:
    run = run_with(tmp_path, "test_it.py::test_skipped | no such hardware\n")
    assert run.returncode == 0
    assert "1 passed, 1 skipped" in run.stdout


def test_a_listed_skip_for_another_reason_fails(tmp_path: Path) -> None:
    assert run_with(tmp_path, "test_it.py::* | it was raining\n").returncode == 1


def test_a_whole_module_that_skips_itself_fails(tmp_path: Path) -> None:
    run = run_with(tmp_path, "", 'import pytest\npytest.skip("not today", allow_module_level=True)\n')
    assert run.returncode != 0
    assert "test_it.py | not today" in run.stdout


@pytest.mark.parametrize("line", ["test_it.py::test_skipped", "test_it.py::test_skipped | "])
def test_a_line_without_a_reason_stops_the_run(tmp_path: Path, line: str) -> None:
    run = run_with(tmp_path, line)
    assert run.returncode == 4
    assert "and the reason" in run.stderr
