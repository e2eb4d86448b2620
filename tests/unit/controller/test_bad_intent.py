"""Every bad intent of tests/golden/errors, given to the real controller: refused as a whole, all faults at once, each
with its place.

The golden texts hold the words; this holds that the controller says the same of the same fields, whatever phase finds
it, and that nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from support.controlled import ADMIN, QUICKSTART, Rig, doc, rig
from underlace.access import Actor, Role
from underlace.controller.document import Document, Request
from underlace.model.diagnostic import Diagnostic, Refused, errors
from underlace.model.document import read_paths
from underlace.model.ids import Ref

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

ERRORS = Path(__file__).parents[2] / "golden" / "errors"
CASES = sorted(p.stem for p in ERRORS.glob("*.yaml"))

Told = tuple[str, str, str]
"""(code, resource, pointer)"""

DIFFERENCES: dict[str, tuple[set[Told], set[Told]]] = {
    # Two ask for one number. The controller tells both, the view of the golden texts the one whose name comes later.
    "requested-numbers": (
        set(),
        {("number-in-use", "vnet/acme/b", "/spec/vni"), ("number-in-use", "switch/-/leaf3", "/spec/asn")},
    ),
}
"""By case: what only the golden text says, and what only the controller says."""


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
    found = errors(reading.diagnostics)
    before = fabric.controller.revisions(ADMIN)
    if put:
        found += refused(fabric, Request(put), faultless=bool(found))
    assert found
    for one in found:
        assert one.summary
        assert one.detail, one
        assert one.remedy, one
        assert one.where.file == str(file), one
        assert one.where.line > 0, one
    missing, more = DIFFERENCES.get(case, (set(), set()))
    assert told(found) == (golden(case) - missing) | more
    assert fabric.controller.revisions(ADMIN) == before


def test_every_phase_speaks_though_another_has_found_faults(fabric: Rig) -> None:
    base(fabric)
    found = refused(
        fabric,
        Request(
            (
                doc("vpc", "one", "acme", colour="blue"),
                doc("vpc", "two", "nobody"),
                doc("subnet", "a", "acme", prefix="10.7.0.0/24", vpc="red"),
                doc("subnet", "b", "acme", prefix="10.7.0.0/25", vpc="red"),
                doc("vnet", "lost", "acme", vpc="red", gateways=["10.9.9.1/24"], ports=[{"port": "swp99@leaf1"}]),
            ),
            delete=(Ref("vpc", "acme", "none"), Ref("profile", "-", "default")),
        ),
    )
    assert told(found) >= {
        ("unknown-field", "vpc/acme/one", "/spec/colour"),
        ("dangling-reference", "vpc/nobody/two", "/tenant"),
        ("already-claimed", "subnet/acme/a", "/spec/prefix"),
        ("already-claimed", "subnet/acme/b", "/spec/prefix"),
        ("gateway-outside-subnet", "vnet/acme/lost", "/spec/gateways/0"),
        ("no-such-port", "vnet/acme/lost", "/spec/ports/0/port"),
        ("not-found", "vpc/acme/none", ""),
        ("built-in", "profile/-/default", ""),
    }


def test_what_only_follows_from_a_fault_is_not_told(fabric: Rig) -> None:
    """A VPC, an allocation, a subnet, a device that have a fault of form are there all the same."""
    base(fabric)
    found = refused(
        fabric,
        Request(
            (
                doc("vpc", "green", "acme", colour="green"),
                doc("allocation", "green", "acme", prefix="10.8.0.0/99", vpc="green"),
                doc("subnet", "green", "acme", prefix="10.8.0.0/24", vpc="green"),
                doc("subnet", "other", "acme", prefix="10.8.1.0/24", vpc="green", sort="common"),
                doc("server", "host", nics="eth0"),
                doc("link", "host", a="eth0@host", b="swp15@leaf1"),
                doc("vnet", "app", "acme", vpc="green", gateways=["10.8.1.1/24"]),
            )
        ),
    )
    assert {resource for _, resource, _ in told(found)} == {
        "vpc/acme/green",
        "allocation/acme/green",
        "subnet/acme/other",
        "server/-/host",
    }


def test_a_resource_whose_new_version_has_a_fault_does_not_stand_in_the_way(fabric: Rig) -> None:
    """Of the version that it replaces nothing is said: not that it refers to what goes, nor what it holds."""
    base(fabric)
    fabric.put(doc("vpc", "old", "acme"), doc("vnet", "moves", "acme", vpc="old", ports=[{"port": "swp14@leaf1"}]))
    found = refused(
        fabric,
        Request(
            (
                doc("vnet", "moves", "acme", vpc="red", portz=[]),
                doc("vnet", "comes", "acme", vpc="red", ports=[{"port": "swp14@leaf1"}]),
            ),
            delete=(Ref("vpc", "acme", "old"),),
        ),
    )
    assert {code for code, _, _ in told(found)} == {"unknown-field"}


def test_a_conflict_is_told_to_both_who_are_written(fabric: Rig) -> None:
    base(fabric)
    holder = doc("vnet", "holds", "acme", vpc="red", ports=[{"port": "swp14@leaf1"}])
    wants = doc("vnet", "wants", "acme", vpc="red", ports=[{"port": "swp14@leaf1"}])
    fabric.put(holder)
    pointer = "/spec/ports/0/port"
    assert told(refused(fabric, Request((wants,)))) == {("already-claimed", "vnet/acme/wants", pointer)}
    again = doc("vnet", "holds", "acme", vpc="red", mtu=1500, ports=[{"port": "swp14@leaf1"}])
    assert told(refused(fabric, Request((wants, again)))) == {
        ("already-claimed", "vnet/acme/wants", pointer),
        ("already-claimed", "vnet/acme/holds", pointer),
    }


def test_a_thousand_conflicts_at_one_place_are_told_once_each(fabric: Rig) -> None:
    base(fabric)
    many = [doc("vnet", f"v{n}", "acme", vpc="red", ports=[{"port": "swp14@leaf1"}]) for n in range(300)]
    found = refused(fabric, Request(tuple(many)))
    assert {r for _, r, _ in told(found)} == {f"vnet/acme/v{n}" for n in range(300)}
    assert len(found) < 300 * 12


def test_faults_of_others_tell_a_tenant_nothing_of_what_is_hidden(fabric: Rig) -> None:
    """Beside a fault of form too, a VPC that another tenant has is answered like one that is not there."""
    base(fabric)
    fabric.put(doc("tenant", "other"), doc("vpc", "real", "other"))
    user = Actor("user", Role.TENANT, frozenset({"acme"}))
    answers = []
    for name in ("real", "none"):
        faulty = doc("vpc", "x", "acme", colour="blue")
        subnet = doc("subnet", "s", "acme", prefix="10.7.0.0/24", vpc=f"other/{name}")
        answers.append([str(d).replace(name, "X") for d in refused(fabric, Request((faulty, subnet)), user)])
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2


def test_a_faulty_document_does_not_tell_a_tenant_who_is_in_the_way(fabric: Rig) -> None:
    """Naming another tenant's resource in one must not make a conflict with it vanish."""
    base(fabric)
    port = [{"port": "swp14@leaf1"}]
    fabric.put(
        doc("port", "swp14@leaf1", tenant="acme"),
        doc("link", "odd", a="swp14@leaf1", b="swp14@leaf2", underlay=True),
    )
    user = Actor("user", Role.TENANT, frozenset({"acme"}))
    wants = doc("vnet", "wants", "acme", vpc="red", ports=port)
    for name in ("odd", "none"):
        found = refused(fabric, Request((wants, doc("link", name, colour="blue"))), user)
        assert ("already-claimed", "vnet/acme/wants", "/spec/ports/0/port") in told(found)


