"""Tokens and enrolments: what is good, for whom, how long, and what is left in the store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from support import databases
from support.certificates import der, request_pem
from support.controlled import doc
from underlace.access import Actor, Role, device_actor
from underlace.controller.authority import Authority
from underlace.controller.controller import Controller
from underlace.controller.document import Request
from underlace.controller.identity import Identity
from underlace.model.diagnostic import Refused
from underlace.store import schema
from underlace.store.identity import IdentityStore
from underlace.store.store import Store

ADMIN = Actor("root", Role.ADMIN)
OPERATOR = Actor("olga", Role.OPERATOR)


class Rig:
    def __init__(self, directory: Path) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = Store.open(databases.migrated(directory))
        authority = Authority(directory / "ca", now=lambda: self.now)
        self.identity = Identity(IdentityStore(self.store), authority, now=lambda: self.now)

    def audit(self) -> list[tuple[str, str, str]]:
        columns = schema.audit.c
        with self.store.read() as connection:
            rows = connection.execute(select(columns.actor, columns.action, columns.target).order_by(columns.id))
            return [(r[0], r[1], r[2]) for r in rows]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.store.close()


def test_a_token_stands_for_its_actor(rig: Rig) -> None:
    Controller(rig.store, {}).apply(ADMIN, Request((doc("tenant", "acme"),)))
    issued = rig.identity.create_token(ADMIN, "ann", Role.TENANT, ["acme"])
    assert rig.identity.authenticate(issued.text) == Actor("ann", Role.TENANT, frozenset({"acme"}))


def test_a_wrong_token_stands_for_nobody(rig: Rig) -> None:
    text = rig.identity.create_token(ADMIN, "ann", Role.READER).text
    prefix, token_id, secret = text.split("_")
    wrong = [
        "",
        "ul",
        "x" * 100_000,
        f"{prefix}_{token_id}_",
        f"{prefix}_{token_id}_{secret[:-1]}{'0' if secret[-1] != '0' else '1'}",
        f"{prefix}_aaaaaaaa_{secret}",
        f"ule_{token_id}_{secret}",
        f"{text}_",
        "ul_ü_ü",
    ]
    assert [rig.identity.authenticate(t) for t in wrong] == [None] * len(wrong)


def test_a_token_ends_when_it_expires_or_is_revoked(rig: Rig) -> None:
    expiring = rig.identity.create_token(ADMIN, "ann", Role.READER, lifetime=timedelta(hours=1))
    revoked = rig.identity.create_token(ADMIN, "bob", Role.READER)
    rig.identity.revoke_token(ADMIN, revoked.info.id)
    assert rig.identity.authenticate(revoked.text) is None
    assert rig.identity.authenticate(expiring.text) is not None
    rig.now += timedelta(hours=1)
    assert rig.identity.authenticate(expiring.text) is None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_secret_is_in_the_store_or_in_a_list(rig: Rig, tmp_path: Path) -> None:
    token = rig.identity.create_token(ADMIN, "ann", Role.READER)
    enrolment = rig.identity.create_enrolment(OPERATOR, "leaf1")
    rig.store.close()
    for text in (token.text, enrolment.text):
        secret = text.split("_")[2].encode()
        files = list(tmp_path.rglob("store.sqlite*"))
        assert not any(secret in f.read_bytes() or bytes.fromhex(secret.decode()) in f.read_bytes() for f in files)


def test_only_an_admin_manages_tokens(rig: Rig) -> None:
    for actor in (
        OPERATOR,
        Actor("r", Role.READER),
        Actor("t", Role.TENANT, frozenset({"acme"})),
        device_actor("leaf1"),
    ):
        for attempt in (
            lambda a=actor: rig.identity.create_token(a, "x", Role.ADMIN),
            lambda a=actor: rig.identity.list_tokens(a),
            lambda a=actor: rig.identity.revoke_token(a, "x"),
        ):
            with pytest.raises(Refused) as refused:
                attempt()
            assert [d.code for d in refused.value.diagnostics] == ["forbidden"]


@pytest.mark.parametrize(
    ("name", "role", "tenants", "lifetime", "pointers"),
    [
        ("", Role.READER, [], None, ["/name"]),
        ("a\nb", Role.READER, [], None, ["/name"]),
        ("ann", Role.DEVICE, [], None, ["/role"]),
        ("ann", Role.TENANT, [], None, ["/tenants"]),
        ("ann", Role.ADMIN, ["acme"], None, ["/tenants"]),
        ("ann", Role.TENANT, ["a\nb"], None, ["/tenants"]),
        ("", Role.TENANT, [], timedelta(0), ["/expires_in", "/name", "/tenants"]),
    ],
)
def test_an_impossible_token_is_refused_for_every_reason(
    rig: Rig, name: str, role: Role, tenants: list[str], lifetime: timedelta | None, pointers: list[str]
) -> None:
    with pytest.raises(Refused) as refused:
        rig.identity.create_token(ADMIN, name, role, tenants, lifetime)
    assert sorted(d.where.pointer for d in refused.value.diagnostics) == pointers


def test_a_token_is_for_tenants_that_there_are(rig: Rig) -> None:
    Controller(rig.store, {}).apply(ADMIN, Request((doc("tenant", "acme"), doc("tenant", "bolt"))))
    with pytest.raises(Refused) as refused:
        rig.identity.create_token(ADMIN, "ann", Role.TENANT, ["amce", "bolt", "zzz"])
    assert [(d.code, d.where.pointer) for d in refused.value.diagnostics] == [("unknown-tenant", "/tenants")] * 2
    assert refused.value.diagnostics[0].remedy == "Did you mean acme?"
    assert "underlace get tenant" in refused.value.diagnostics[1].remedy
    assert rig.identity.list_tokens(ADMIN) == []
    with pytest.raises(Refused) as forbidden:
        rig.identity.create_token(OPERATOR, "ann", Role.TENANT, ["amce"])
    assert [d.code for d in forbidden.value.diagnostics] == ["forbidden"], "who may make no token learns no tenant"


def test_the_first_token_is_made_once(rig: Rig) -> None:
    first = rig.identity.first_token()
    assert first is not None
    assert first.info.role == "admin"
    assert rig.identity.first_token() is None
    rig.identity.revoke_token(ADMIN, first.info.id)
    assert rig.identity.first_token() is None


def test_an_enrolment_gives_one_certificate_to_its_device(rig: Rig) -> None:
    issued = rig.identity.create_enrolment(OPERATOR, "leaf1")
    pem = rig.identity.enrol("leaf1", issued.text, request_pem("leaf1"))
    assert pem is not None
    assert rig.identity.authenticate_device(der(pem)) == device_actor("leaf1")
    assert rig.identity.enrol("leaf1", issued.text, request_pem("leaf1")) is None
    assert rig.audit() == [("olga", "enrolment-created", "leaf1"), ("leaf1", "device-enrolled", "leaf1")]


def test_an_enrolment_is_good_for_no_other_device_and_not_for_ever(rig: Rig) -> None:
    issued = rig.identity.create_enrolment(OPERATOR, "leaf1")
    assert rig.identity.enrol("leaf2", issued.text, request_pem("leaf2")) is None
    rig.now += timedelta(hours=24)
    assert rig.identity.enrol("leaf1", issued.text, request_pem("leaf1")) is None


def test_a_faulty_request_does_not_use_the_enrolment_up(rig: Rig) -> None:
    issued = rig.identity.create_enrolment(OPERATOR, "leaf1")
    with pytest.raises(Refused):
        rig.identity.enrol("leaf1", issued.text, request_pem("leaf2"))
    assert rig.identity.enrol("leaf1", issued.text, request_pem("leaf1")) is not None


def test_a_second_enrolment_withdraws_the_first(rig: Rig) -> None:
    first = rig.identity.create_enrolment(OPERATOR, "leaf1")
    rig.identity.create_enrolment(OPERATOR, "leaf1")
    assert rig.identity.enrol("leaf1", first.text, request_pem("leaf1")) is None


def test_of_two_that_use_one_enrolment_at_once_one_gets_a_certificate(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = rig.identity.create_enrolment(OPERATOR, "leaf1")
    unused = IdentityStore(rig.store).enrolment(issued.text.split("_")[1])
    assert rig.identity.enrol("leaf1", issued.text, request_pem("leaf1")) is not None
    monkeypatch.setattr(IdentityStore, "enrolment", lambda *_: unused)
    assert rig.identity.enrol("leaf1", issued.text, request_pem("leaf1")) is None


def test_a_token_is_no_enrolment_and_an_enrolment_no_token(rig: Rig) -> None:
    token = rig.identity.create_token(ADMIN, "ann", Role.ADMIN)
    enrolment = rig.identity.create_enrolment(OPERATOR, "leaf1")
    assert rig.identity.enrol("leaf1", token.text, request_pem("leaf1")) is None
    assert rig.identity.authenticate(enrolment.text) is None
    assert rig.identity.authenticate(enrolment.text.replace("ule_", "ul_")) is None


def test_a_forgotten_device_is_nobody_until_it_enrols_again(rig: Rig) -> None:
    pending = rig.identity.create_enrolment(OPERATOR, "leaf1")
    first = rig.identity.enrol("leaf1", pending.text, request_pem("leaf1"))
    assert first is not None
    renewed = rig.identity.renew(device_actor("leaf1"), request_pem("leaf1"))
    waiting = rig.identity.create_enrolment(OPERATOR, "leaf1")
    rig.identity.revoke_device(OPERATOR, "leaf1")
    assert [rig.identity.authenticate_device(der(pem)) for pem in (first, renewed)] == [None, None]
    assert rig.identity.enrol("leaf1", waiting.text, request_pem("leaf1")) is None
    again = rig.identity.create_enrolment(OPERATOR, "leaf1")
    new = rig.identity.enrol("leaf1", again.text, request_pem("leaf1"))
    assert new is not None
    assert rig.identity.authenticate_device(der(new)) == device_actor("leaf1")


def test_a_certificate_that_a_restored_store_does_not_know_is_good_until_its_device_is_forgotten(
    rig: Rig, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca", now=lambda: rig.now)
    unknown = authority.sign_device(request_pem("leaf1"), "leaf1").pem
    assert rig.identity.authenticate_device(der(unknown)) == device_actor("leaf1")
    rig.now += timedelta(minutes=1)
    rig.identity.revoke_device(OPERATOR, "leaf1")
    assert rig.identity.authenticate_device(der(unknown)) is None


def test_only_who_may_manage_devices_enrols_and_forgets(rig: Rig) -> None:
    for actor in (Actor("r", Role.READER), Actor("t", Role.TENANT, frozenset({"acme"})), device_actor("leaf1")):
        with pytest.raises(Refused):
            rig.identity.create_enrolment(actor, "leaf1")
        with pytest.raises(Refused):
            rig.identity.revoke_device(actor, "leaf1")
    with pytest.raises(Refused):
        rig.identity.renew(ADMIN, request_pem("leaf1"))


@pytest.mark.parametrize("device", ["", "Leaf1", "leaf 1", "../x", "a" * 64, "leaf1\n"])
def test_what_cannot_name_a_device_is_not_enrolled(rig: Rig, device: str) -> None:
    with pytest.raises(Refused) as refused:
        rig.identity.create_enrolment(OPERATOR, device)
    assert [d.code for d in refused.value.diagnostics] == ["device-invalid"]
