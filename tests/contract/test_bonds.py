"""Lags where the kernel has bonding: in a guest, as the kernel of small machines has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.user_mode_linux import pass_tests

pytestmark = pytest.mark.contract


def test_in_a_guest_with_bonding(artefacts: Path) -> None:
    pass_tests("bond_links.py", 5, artefacts)
