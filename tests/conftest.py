"""What holds for every test: nothing is skipped in silence, chance is repeatable, nothing runs for ever.

A test may be skipped only if `tests/skips/<platform>.txt` lists it with its reason; any other skip is a failure. The
platform is `linux-root` or `linux-user`. A line is a pattern of node ids, ` | `, and the exact reason.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
from collections.abc import Collection, Generator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from support.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
ZEBRA = Path("/usr/lib/frr/zebra")
NEEDS_ROOT = "needs root and FRR on this machine"
NEEDS_NAMESPACES = "needs FRR, and root or user namespaces, on this machine"

TIMEOUTS = {"long": 3600, "lab": 900, "contract": 300}
"""Seconds after which a test that set no timeout of its own is stopped, by marker; 120 without one."""

hypothesis.settings.register_profile("default", derandomize=True, database=None, deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("default"))
hypothesis.settings.register_profile(
    "long",
    deadline=None,
    print_blob=True,
    max_examples=2_000,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile(
    os.environ.get("UNDERLACE_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "default")
)


class ListedSkip(NamedTuple):
    pattern: str
    reason: str


def platform() -> str:
    return "linux-root" if os.geteuid() == 0 else "linux-user"


def listed_skips(folder: Path, name: str) -> list[ListedSkip]:
    """The skips that a platform allows. Raises ValueError for a line without a reason."""
    found = []
    path = folder / f"{name}.txt"
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, bar, reason = line.partition(" | ")
        if not bar or not reason.strip():
            raise ValueError(f"{path}:{number}: a pattern of node ids, ' | ', and the reason")
        found.append(ListedSkip(pattern.strip(), reason.strip()))
    return found


def has_frr() -> bool:
    return ZEBRA.exists() and shutil.which("ip") is not None


def can_build_fabrics() -> bool:
    """FRR, and root or user namespaces: what `lab` tests stand on."""
    if os.geteuid() == 0 or not has_frr():
        return has_frr()
    from underlace.lab.machine import tried  # not at import: this file is also used by itself

    return not tried()


def cannot(kinds: Collection[str]) -> str:
    """Why tests of these markers cannot run here; "" when they can."""
    if "contract" in kinds and not (os.geteuid() == 0 and has_frr()):
        return NEEDS_ROOT
    return NEEDS_NAMESPACES if "lab" in kinds and not can_build_fabrics() else ""


SKIPS = pytest.StashKey[list[ListedSkip]]()
FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="Try a sample where tests try everything: make check.")
    parser.addoption("--seconds", type=float, default=600.0, help="How long tests last that go on for a while.")


def pytest_configure(config: pytest.Config) -> None:
    folder = Path(os.environ.get("UNDERLACE_SKIPS", ROOT / "tests" / "skips"))
    try:
        config.stash[SKIPS] = listed_skips(folder, platform())
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay to the end: the garbage collector need not look through all of them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons: dict[frozenset[str], str] = {}
    for item in items:
        kinds = [name for name in TIMEOUTS if item.get_closest_marker(name)]
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUTS[kinds[0]] if kinds else 120))
        group = frozenset(kinds)
        if group not in reasons:
            reasons[group] = cannot(group)
        if reasons[group]:
            item.add_marker(pytest.mark.skip(reason=reasons[group]))


def is_listed(config: pytest.Config, nodeid: str, reason: str) -> bool:
    return any(fnmatchcase(nodeid, skip.pattern) and skip.reason == reason for skip in config.stash[SKIPS])


def forbid_skip(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that nobody listed into a failure, before anyone counts it."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not is_listed(config, report.nodeid, reason):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped, but tests/skips/{platform()}.txt does not list it: make it run, or add the line\n"
            f"{report.nodeid} | {reason}"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    forbid_skip(item.config, report)
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    forbid_skip(collector.config, report)
    return report


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    """Whether a sample will do: `make test` tries everything."""
    return bool(pytestconfig.getoption("--quick"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    from support.postgres import PostgresServer  # not at import: the tests of this file run it alone

    server = PostgresServer.start()
    yield server
    server.stop()


@pytest.fixture
def artefacts(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory for logs, captures and state of this test; kept when it failed, removed when it passed."""
    root = Path(os.environ.get("UNDERLACE_ARTEFACTS", ROOT / "artefacts"))
    folder = root / re.sub(r"[^A-Za-z0-9._-]+", "_", request.node.nodeid)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    if not request.node.stash.get(FAILED, False):
        shutil.rmtree(folder, ignore_errors=True)
