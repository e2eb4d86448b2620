"""decide(): the whole table of roles, verbs and kinds, and which references a tenant user may make."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from underlace.access import (
    CONTROLLER,
    TOKEN_ROLES,
    Actor,
    Decision,
    Role,
    Use,
    Verb,
    decide,
    decide_use,
    device_actor,
    missing,
    readable,
    refusal,
    unreadable_references,
)
from underlace.kinds.base import AnyKind, Kind, Spec
from underlace.model.ids import Ref, fabric
from underlace.model.resource import Reference, Resource


class _Spec(Spec):
    tenant: str | None = None


class _Vpc(Kind[_Spec]):
    name: ClassVar[str] = "vpc"
    tenanted: ClassVar[bool] = True
    writers = "tenant"
    spec = _Spec


class _Tenant(Kind[_Spec]):
    name: ClassVar[str] = "tenant"
    tenanted: ClassVar[bool] = False
    spec = _Spec


class _Port(Kind[_Spec]):
    name: ClassVar[str] = "port"
    tenanted: ClassVar[bool] = False
    spec = _Spec


class _Switch(_Port):
    name: ClassVar[str] = "switch"


class _Session(Kind[_Spec]):
    name: ClassVar[str] = "bgp-peer"
    tenanted: ClassVar[bool] = True
    spec = _Spec


class _Locked(_Port):
    name: ClassVar[str] = "locked"
    writers = "admin"


KINDS: dict[str, AnyKind] = {k.name: k for k in (_Vpc(), _Tenant(), _Port(), _Switch(), _Session(), _Locked())}

ADMIN = Actor("root", Role.ADMIN)
OPERATOR = Actor("olga", Role.OPERATOR)
READER = Actor("rita", Role.READER)
ACME = Actor("ann", Role.TENANT, frozenset({"acme"}))
LEAF = device_actor("leaf1")

OWN, OTHER = Ref("vpc", "acme", "red"), Ref("vpc", "bolt", "blue")


def _resource(ref: Ref, **spec: Any) -> Resource[_Spec]:
    return Resource(ref, 1, _Spec(**spec))


@pytest.mark.parametrize(
    ("actor", "verb", "ref", "expected"),
    [
        (ADMIN, Verb.READ, OTHER, Decision.ALLOW),
        (ADMIN, Verb.WRITE, fabric("locked", "x"), Decision.ALLOW),
        (OPERATOR, Verb.WRITE, OTHER, Decision.ALLOW),
        (OPERATOR, Verb.DELETE, fabric("switch", "leaf1"), Decision.ALLOW),
        (OPERATOR, Verb.READ, fabric("locked", "x"), Decision.ALLOW),
        (OPERATOR, Verb.WRITE, fabric("locked", "x"), Decision.FORBID),
        (READER, Verb.READ, OTHER, Decision.ALLOW),
        (READER, Verb.WRITE, OWN, Decision.FORBID),
        (READER, Verb.DELETE, fabric("switch", "leaf1"), Decision.FORBID),
        (ACME, Verb.READ, OWN, Decision.ALLOW),
        (ACME, Verb.WRITE, OWN, Decision.ALLOW),
        (ACME, Verb.DELETE, OWN, Decision.ALLOW),
        (ACME, Verb.READ, OTHER, Decision.HIDE),
        (ACME, Verb.WRITE, OTHER, Decision.HIDE),
        (ACME, Verb.DELETE, OTHER, Decision.HIDE),
        (ACME, Verb.READ, fabric("switch", "leaf1"), Decision.HIDE),
        (ACME, Verb.WRITE, fabric("switch", "leaf1"), Decision.FORBID),
        (ACME, Verb.READ, Ref("bgp-peer", "acme", "isp"), Decision.ALLOW),
        (ACME, Verb.WRITE, Ref("bgp-peer", "acme", "isp"), Decision.FORBID),
        (ACME, Verb.WRITE, Ref("bgp-peer", "bolt", "isp"), Decision.FORBID),
        (ACME, Verb.READ, fabric("tenant", "acme"), Decision.ALLOW),
        (ACME, Verb.READ, fabric("tenant", "bolt"), Decision.HIDE),
        (ACME, Verb.WRITE, fabric("tenant", "acme"), Decision.FORBID),
        (LEAF, Verb.READ, OWN, Decision.FORBID),
        (LEAF, Verb.WRITE, fabric("switch", "leaf1"), Decision.FORBID),
    ],
)
def test_decides_by_role_verb_and_kind(actor: Actor, verb: Verb, ref: Ref, expected: Decision) -> None:
    assert decide(actor, verb, KINDS[ref.kind], ref) is expected


def test_a_tenant_sees_the_ports_assigned_to_it_and_no_others() -> None:
    port = KINDS["port"]
    mine = _resource(fabric("port", "swp5@leaf1"), tenant="acme")
    theirs = _resource(fabric("port", "swp6@leaf1"), tenant="bolt")
    nobodys = _resource(fabric("port", "swp7@leaf1"))
    assert [readable(ACME, port, r) for r in (mine, theirs, nobodys)] == [True, False, False]
    assert decide(ACME, Verb.WRITE, port, mine.ref, mine) is Decision.FORBID


def test_a_tenants_answer_does_not_depend_on_whether_the_thing_exists() -> None:
    for kind in KINDS.values():
        ref = Ref(kind.name, "bolt" if kind.tenanted else "-", "x")
        stored = _resource(ref, tenant="bolt")
        for verb in Verb:
            assert decide(ACME, verb, kind, ref, stored) is decide(ACME, verb, kind, ref, None)


def test_hidden_is_said_in_the_words_of_missing() -> None:
    assert refusal(Decision.HIDE, ACME, Verb.READ, OTHER) == missing(OTHER)
    assert refusal(Decision.ALLOW, ACME, Verb.READ, OTHER) is None
    told = refusal(Decision.FORBID, READER, Verb.WRITE, OWN)
    assert told is not None
    assert told.code == "forbidden"
    assert "reader" in told.detail


@pytest.mark.parametrize(
    ("use", "allowed"),
    [
        (Use.READ_FABRIC, {Role.ADMIN, Role.OPERATOR, Role.READER}),
        (Use.MANAGE_DEVICES, {Role.ADMIN, Role.OPERATOR}),
        (Use.MANAGE_IDENTITY, {Role.ADMIN}),
        (Use.BACK_UP, {Role.ADMIN}),
        (Use.DROP_HISTORY, {Role.ADMIN}),
    ],
)
def test_uses_belong_to_roles(use: Use, allowed: set[Role]) -> None:
    assert {role for role in Role if decide_use(Actor("x", role), use) is Decision.ALLOW} == allowed


def _stored(*resources: Resource[_Spec]) -> Any:
    return {r.ref: r for r in resources}.get


def test_a_reference_to_another_tenants_resource_is_refused() -> None:
    own, other = Reference(OWN, "/spec/a"), Reference(OTHER, "/spec/b")
    assert unreadable_references(ACME, [own, other], KINDS.__getitem__, _stored()) == [other]
    assert unreadable_references(OPERATOR, [own, other], KINDS.__getitem__, _stored()) == []


def test_an_assigned_port_may_be_named_though_its_switch_may_not_be_read() -> None:
    switch = Reference(fabric("switch", "leaf1"), "/spec/ports/0/port")
    port = Reference(fabric("port", "swp5@leaf1"), "/spec/ports/0/port", soft=True)
    mine = _stored(_resource(port.target, tenant="acme"))
    theirs = _stored(_resource(port.target, tenant="bolt"))
    assert unreadable_references(ACME, [switch, port], KINDS.__getitem__, mine) == []
    assert unreadable_references(ACME, [switch, port], KINDS.__getitem__, theirs) == [switch, port]
    assert unreadable_references(ACME, [switch], KINDS.__getitem__, mine) == [switch]


def test_an_assigned_port_is_no_leave_for_another_tenants_resource_in_the_same_field() -> None:
    port = Reference(fabric("port", "swp5@leaf1"), "/spec/x", soft=True)
    other = Reference(OTHER, "/spec/x")
    mine = _stored(_resource(port.target, tenant="acme"))
    assert unreadable_references(ACME, [port, other], KINDS.__getitem__, mine) == [other]


def test_the_controller_itself_is_an_admin_and_a_token_is_never_a_device() -> None:
    assert CONTROLLER.role is Role.ADMIN
    assert Role.DEVICE not in TOKEN_ROLES
    assert not device_actor("leaf1").sees_all
