"""From a manifest to native items."""

import pytest

from support.agent_rig import DEVICE, port, vrf
from support.memory_door import MemoryDriver
from underlace.agent.desired import check_bodies, check_manifest, load
from underlace.model.device import BgpRouter, DeviceObject, Port, Vrf, encode_fragment, hash_fragment
from underlace.model.diagnostic import Refused
from underlace.model.wire import Manifest, manifest_digest


def made(scopes: dict[str, list[DeviceObject]]) -> tuple[Manifest, dict[str, bytes]]:
    bodies = {scope: encode_fragment(objects) for scope, objects in scopes.items()}
    hashes = {scope: hash_fragment(body) for scope, body in bodies.items()}
    return Manifest(DEVICE, 1, manifest_digest(hashes), hashes), bodies


def test_all_scopes_together() -> None:
    manifest, bodies = made({"base": [port("swp1")], "vrf:red": [vrf("red")]})
    check_manifest(manifest, DEVICE)
    desired = load(manifest, bodies, MemoryDriver())
    assert desired.items.keys() == {("port", "swp1"), ("vrf", "red")}
    assert desired.digest == manifest.digest


def test_parts_of_one_object_in_two_scopes_unite() -> None:
    desired = load(
        *made({"base": [Port("swp1", mtu=9000)], "port:swp1": [Port("swp1", underlay=True)]}), MemoryDriver()
    )
    assert desired.items["port", "swp1"] == Port("swp1", underlay=True, mtu=9000)


def test_parts_that_disagree_are_refused() -> None:
    with pytest.raises(Refused, match="disagree") as refused:
        load(*made({"base": [Port("swp1", mtu=9000)], "port:swp1": [Port("swp1", mtu=1500)]}), MemoryDriver())
    assert "port/swp1" in refused.value.diagnostics[0].detail


def test_every_unknown_fragment_is_named() -> None:
    manifest, bodies = made({"base": [port("swp1")], "vrf:red": [vrf("red")], "vrf:blue": [vrf("blue")]})
    bodies |= {"vrf:red": b"{", "vrf:blue": b'[{"type":"vrf"}]'}
    with pytest.raises(Refused) as refused:
        load(manifest, bodies, MemoryDriver())
    assert [d.related for d in refused.value.diagnostics] == [("vrf:blue",), ("vrf:red",)]


def test_driver_that_cannot_render_is_refused() -> None:
    class Broken(MemoryDriver):
        def items(self, objects: object) -> dict:  # type: ignore[type-arg]
            raise ZeroDivisionError

    with pytest.raises(Refused, match="driver-cannot-render"):
        load(*made({"base": [port("swp1")]}), Broken())


def test_scopes_of_keys() -> None:
    objects: list[DeviceObject] = [Vrf("red"), BgpRouter("red")]
    desired = load(*made({"base": [port("swp1")], "vrf:red": objects, "port:swp2": [port("swp2")]}), MemoryDriver())
    keys = [("bgp-router", "red"), ("port", "swp2"), ("port", "swp1"), ("leak", "red", "blue"), ("nft", "x")]
    assert desired.scopes_of(keys) == {
        ("bgp-router", "red"): "vrf:red",
        ("port", "swp2"): "port:swp2",
        ("port", "swp1"): "base",
        ("leak", "red", "blue"): "vrf:red",
        ("nft", "x"): "base",
    }


@pytest.mark.parametrize(
    ("bodies", "words"), [({}, "was not sent"), ({"f" * 64: "[]"}, "has other bytes than its hash says")]
)
def test_fragments_that_are_not_what_was_asked_for(bodies: dict[str, str], words: str) -> None:
    with pytest.raises(Refused, match=words):
        check_bodies(DEVICE, bodies, ["f" * 64])


def test_only_what_was_asked_for_is_taken() -> None:
    body = encode_fragment([port("swp1")])
    name = hash_fragment(body)
    assert check_bodies(DEVICE, {name: body.decode(), "x": "y"}, [name]) == {name: body}
