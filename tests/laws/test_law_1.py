"""Law 1: two layers, one seam. Nothing of Underlace speaks OVSDB, changes OVS flows or drives OVN."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "underlace"
LIBRARIES = re.compile(r"ovs(dbapp)?|neutron(_lib)?|ovn_bgp_agent|os_ken|ryu")
PROGRAMS = re.compile(r"ovs-\w+|ovn-\w+|ovsdb-\w+")


def breaches(text: str) -> Iterator[str]:
    """Imports of libraries and names of programs (as a whole string: words in documentation are no calls)."""
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (name for name in names if LIBRARIES.fullmatch(name.partition(".")[0]))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and PROGRAMS.fullmatch(node.value):
            yield node.value


def test_nothing_speaks_to_the_overlay() -> None:
    found = {str(f.relative_to(SOURCE)): list(breaches(f.read_text())) for f in sorted(SOURCE.rglob("*.py"))}
    assert len(found) > 100
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import ovs.db.idl", ["ovs.db.idl"]),
        ("from ovsdbapp import connection", ["ovsdbapp"]),
        ("run(['ovs-ofctl', 'add-flow', 'br-int'])", ["ovs-ofctl"]),
        ("run(['ovn-nbctl', 'show'])", ["ovn-nbctl"]),
        ('"""About ovs-vsctl and its friends."""', []),
        ("import os", []),
    ],
)
def test_a_planted_breach_is_seen(text: str, expected: list[str]) -> None:
    assert list(breaches(text)) == expected
