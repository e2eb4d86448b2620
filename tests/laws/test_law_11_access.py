"""Law 11, its control plane half: a tenant's user can neither read, change, reference nor infer what is another's.

For every kind and verb of the registry: the answer about another tenant's object is, name apart, word for word the
answer about an object that does not exist. And a device's certificate gets its own device only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from support.api_server import Served, Trust, application, serving
from support.controlled import QUICKSTART
from underlace.access import Role
from underlace.cli.client import resource_path
from underlace.cli.intent import as_body
from underlace.kinds.registry import KINDS
from underlace.model.document import read_paths
from underlace.model.ids import NO_TENANT, Ref
from underlace.model.resource import Resource
from underlace.model.wire import DesiredRequest, FragmentRequest, Manifest, Outcome, Report
from underlace.queries.registry import QUERIES

SECRET = "zebra"
"""Part of the name of everything that is another tenant's: no answer to the tenant's user may hold it unasked."""

GHOST = "ghost"
"""In place of SECRET: the name of something that does not exist."""

OWN, OTHER = "acme", f"{SECRET}-corp"

OBJECTS: dict[str, dict[str, Any]] = {
    "site": {},
    "tenant": {},
    "profile": {},
    "switch": {"site": f"{SECRET}-site", "role": "oob", "ports": 2},
    "server": {"site": "dc1", "nics": [{"name": "eth1"}], "tenant": OTHER},
    "link": {"a": f"eth1@{SECRET}-server", "b": f"swp1@{SECRET}-switch"},
    "port": {"tenant": OTHER},
    "lag": {"members": ["swp1"], "tenant": OTHER},
    "vpc": {"vni": 777_777},
    "allocation": {"prefix": "10.77.0.0/16", "vpc": f"{SECRET}-vpc"},
    "subnet": {"prefix": "10.77.1.0/24", "vpc": f"{SECRET}-vpc"},
    "vnet": {
        "vpc": f"{SECRET}-vpc",
        "vni": 777_778,
        "ports": [{"port": "swp14@leaf1"}],
        "gateways": ["10.77.1.1/24"],
    },
    "static-route": {"vpc": f"{SECRET}-vpc", "prefix": "10.78.0.0/24", "next_hop": "10.77.1.9"},
    "vpc-peering": {"a": {"vpc": f"{SECRET}-vpc"}, "b": {"vpc": "platform/shared"}},
    "bgp-peer": {
        "vpc": f"{SECRET}-vpc",
        "port": "swp15@leaf1",
        "local_addresses": ["192.0.2.100/31"],
        "remote_addresses": ["192.0.2.101"],
        "remote_asn": 64499,
    },
}
"""One object of every kind that the tenant may know nothing of."""

OWN_OBJECTS: dict[str, dict[str, Any]] = {
    "vpc": {},
    "allocation": {"prefix": "10.66.0.0/16", "vpc": "red"},
    "subnet": {"prefix": "10.1.66.0/24", "vpc": "red"},
    "vnet": {"vpc": "red", "ports": [{"port": "swp12@leaf1"}], "port_labels": [{"label": "disks"}]},
    "static-route": {"vpc": "red", "prefix": "10.67.0.0/24", "next_hop": "10.1.1.9"},
    "vpc-peering": {"a": {"vpc": "red"}, "b": {"vpc": "spare"}},
}
"""A document of every kind that a tenant may write, which it may write as it is."""

READERS = ("GET", "LIST", "PUT", "PUT-ELSE", "DELETE", "PLAN", "APPLY", "PLAN-DELETE", "APPLY-DELETE")


def _name(kind: str, word: str) -> str:
    """The name of the object: of a port it is given by its switch."""
    if kind == "lag":
        return f"bond1@{word}-leaf"
    return f"swp1@{word}-switch" if kind == "port" else f"{word}-corp" if kind == "tenant" else f"{word}-{kind}"


def _ref(kind: str, word: str = SECRET) -> Ref:
    return Ref(kind, f"{SECRET}-corp" if KINDS[kind].tenanted else NO_TENANT, _name(kind, word))


def _elsewhere(kind: str) -> Ref:
    """An object of a tenant that does not exist."""
    return Ref(kind, f"{GHOST}-corp" if KINDS[kind].tenanted else NO_TENANT, _name(kind, GHOST))


def _document(ref: Ref, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": ref.kind, "tenant": ref.tenant, "name": ref.name, "spec": spec}


def _setting_up() -> list[dict[str, Any]]:
    objects = [_document(_ref(kind), spec) for kind, spec in OBJECTS.items()]
    ports = [_document(Ref("port", NO_TENANT, f"swp{n}@leaf1"), {"tenant": OWN}) for n in (12, 13)]
    theirs = [_document(Ref("port", NO_TENANT, "swp14@leaf1"), {"tenant": OTHER})]
    return [
        *as_body(read_paths([QUICKSTART]).documents),
        *objects,
        *ports,
        *theirs,
        _document(Ref("switch", NO_TENANT, f"{SECRET}-leaf"), {"site": "dc1", "role": "leaf", "ports": 2}),
        _document(Ref("vpc", OWN, "spare"), {}),
    ]


class World:
    """A controller with the quickstart's intent and one foreign object of every kind, asked as different callers."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.admin = served.client(served.trust.token())
        done = self.admin.post("/v1/apply", json={"documents": _setting_up()})
        assert done.status_code == 200, done.text
        self.user = served.client(served.trust.token(Role.TENANT, OWN))

    def ask(self, verb: str, ref: Ref, spec: dict[str, Any]) -> httpx.Response:
        document = _document(ref, spec)
        identity = {name: document[name] for name in ("kind", "tenant", "name")}
        match verb:
            case "GET":
                return self.user.get(resource_path(ref))
            case "LIST":
                return self.user.get(f"/v1/resources/{ref.kind}", params={"tenant": ref.tenant})
            case "PUT":
                return self.user.put(resource_path(ref), json={"spec": spec})
            case "PUT-ELSE":
                return self.user.put(resource_path(ref), json={"spec": spec, "labels": {"else": "yes"}})
            case "DELETE":
                return self.user.delete(resource_path(ref))
            case "PLAN" | "APPLY":
                return self.user.post(f"/v1/{verb.lower()}", json={"documents": [document]})
            case _:
                return self.user.post(f"/v1/{verb.split('-')[0].lower()}", json={"delete": [identity]})

    def intent(self) -> Any:
        return self.admin.get("/v1/export").json()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    trust = Trust.found(tmp_path_factory.mktemp("access"))
    with serving(application(trust), trust) as served:
        found = World(served)
        yield found
        found.admin.close()
        found.user.close()
    trust.store.close()


