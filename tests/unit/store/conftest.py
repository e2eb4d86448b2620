"""The tests here run on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import databases


@pytest.fixture(autouse=True, scope="module", params=databases.BOTH)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database that the stores of a test are in, by name."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgresql":
            databases.use(patch, request.getfixturevalue("postgres"))
        yield request.param
