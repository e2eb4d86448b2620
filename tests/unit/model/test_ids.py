"""Names and references."""

from __future__ import annotations

import pytest

from underlace.model.ids import Ref, fabric, is_hostname, is_name, within


@pytest.mark.parametrize("name", ["a", "web-1", "Web (old) #2", "swp5@leaf1", "a/b", "10.0.0.0/24", "x" * 255])
def test_possible_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\n", "a\nb", "a;b", "$(x)", "-a", "ä", "a\x00", "x" * 256, "a'b", 'a"b']
)
def test_impossible_names(name: str) -> None:
    assert not is_name(name)


def test_host_names() -> None:
    assert is_hostname("leaf1.dc-1")
    assert not any(map(is_hostname, ["Leaf1", "leaf1-", "-leaf1", "leaf_1", "", "a" * 64, "leaf1\n"]))


def test_references_name_a_tenant_or_mean_the_own() -> None:
    assert within("vpc", "red", "acme") == Ref("vpc", "acme", "red")
    assert within("vpc", "bolt/red", "acme") == Ref("vpc", "bolt", "red")
    assert within("vpc", "bolt/a/b", "acme") == Ref("vpc", "bolt", "a/b")
    assert str(fabric("site", "dc1")) == "site/-/dc1"