def _blank(response: httpx.Response) -> tuple[int, str]:
    """Status and body, the words that were asked with and the number of the request apart."""
    text = re.sub(r"urn:underlace:request:\w+", "", response.text)
    return response.status_code, text.replace(SECRET, "WORD").replace(GHOST, "WORD")


def test_the_tests_know_every_kind() -> None:
    assert OBJECTS.keys() == KINDS.keys()
    assert OWN_OBJECTS.keys() == {name for name, kind in KINDS.items() if kind.writers == "tenant"}


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_what_is_anothers_is_answered_like_what_does_not_exist(world: World, kind: str, verb: str) -> None:
    before = world.intent()
    real = world.ask(verb, _ref(kind), OBJECTS[kind])
    ghost = world.ask(verb, _ref(kind, GHOST), OBJECTS[kind])
    nowhere = world.ask(verb, _elsewhere(kind), OBJECTS[kind])
    assert _blank(real) == _blank(ghost) == _blank(nowhere)
    assert real.status_code in (403, 404) or verb == "LIST"
    if verb == "LIST":
        assert SECRET not in real.text
    assert world.intent() == before


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_the_object_is_there_for_those_who_may_see_it(world: World, kind: str) -> None:
    """Else the test above would be true of anything."""
    assert world.admin.get(resource_path(_ref(kind))).status_code == 200
    assert world.admin.get(resource_path(_elsewhere(kind))).status_code == 404


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_a_list_holds_what_is_the_tenants_and_nothing_else(world: World, kind: str) -> None:
    items = world.user.get(f"/v1/resources/{kind}").json()["items"]
    seen = {(i["tenant"], i["name"]) for i in items}
    if KINDS[kind].tenanted:
        everything = world.admin.get(f"/v1/resources/{kind}").json()["items"]
        assert seen == {(i["tenant"], i["name"]) for i in everything if i["tenant"] == OWN}
    else:
        own = {"tenant": {(NO_TENANT, OWN)}, "port": {(NO_TENANT, "swp12@leaf1"), (NO_TENANT, "swp13@leaf1")}}
        assert seen == own.get(kind, set())


