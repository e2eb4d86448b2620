"""Tagged ports where the kernel has 8021q: in a guest, as the kernel of small machines has not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.user_mode_linux import pass_tests

pytestmark = pytest.mark.contract


def test_in_a_guest_with_8021q(artefacts: Path) -> None:
    pass_tests("vlan_links.py", 5, artefacts)
