"""The skip discipline of tests/conftest.py, tried on a run of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import pytest

from support.forked import Forked

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"

TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no such hardware")
def test_skipped():
    pass
"""


class Run(NamedTuple):
    code: int
    out: str
    err: str


def run_with(tmp_path: Path, listed: str, tests: str = TESTS) -> Run:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(tests)
    skips = tmp_path / "skips"
    skips.mkdir()
    for platform in ("linux-root", "linux-user"):
        (skips / f"{platform}.txt").write_text(listed)

    def work() -> None:
        for name in [name for name in os.environ if name.startswith("PYTEST_")]:
            del os.environ[name]
        os.environ["UNDERLACE_SKIPS"] = str(skips)
        plugins = ["-p", "no:cacheprovider", "-p", "no:schemathesis"]
        sys.exit(pytest.main([*plugins, "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)]))

    with open(os.devnull) as nothing, TemporaryFile() as out, TemporaryFile() as err:
        code = Forked.start(work, [nothing.fileno(), out.fileno(), err.fileno()]).wait()
        out.seek(0)
        err.seek(0)
        return Run(code, out.read().decode(), err.read().decode())


def test_a_skip_that_nobody_listed_fails(tmp_path: Path) -> None:
    run = run_with(tmp_path, "")
    assert run.code == 1
    assert "1 passed, 1 error" in run.out
    assert "test_it.py::test_skipped | no such hardware" in run.out


def test_a_listed_skip_is_a_skip(tmp_path: Path) -> None:
    run = run_with(tmp_path, "test_it.py::test_skipped | no such hardware\n")
    assert run.code == 0
    assert "1 passed, 1 skipped" in run.out


def test_a_listed_skip_for_another_reason_fails(tmp_path: Path) -> None:
    assert run_with(tmp_path, "test_it.py::* | it was raining\n").code == 1


def test_a_whole_module_that_skips_itself_fails(tmp_path: Path) -> None:
    run = run_with(tmp_path, "", 'import pytest\npytest.skip("not today", allow_module_level=True)\n')
    assert run.code != 0
    assert "test_it.py | not today" in run.out


@pytest.mark.parametrize("line", ["test_it.py::test_skipped", "test_it.py::test_skipped | "])
def test_a_line_without_a_reason_stops_the_run(tmp_path: Path, line: str) -> None:
    run = run_with(tmp_path, line)
    assert run.code == 4
    assert "and the reason" in run.err
