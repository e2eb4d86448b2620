"""Properties make a directory for each example, far too many for a fixture each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary directories are below pytest's own, which it reaps: a run that is killed leaves nothing for good."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("examples"))
    yield
    tempfile.tempdir = before
