"""One controller for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.shell import Shell, Up


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("cli")
    up = Up(home / "data", forked=True)
    up.start()
    yield Shell(up, home)
    assert up.stop() == 0, up.log.read_text()