FOR_ALL = ("/v1/status", "/v1/whoami", "/v1/kinds", "/v1/live", "/v1/openapi.json")
"""What every user may ask."""


@pytest.mark.parametrize("path", FOR_ALL)
def test_what_every_user_may_ask_names_nothing_of_others(world: World, path: str) -> None:
    response = world.user.get(path)
    assert response.status_code == 200
    assert SECRET not in response.text


CLOSED = (
    ("GET", "/v1/devices", "/v1/devices"),
    ("GET", "/v1/devices/leaf1", "/v1/devices/ghost"),
    ("GET", "/v1/devices/leaf1/config", "/v1/devices/ghost/config"),
    ("POST", "/v1/devices/leaf1/enrolment", "/v1/devices/ghost/enrolment"),
    ("DELETE", "/v1/devices/leaf1", "/v1/devices/ghost"),
    ("GET", "/v1/explain?device=leaf1&text=swp", "/v1/explain?device=ghost&text=swp"),
    ("GET", "/v1/revisions", "/v1/revisions"),
    ("GET", "/v1/revisions/1", "/v1/revisions/99"),
    ("GET", "/v1/revisions/1/intent", "/v1/revisions/99/intent"),
    ("GET", "/v1/export", "/v1/export"),
    ("GET", "/v1/differences", "/v1/differences"),
    ("GET", "/v1/upgrade/survey", "/v1/upgrade/survey"),
    ("POST", "/v1/upgrade/survey", "/v1/upgrade/survey"),
    ("GET", "/v1/backup", "/v1/backup"),
    ("POST", "/v1/history/compact", "/v1/history/compact"),
    ("GET", "/v1/tokens", "/v1/tokens"),
    ("DELETE", "/v1/tokens/x", "/v1/tokens/ghost"),
    ("POST", "/v1/tokens", "/v1/tokens"),
    *(("GET", f"/v1/live/{q}?device=leaf1&to=192.0.2.1", f"/v1/live/{q}?device=ghost") for q in QUERIES),
)
"""What a tenant's user may not ask at all: method, path, and the path of something that does not exist."""

BODIES = {
    ("POST", "/v1/tokens"): {"name": "x", "role": "reader"},
    ("POST", "/v1/history/compact"): {"keep_days": 1},
}

BY_VERB = {("POST", "/v1/plan"), ("POST", "/v1/apply")}
"""What a tenant's user may use for what is the tenant's own: verbs of `World.ask`."""

KNOWN_TO_NOBODY = {("GET", "/healthz"), ("GET", "/readyz")}


