"""Real fabrics for the tests of this directory: one per module, its logs kept when a test of the module fails."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fabric import ARTEFACTS, CONVERGENCE_SECONDS, Pinger, collect, intent_with, new_place, settled
from underlace.lab import build, flows, intent
from underlace.lab.expect import matrix
from underlace.lab.fabric import Fabric
from underlace.lab.state import State, marked


def pytest_itemcollected(item: pytest.Item) -> None:
    """Everything here starts a fabric."""
    if Path(item.path).is_relative_to(Path(__file__).parent):
        item.add_marker(pytest.mark.lab)


@pytest.fixture(autouse=True)
def pings_end() -> Iterator[None]:
    """Those of a test that failed would be found open in the middle of another test."""
    yield
    for ping in tuple(Pinger.running):
        ping.stop()


@pytest.fixture(scope="module")
def failures(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Whether a test of this module has failed."""
    before = request.session.testsfailed
    return lambda: request.session.testsfailed > before


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory for a lab; whatever a test leaves in it is ended."""
    directory = new_place()
    yield directory
    for found in directory.iterdir():
        if (state := State.load(found)) is not None:
            state.end()
            assert not marked(state.identity), "processes of the lab outlived it"
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def more() -> tuple[dict[str, Any], ...]:
    """Documents beside the quickstart's; a module overrides it."""
    return ()


@pytest.fixture(scope="module")
def fabric(
    request: pytest.FixtureRequest, place: Path, more: tuple[dict[str, Any], ...], failures: Callable[[], bool]
) -> Iterator[Fabric]:
    """The quickstart, up and converged."""
    folder = ARTEFACTS / re.sub(r"[^A-Za-z0-9._-]+", "_", request.node.nodeid)
    began = time.monotonic()
    wanted = intent.read(intent_with(place / "intent", *more))
    built: list[Fabric] = []
    try:
        built.append(
            build.up(wanted, place / "fabric", lambda text: print(f"{time.monotonic() - began:6.2f} {text}"))
        )
        settled(built[0], CONVERGENCE_SECONDS)
        left = flows.converge(matrix(wanted), built[0], CONVERGENCE_SECONDS)
        assert not left, f"not answered: {left[:10]}"
        print(f"{time.monotonic() - began:6.2f} converged")
    except BaseException:
        if (state := State.load(place / "fabric")) is not None:
            shutil.copytree(state.directory / "logs", folder / "logs", dirs_exist_ok=True)
            if built:
                collect(built[0], folder)
            state.end()
        raise
    yield built[0]
    if failures():
        collect(built[0], folder)
    identity = built[0].state.identity
    built[0].down()
    assert not marked(identity), "processes of the lab outlived it"
