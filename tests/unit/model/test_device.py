"""Device objects: keys, merging, canonical bytes."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from underlace.model.device import (
    AnyObject,
    BgpNeighbor,
    FieldConflict,
    L2Vni,
    Port,
    Vrf,
    decode_fragment,
    encode_fragment,
    hash_fragment,
    merge_objects,
)

OBJECTS = get_args(AnyObject)


@pytest.mark.parametrize("cls", OBJECTS)
def test_key_begins_with_the_tag_and_holds_the_identity(cls: type[AnyObject]) -> None:
    info = msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    identity = {
        f.name: 7 if isinstance(f.type, msgspec.inspect.IntType) else "seven" for f in info.fields if f.required
    }
    item = cls(**identity)
    assert item.key[0] == info.tag
    if cls.__name__ not in ("System", "Protection"):
        assert item.key[1:] == tuple(map(str, identity.values()))
    assert item.refs == item.refs  # computed without a value for any other field
    assert decode_fragment(encode_fragment([item])) == (item,)


def test_parts_unite() -> None:
    one = Vrf("red", l3vni=5, import_targets=frozenset({"1:1"}))
    other = Vrf("red", rd="10.0.0.1:7", import_targets=frozenset({"1:2"}))
    both = merge_objects(one, other)
    assert both == Vrf("red", 5, "10.0.0.1:7", frozenset({"1:1", "1:2"}))
    assert merge_objects(both, one) == both


def test_scalars_must_agree() -> None:
    with pytest.raises(FieldConflict) as caught:
        merge_objects(Port("swp1", mtu=1_500), Port("swp1", mtu=9_000))
    assert (caught.value.field, caught.value.one, caught.value.other) == ("mtu", 1_500, 9_000)


def test_unset_differs_from_empty() -> None:
    """None announces all, an empty set nothing: the difference must reach the device."""
    silent = BgpNeighbor("red", "192.0.2.1", export=frozenset())
    assert decode_fragment(encode_fragment([silent])) == (silent,)
    assert encode_fragment([silent]) != encode_fragment([BgpNeighbor("red", "192.0.2.1")])


def test_bytes_know_no_order() -> None:
    items = [Port(f"swp{n}") for n in range(5)] + [L2Vni(7, import_targets=frozenset({"1:2", "1:1"}))]
    body = encode_fragment(items)
    assert encode_fragment(items[::-1]) == body
    assert len(hash_fragment(body)) == 64


def test_foreign_bytes_are_refused() -> None:
    for body in (b'[{"type":"tunnel"}]', b'[{"type":"port"}]', b"{}", b"x"):
        with pytest.raises(msgspec.ValidationError if body != b"x" else msgspec.DecodeError):
            decode_fragment(body)