def base(fabric: Rig) -> None:
    """The quickstart with room for another subnet of VPC red."""
    fabric.put(
        *(Document(Ref(d.kind, d.tenant, d.name), d.spec, d.labels) for d in read_paths([QUICKSTART]).documents),
        doc("allocation", "red7", "acme", prefix="10.7.0.0/16", vpc="red"),
    )


def refused(fabric: Rig, request: Request, actor: Actor = ADMIN, faultless: bool = False) -> list[Diagnostic]:
    """What both plan and apply refuse the request for. faultless: it need not be refused."""
    said = []
    for use in (fabric.controller.plan, fabric.controller.apply):
        try:
            use(actor, request)
        except Refused as refusal:
            said.append(errors(refusal.diagnostics))
            continue
        assert faultless
        return []
    assert said[0] == said[1]
    return said[0]


def told(found: Iterable[Diagnostic]) -> set[Told]:
    return {(d.code, d.where.resource, d.where.pointer) for d in found}


def golden(case: str) -> set[Told]:
    text = (ERRORS / f"{case}.txt").read_text()
    place = re.compile(r"^error\[(\S+)\]: .*\n  at \S+:\d+(?: ([^/\n][^\n]*?))?(?: (/\S*))?$", re.MULTILINE)
    found = place.findall(text)
    assert len(found) == len(re.findall(r"^error\[", text, re.MULTILINE))
    return set(found)