def test_every_route_is_in_one_of_the_lists(world: World) -> None:
    """Those of resources are asked for each kind of the registry."""
    paths = world.admin.get("/v1/openapi.json").json()["paths"]
    routes = {(m.upper(), path) for path, operations in paths.items() for m in operations}
    of_kinds = {
        (m, f"/v1/resources/{kind}{rest}")
        for kind in KINDS
        for m, rest in (("GET", ""), *((m, _single(kind)) for m in ("GET", "PUT", "DELETE")))
    }
    assert of_kinds <= routes
    guarded = [("GET", path) for path in FOR_ALL] + [(method, real) for method, real, _ in CLOSED]
    unguarded = {
        (method, path)
        for method, path in routes - of_kinds - BY_VERB - KNOWN_TO_NOBODY
        if not any(method == m and _pattern(path).fullmatch(asked) for m, asked in guarded)
    }
    assert not unguarded
    unknown = {
        (m, asked) for m, asked in guarded if not any(m == n and _pattern(p).fullmatch(asked) for n, p in routes)
    }
    assert not unknown, "a list names a route that is not there"


def _single(kind: str) -> str:
    return ("/{tenant}" if KINDS[kind].tenanted else f"/{NO_TENANT}") + "/{name}"


def _pattern(path: str) -> re.Pattern[str]:
    """What a path of the OpenAPI document matches, a query included."""
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/?]+", re.escape(path)) + r"(\?.*)?")


@pytest.mark.parametrize(("method", "real", "ghost"), CLOSED)
def test_the_fabric_is_closed_to_a_tenants_user(world: World, method: str, real: str, ghost: str) -> None:
    """Forbidden, and forbidden alike whether the thing exists or not."""
    there, nowhere = (world.user.request(method, path, json=BODIES.get((method, real))) for path in (real, ghost))
    assert there.status_code == nowhere.status_code == 403
    assert _blank(there)[1].replace("leaf1", "WORD") == _blank(nowhere)[1]


def _own_resource(kind: str, spec: dict[str, Any]) -> Resource[Any]:
    return Resource(Ref(kind, OWN, f"own-{kind}"), 1, KINDS[kind].spec.model_validate(spec))


def _pointers() -> list[tuple[str, str, str]]:
    """(kind, pointer, kind of what it points to) of every reference that a tenant's document can hold."""
    found = set()
    for kind, spec in OWN_OBJECTS.items():
        for reference in KINDS[kind].refs(_own_resource(kind, spec)):
            if reference.pointer.startswith("/spec/") and reference.target.kind != "port":
                found.add((kind, reference.pointer, reference.target.kind))
    return sorted(found)


def _with(spec: dict[str, Any], pointer: str, value: str) -> dict[str, Any]:
    changed = msgspec.json.decode(msgspec.json.encode(spec))
    place = changed
    *path, last = [int(p) if p.isdigit() else p for p in pointer.removeprefix("/spec/").split("/")]
    for step in path:
        place = place[step]
    place[last] = value
    return changed


@pytest.mark.parametrize("verb", ["plan", "apply"])
@pytest.mark.parametrize(("kind", "pointer", "target"), _pointers())
def test_a_reference_to_anothers_object_is_a_reference_to_nothing(
    world: World, kind: str, pointer: str, target: str, verb: str
) -> None:
    before = world.intent()
    ref = Ref(kind, OWN, f"own-{kind}")
    if target == "switch":
        # Of others: assigned to another tenant, and to nobody. Of nobody: a port and a device that are not there.
        words = ["swp14@leaf1", "swp16@leaf3", "swp14@leaf9"]
    else:
        words = [f"{OTHER}/{SECRET}-{target}", f"{OTHER}/{GHOST}-{target}", f"{GHOST}-corp/{GHOST}-{target}"]
    answers = []
    for word in words:
        document = _document(ref, _with(OWN_OBJECTS[kind], pointer, word))
        response = world.user.post(f"/v1/{verb}", json={"documents": [document]})
        body = response.json()
        assert {d["code"] for d in body["diagnostics"]} == {"dangling-reference"}, response.text
        where = word.partition("@")[2] or word
        said = _blank(response)[1].replace(word, "WORD").replace(where, "DEVICE")
        answers.append((response.status_code, said))
    assert answers[0] == answers[1] == answers[2]
    assert world.intent() == before


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_a_lag_of_another_tenant_is_no_lag(world: World, verb: str) -> None:
    """Of another tenant, of nobody, and on a switch that is not there."""
    lag = _document(Ref("lag", NO_TENANT, "bond7@leaf1"), {"members": ["swp11"]})
    assert world.admin.post("/v1/apply", json={"documents": [lag]}).status_code == 200
    before = world.intent()
    said = set()
    for word in (_name("lag", SECRET), lag["name"], "bond8@leaf1", "bond1@leaf9"):
        document = _document(Ref("vnet", OWN, "own-wide"), {"vpc": "red", "ports": [{"port": word}]})
        response = world.user.post(f"/v1/{verb}", json={"documents": [document]})
        assert [d["code"] for d in response.json()["diagnostics"]] == ["dangling-reference"], response.text
        said.add((response.status_code, re.sub(r"bond\d@[\w-]+", "WORD", _blank(response)[1])))
    assert len(said) == 1
    assert world.intent() == before


