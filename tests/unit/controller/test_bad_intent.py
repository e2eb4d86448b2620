"""Every bad intent of tests/golden/errors, given to the real controller: refused as a whole, each fault with its place.

The golden texts hold the words; this holds that the controller finds faults too, and that nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, Rig, rig
from underlace.controller.document import Document, Request
from underlace.model.diagnostic import Refused, errors
from underlace.model.document import read_paths
from underlace.model.ids import Ref

ERRORS = Path(__file__).parents[2] / "golden" / "errors"
CASES = sorted(p.stem for p in ERRORS.glob("*.yaml"))


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Rig]:
    opened = rig(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", CASES)
def test_bad_intent_is_refused_as_a_whole(fabric: Rig, case: str) -> None:
    file = ERRORS / f"{case}.yaml"
    reading = read_paths([file])
    put = tuple(Document(Ref(d.kind, d.tenant, d.name), d.spec, d.labels, d.file, d.line) for d in reading.documents)
    before = fabric.controller.revisions(ADMIN)
    found = errors(reading.diagnostics)
    if put and not found:  # what cannot be read is never sent
        with pytest.raises(Refused) as refused:
            fabric.controller.plan(ADMIN, Request(put))
        with pytest.raises(Refused) as again:
            fabric.controller.apply(ADMIN, Request(put))
        assert again.value.diagnostics == refused.value.diagnostics
        found = errors(refused.value.diagnostics)
    assert found
    for one in found:
        assert one.summary
        assert one.detail, one
        assert one.remedy, one
        assert one.where.file == str(file), one
        assert one.where.line > 0, one
    assert fabric.controller.revisions(ADMIN) == before
