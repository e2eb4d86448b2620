"""The view: the look-ups of `model.resource.View`, each remembered for a run and no longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from support.controlled import Rig, doc, quickstart, rig
from underlace.kinds.registry import KINDS
from underlace.model.ids import Ref, fabric
from underlace.model.net import point
from underlace.store import view as module
from underlace.store.slots import slot_device
from underlace.store.view import StoreView


@pytest.fixture(scope="module")
def stored(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    opened = rig(tmp_path_factory.mktemp("view"))
    opened.put(*quickstart(), doc("vpc", "asked", "acme", vni=77))
    opened.hold_all()
    opened.put(doc("vnet", "held", "acme", vpc="red", vni=78, ports=[{"port": "swp12@leaf1"}]))
    opened.hold_all()
    opened.delete(Ref("vnet", "acme", "held"))
    opened.put(doc("vpc", "waits", "acme", vni=78))
    yield opened
    opened.close()


@pytest.fixture
def c(stored: Rig) -> Iterator[Connection]:
    with stored.store.read() as connection:
        yield connection


@pytest.fixture
def view(c: Connection) -> StoreView:
    return StoreView(c, KINDS)


def test_get(view: StoreView) -> None:
    vnet = view.get(Ref("vnet", "acme", "red-web"))
    assert vnet is not None
    assert vnet.spec.vpc == "red"
    assert view.get(vnet.ref) is vnet, "one object for the whole run"
    assert view.by_id(vnet.id) is vnet
    assert view.get(Ref("vnet", "acme", "none")) is None
    assert view.by_id(10**9) is None


def test_all_and_referrers_are_in_order(view: StoreView) -> None:
    assert [r.ref.name for r in view.all("switch")] == ["leaf1", "leaf2", "leaf3", "oob1", "spine1", "spine2"]
    red = Ref("vpc", "acme", "red")
    assert [r.ref.name for r in view.referrers(red, "vnet")] == ["red-db", "red-web"]
    assert [r.ref.name for r in view.referrers(red, "vpc-peering")] == ["red-shared"]
    assert view.referrers(red, "link") == []


def test_marks(view: StoreView) -> None:
    assert view.marked("placed/acme/red") == {"leaf1", "leaf2", "leaf3"}
    assert view.marked("placed/acme/red", ["leaf1", "leaf9"]) == {"leaf1"}
    assert view.marked("placed/acme/none") == frozenset()


def test_claims(view: StoreView) -> None:
    space = "subnet/acme/red"
    assert view.holder(space, point("10.1.1.7")) == Ref("subnet", "acme", "red-web-v4")
    assert view.holder(space, point("10.1.2.255")) == Ref("subnet", "acme", "red-db-v4")
    assert view.holder(space, point("10.1.3.0")) is None
    assert view.holder(space, point("10.0.0.0")) is None
    assert view.holder(space, point("2001:db8:1:1::5")) == Ref("subnet", "acme", "red-web-v6")


def test_numbers(view: StoreView) -> None:
    leaf1 = fabric("switch", "leaf1")
    assert view.number(Ref("vpc", "acme", "asked"), "vni") == 77
    assert view.number(leaf1, "asn") is not None
    assert view.number(leaf1, "none") is None
    assert view.number(Ref("vpc", "acme", "red"), "rd/leaf1") is not None
    assert view.number(Ref("vpc", "acme", "red"), "rd/leaf9") is None
    assert view.number(Ref("vpc", "acme", "none"), "vni") is None
    assert (slot_device("rd/leaf1"), slot_device("vni")) == ("leaf1", "")


def test_numbers_in_quarantine(view: StoreView) -> None:
    waits = Ref("vpc", "acme", "waits")
    assert view.waiting(waits)
    assert not view.waiting(Ref("vpc", "acme", "asked"))
    assert not view.waiting(Ref("vpc", "acme", "none"))
    assert view.number(waits, "vni") == 78
    view.hide_waiting = True
    assert view.number(waits, "vni") is None
    assert view.number(Ref("vpc", "acme", "asked"), "vni") == 77


def test_a_batch_answers_like_single_look_ups(c: Connection, stored: Rig) -> None:
    refs = [d.ref for d in quickstart()] + [Ref("vnet", "acme", "none")]
    batch, single = StoreView(c, KINDS), StoreView(c, KINDS)
    batch.load(refs)
    assert [batch.get(r) for r in refs] == [single.get(r) for r in refs]


def test_a_long_run_does_not_remember_everything(c: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMO", 10)
    view = StoreView(c, KINDS)
    refs = [d.ref for d in quickstart()]
    for ref in refs:
        found = view.get(ref)
        assert found is not None
        assert view.by_id(found.id) == found
        assert len(view._resources) <= 12