def test_the_tenants_own_documents_are_taken(world: World) -> None:
    """Else the tests above would refuse anything."""
    documents = [_document(Ref(kind, OWN, f"own-{kind}"), spec) for kind, spec in OWN_OBJECTS.items()]
    planned = world.user.post("/v1/plan", json={"documents": documents})
    assert planned.status_code == 200, planned.text
    assert SECRET not in planned.text
    assert planned.json()["devices"] == []


@pytest.mark.parametrize(
    ("kind", "spec"), [("vpc", {"vni": 777_777}), ("vnet", {"vpc": "red", "vni": 777_778}), ("vpc", {"vni": 777_778})]
)
def test_a_number_that_is_taken_is_taken_by_nobody_in_particular(
    world: World, kind: str, spec: dict[str, Any]
) -> None:
    response = world.user.put(resource_path(Ref(kind, OWN, "greedy")), json={"spec": spec})
    assert response.status_code == 422
    assert SECRET not in response.text


def test_a_number_that_is_taken_is_answered_like_one_that_is_free(world: World) -> None:
    """To ask for numbers one by one would tell how many VPCs and V-Nets others have, and which numbers."""
    taken = world.admin.get("/v1/resources/vpc/system/border").json()["status"]["allocated"]["vni"]
    answers = []
    for vni in (taken, 9_999_999):
        response = world.user.put(resource_path(Ref("vpc", OWN, "greedy")), json={"spec": {"vni": vni}})
        assert [d["code"] for d in response.json()["diagnostics"]] == ["number-not-granted"]
        answers.append((response.status_code, response.text.replace(str(vni), "N")))
    assert answers[0][0] == answers[1][0] == 422
    assert json.loads(answers[0][1])["diagnostics"] == json.loads(answers[1][1])["diagnostics"]


def test_an_operator_may_choose_a_number_and_the_tenant_may_keep_it(world: World) -> None:
    path = resource_path(Ref("vpc", OWN, "chosen"))
    assert world.admin.put(path, json={"spec": {"vni": 8_888_888}}).status_code in (200, 201)
    kept = world.user.put(path, json={"spec": {"vni": 8_888_888, "description": "mine"}})
    assert kept.status_code in (200, 201), kept.text


def test_a_prefix_that_is_taken_is_taken_by_nobody_in_particular(world: World) -> None:
    """An operator gave another tenant a subnet in this one's VPC."""
    guest = {"vpc": f"{OWN}/red", "prefix": "10.1.99.0/24"}
    made = _document(Ref("subnet", OTHER, f"{SECRET}-guest"), guest)
    done = world.admin.post("/v1/apply", json={"documents": [made]})
    assert done.status_code == 200, done.text
    spec = {"vpc": "red", "prefix": "10.1.99.128/25"}
    response = world.user.put(resource_path(Ref("subnet", OWN, "late")), json={"spec": spec})
    assert [d["code"] for d in response.json()["diagnostics"]] == ["already-claimed"]
    assert SECRET not in response.text


