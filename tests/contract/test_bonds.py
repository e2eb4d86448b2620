"""Lags where the kernel has bonding: in a guest, as the kernel of small machines has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import user_mode_linux

pytestmark = pytest.mark.contract

TESTS = Path(__file__).resolve().parents[1] / "support" / "bond_links.py"


def test_in_a_guest_with_bonding(artefacts: Path) -> None:
    if reason := user_mode_linux.missing():
        pytest.skip(reason)
    load = (*user_mode_linux.LOADED, "nf_tables")
    done = user_mode_linux.run(user_mode_linux.pytest_arguments("-q", str(TESTS)), artefacts, load=load, seconds=600)
    assert done.code == 0, done.output
    assert "5 passed" in done.output