def test_a_referrer_that_the_tenant_may_not_see_is_not_named(world: World) -> None:
    made = _document(
        Ref("vpc-peering", OTHER, f"{SECRET}-hold"), {"a": {"vpc": f"{SECRET}-vpc"}, "b": {"vpc": "acme/spare"}}
    )
    assert world.admin.post("/v1/apply", json={"documents": [made]}).status_code == 200
    response = world.user.delete(resource_path(Ref("vpc", OWN, "spare")))
    assert response.status_code == 409
    assert SECRET not in response.text


def test_a_label_of_anothers_server_selects_nothing(world: World) -> None:
    """Whether others have such a label shows in nothing; and what is labelled for the tenant is the tenant's."""
    servers = [
        {"kind": "server", "name": f"{SECRET}-{n}", "spec": {"site": "dc1", "nics": [{"name": "eth1"}], **spec}}
        for n, spec in (("disks", {"tenant": OTHER}), ("shared", {}))
    ]
    for server, label in zip(servers, ("disks", f"{OTHER}/disks"), strict=True):
        server["labels"] = {"iface.eth1": label}
    cables = [
        {"kind": "link", "name": f"{SECRET}-{n}", "spec": {"a": f"eth1@{SECRET}-{n}", "b": f"swp{port}@leaf2"}}
        for n, port in (("disks", 12), ("shared", 13))
    ]
    assert world.admin.post("/v1/apply", json={"documents": [*servers, *cables]}).status_code == 200
    answers = []
    for label in ("disks", "ghost"):
        path = resource_path(Ref("vnet", OWN, "greedy"))
        made = world.user.put(path, json={"spec": {"vpc": "red", "port_labels": [{"label": label}]}})
        assert made.status_code in (200, 201), made.text
        status = world.admin.get(path).json()["status"]
        answers.append((status["waiting_for"], made.json()["resources"][0]["action"]))
        assert world.user.delete(path).status_code == 200
    assert answers[0] == answers[1]
    assert answers[0][0] == 0


def test_a_user_of_no_living_tenant_sees_nothing(world: World) -> None:
    path = resource_path(_elsewhere("tenant"))
    assert world.admin.put(path, json={"spec": {}}).status_code == 200
    token = world.served.trust.token(Role.TENANT, f"{GHOST}-corp")
    assert world.admin.delete(path).status_code == 200
    with world.served.client(token) as client:
        for kind in KINDS:
            assert client.get(f"/v1/resources/{kind}").json()["items"] == []


@pytest.mark.parametrize("kind", sorted(OBJECTS))
def test_a_reader_reads_all_and_writes_nothing(world: World, kind: str) -> None:
    before = world.intent()
    with world.served.client(world.served.trust.token(Role.READER)) as reader:
        path = resource_path(_ref(kind))
        assert reader.get(path).status_code == 200
        assert reader.put(path, json={"spec": OBJECTS[kind], "labels": {"by": "reader"}}).status_code == 403
        assert reader.delete(path).status_code == 403
        assert reader.post("/v1/devices/leaf1/enrolment").status_code == 403
        assert reader.delete("/v1/devices/leaf1").status_code == 403
        assert reader.get("/v1/backup").status_code == 403
    assert world.intent() == before


def test_an_operator_writes_the_fabric_but_not_who_may(world: World) -> None:
    with world.served.client(world.served.trust.token(Role.OPERATOR)) as operator:
        path = resource_path(Ref("profile", NO_TENANT, "made-by-operator"))
        assert operator.put(path, json={"spec": {}}).status_code == 200
        assert operator.delete(path).status_code == 200
        assert operator.get("/v1/tokens").status_code == 403
        assert operator.post("/v1/tokens", json={"name": "x", "role": "admin"}).status_code == 403
        assert operator.get("/v1/backup").status_code == 403
        assert operator.post("/v1/history/compact", json={"keep_days": 1}).status_code == 403


# A device's certificate


def _post(client: httpx.Client, verb: str, body: msgspec.Struct) -> httpx.Response:
    return client.post(f"/agent/v1/{verb}", content=msgspec.json.encode(body), headers={"Underlace-Agent": "1"})


@pytest.fixture(scope="module")
def leaves(world: World) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    trust = world.served.trust
    clients = [world.served.client(certificate=trust.device(d), agents=True) for d in ("leaf1", "leaf2")]
    yield clients[0], clients[1]
    for client in clients:
        client.close()


def _manifest(client: httpx.Client) -> Manifest:
    return msgspec.json.decode(_post(client, "desired", DesiredRequest()).content, type=Manifest)


def _report(device: str, manifest: Manifest) -> Report:
    return Report(device, Outcome.HELD, manifest.revision, manifest.digest, manifest.scopes, "0", "linux", "1")


def test_a_certificate_gets_its_own_devices_state(leaves: tuple[httpx.Client, httpx.Client]) -> None:
    one, two = map(_manifest, leaves)
    assert (one.device, two.device) == ("leaf1", "leaf2")
    assert set(one.scopes.values()) != set(two.scopes.values())


def test_a_certificate_gets_no_fragment_of_another_device(leaves: tuple[httpx.Client, httpx.Client]) -> None:
    """A hash of another device is answered like one of nothing."""
    one, two = map(_manifest, leaves)
    foreign = sorted(set(two.scopes.values()) - set(one.scopes.values()))
    answers = [_post(leaves[0], "fragments", FragmentRequest((h,))) for h in (foreign[0], "0" * 64)]
    assert [a.status_code for a in answers] == [409, 409]
    assert _blank(answers[0]) == _blank(answers[1])


def test_a_certificate_speaks_for_its_own_device_only(
    world: World, leaves: tuple[httpx.Client, httpx.Client]
) -> None:
    refused = _post(leaves[0], "report", _report("leaf2", _manifest(leaves[1])))
    assert refused.status_code == 403
    assert world.admin.get("/v1/devices/leaf2").json()["state"] == "never-seen"


def test_a_certificate_opens_nothing_but_the_agents_paths(world: World) -> None:
    with world.served.client(certificate=world.served.trust.device("leaf3")) as device:
        for path in ("/v1/status", "/v1/resources/vpc", "/v1/devices/leaf3", "/v1/tokens", "/v1/openapi.json"):
            assert device.get(path).status_code == 401


def test_a_certificate_is_renewed_for_its_own_device_only(
    world: World, leaves: tuple[httpx.Client, httpx.Client]
) -> None:
    from support.certificates import request_pem
    from underlace.model.wire import RenewRequest

    assert _post(leaves[0], "renew", RenewRequest(request_pem("leaf1"))).status_code == 200
    assert _post(leaves[0], "renew", RenewRequest(request_pem("leaf2"))).status_code == 422


def test_a_forgotten_device_is_nobody(world: World, tmp_path: Path) -> None:
    file = world.served.trust.device("spine1")
    with world.served.client(certificate=file, agents=True) as device:
        assert _post(device, "desired", DesiredRequest()).status_code == 200
        assert world.admin.delete("/v1/devices/spine1").status_code == 204
        assert _post(device, "desired", DesiredRequest()).status_code == 401


def test_nobody_gets_in_without_being_known(world: World) -> None:
    """The last of all tests here: from now on its address has to wait."""
    paths = world.admin.get("/v1/openapi.json").json()["paths"]
    asked = 0
    with world.served.client() as stranger:
        for path, operations in paths.items():
            for method in operations:
                status = stranger.request(method, re.sub(r"\{\w+\}", "x", path)).status_code
                assert status == 200 if path in ("/healthz", "/readyz") else status in (401, 429), (method, path)
                asked += 1
    assert asked > 4 * len(KINDS)
