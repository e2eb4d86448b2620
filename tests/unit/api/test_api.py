"""The whole API over real HTTPS: what it does with resources, what it says when it does not, and that it holds."""

from __future__ import annotations

import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.api_server import Served, Trust, application, serving
from support.controlled import QUICKSTART
from underlace.access import Role
from underlace.api import fabric
from underlace.cli.intent import as_body
from underlace.kinds.registry import KINDS
from underlace.model.document import read_paths
from underlace.model.wire import DesiredRequest, Manifest

GOLDEN = Path(__file__).parent / "golden" / "problems.json"
FABRIC = {"documents": as_body(read_paths([QUICKSTART]).documents)}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    trust = Trust.found(tmp_path_factory.mktemp("api"))
    with serving(application(trust), trust) as found:
        with found.client(trust.token()) as admin:
            assert admin.post("/v1/apply", json=FABRIC).status_code == 200
        yield found
    trust.store.close()


@pytest.fixture(scope="module")
def admin(served: Served) -> Iterator[httpx.Client]:
    with served.client(served.trust.token()) as client:
        yield client


def test_a_resource_is_written_read_listed_and_deleted(admin: httpx.Client) -> None:
    path = "/v1/resources/tenant/-/a%20(b)-c"
    written = admin.put(path, json={"spec": {"description": "x"}, "labels": {"team": "blue"}})
    assert written.status_code == 200
    assert [(r["action"], r["name"]) for r in written.json()["resources"]] == [("create", "a (b)-c")]
    found = admin.get(path).json()
    assert (found["spec"], found["labels"], found["status"]["state"]) == (
        {"description": "x"},
        {"team": "blue"},
        "Active",
    )
    by_label = admin.get("/v1/resources/tenant", params={"label": "team=blue"}).json()
    assert [i["name"] for i in by_label["items"]] == ["a (b)-c"]
    assert admin.put(path, json={"spec": {"description": "x"}, "labels": {"team": "blue"}}).json()["resources"] == []
    assert admin.delete(path).status_code == 200
    assert admin.get(path).status_code == 404


def test_a_name_may_hold_slashes_and_what_else_names_hold(admin: httpx.Client) -> None:
    path = "/v1/resources/vpc/acme/" + "r%2Fd%20x%3Ay%40z%2B%23"
    assert admin.put(path, json={"spec": {}}).status_code == 200
    assert admin.get(path).json()["name"] == "r/d x:y@z+#"
    assert admin.delete(path).status_code == 200


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_pages_together_are_the_whole_list(admin: httpx.Client, kind: str) -> None:
    whole = admin.get(f"/v1/resources/{kind}").json()
    assert whole["next"] is None
    items: list[Any] = []
    after: str | None = ""
    while after is not None:
        page = admin.get(f"/v1/resources/{kind}", params={"limit": 2, **({"after": after} if after else {})}).json()
        assert len(page["items"]) <= 2
        items += page["items"]
        after = page["next"]
    assert items == whole["items"]


def test_a_plan_changes_nothing_and_holds_what_apply_does(admin: httpx.Client) -> None:
    change = {"documents": [{"kind": "vpc", "tenant": "acme", "name": "planned", "spec": {}}]}
    before = admin.get("/v1/export").json()
    planned = admin.post("/v1/plan", json=change).json()
    assert admin.get("/v1/export").json() == before
    applied = admin.post("/v1/apply", json={**change, "expect": planned["digest"], "message": "as planned"}).json()
    assert applied["digest"] == planned["digest"]
    assert admin.get("/v1/revisions", params={"limit": 1}).json()["items"][0]["message"] == "as planned"
    gone = {"delete": [{"kind": "vpc", "tenant": "acme", "name": "planned"}], "expect": planned["digest"]}
    assert admin.post("/v1/apply", json=gone).status_code == 409


def test_an_export_makes_the_same_fabric_elsewhere(admin: httpx.Client, tmp_path: Path) -> None:
    # Numbers that come from a history, which the other controller has not had.
    for name in ("gone", "kept"):
        assert admin.put(f"/v1/resources/vpc/acme/{name}", json={"spec": {}}).status_code == 200
    assert admin.delete("/v1/resources/vpc/acme/gone").status_code == 200
    exported = admin.get("/v1/export").json()
    trust = Trust.found(tmp_path)
    with serving(application(trust), trust) as other, other.client(trust.token()) as client:
        done = client.post("/v1/apply", json=exported)
        assert done.status_code == 200, done.text
        assert client.get("/v1/export").json() == exported
        kept = "/v1/resources/vpc/acme/kept"
        assert client.get(kept).json()["status"]["allocated"] == admin.get(kept).json()["status"]["allocated"]
        for device in ("leaf1", "spine1"):
            config = f"/v1/devices/{device}/config"
            assert client.get(config).json() == admin.get(config).json()
    trust.store.close()


def _agent(served: Served, device: str) -> httpx.Client:
    client = served.client(certificate=served.trust.device(device), agents=True)
    client.headers["Underlace-Agent"] = "1"
    return client


def test_a_backup_comes_in_pieces_and_leaves_nothing(
    served: Served, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fabric, "PIECE", 1 << 16)
    before = sorted(served.trust.directory.iterdir())
    with admin.stream("GET", "/v1/backup") as response:
        assert response.status_code == 200
        size = int(response.headers["content-length"])
        received = b"".join(response.iter_bytes())
    assert len(received) == size > fabric.PIECE, "it takes more than one"
    with tarfile.open(fileobj=io.BytesIO(received)) as tar:
        assert set(tar.getnames()) == {"underlace.json", "store.sqlite", "ca/ca.key", "ca/ca.pem"}
    assert sorted(served.trust.directory.iterdir()) == before


def test_an_agent_that_waits_gets_a_change_when_it_comes(served: Served, admin: httpx.Client) -> None:
    with _agent(served, "leaf1") as agent:
        have = msgspec.json.decode(agent.post("/agent/v1/desired", json={}).content, type=Manifest)
        nothing = agent.post("/agent/v1/desired", json={"have": have.digest, "wait": 0.05})
        assert nothing.status_code == 204
        got: list[tuple[float, httpx.Response]] = []

        def wait() -> None:
            body = msgspec.json.encode(DesiredRequest(have.digest, 30))
            got.append((time.monotonic(), agent.post("/agent/v1/desired", content=body)))

        thread = threading.Thread(target=wait)
        thread.start()
        path = "/v1/resources/port/-/swp11@leaf1"
        changed = admin.put(path, json={"spec": {"enabled": False}})
        assert changed.status_code == 200, changed.text
        thread.join(20)
        manifest = msgspec.json.decode(got[0][1].content, type=Manifest)
        assert {s for s, h in manifest.scopes.items() if have.scopes.get(s) != h} == {"port:swp11"}
        fragments = agent.post("/agent/v1/fragments", json={"hashes": [manifest.scopes["port:swp11"]]}).json()
        assert '"swp11"' in fragments["bodies"][manifest.scopes["port:swp11"]]
        admin.delete(path)


def test_an_agent_is_seen_when_it_asks_and_not_only_when_it_reports(served: Served, admin: httpx.Client) -> None:
    def seen() -> str:
        return str(admin.get("/v1/devices/leaf3").json()["last_seen"])

    assert seen() == ""
    with _agent(served, "leaf3") as agent:
        have = agent.post("/agent/v1/desired", json={}).json()["digest"]
        first = seen()
        assert first != ""
        assert admin.get("/v1/devices/leaf3").json()["last_report"] == ""
        agent.post("/agent/v1/desired", json={"have": have, "wait": 0.05})
        assert seen() > first
        assert agent.post("/agent/v1/renew", json={"csr": "-"}).status_code == 422
    with served.client(certificate=served.trust.device("leaf3"), agents=True) as older:
        before = seen()
        assert older.post("/agent/v1/desired", json={}).status_code == 426
        assert seen() == before, "an agent that is not understood is not heard"


def test_many_agents_wait_without_a_thread_each(served: Served, admin: httpx.Client) -> None:
    """More than the server has threads; others are answered meanwhile."""
    with _agent(served, "leaf2") as agent:
        have = agent.post("/agent/v1/desired", json={}).json()["digest"]
        before = threading.active_count()
        waiting = [
            threading.Thread(
                target=agent.post, args=("/agent/v1/desired",), kwargs={"json": {"have": have, "wait": 3}}
            )
            for _ in range(60)
        ]
        for thread in waiting:
            thread.start()
        assert admin.get("/v1/whoami").status_code == 200
        assert threading.active_count() - before - len(waiting) < 45, "the server's threads are not one a waiter"
        for thread in waiting:
            thread.join(20)


@pytest.mark.parametrize("version", [None, "", "x", "2", "-1", "99"])
def test_an_agent_of_another_protocol_is_told_so(served: Served, version: str | None) -> None:
    headers = {} if version is None else {"Underlace-Agent": version}
    with served.client(certificate=served.trust.device("leaf3"), agents=True) as agent:
        refused = agent.post("/agent/v1/desired", json={}, headers=headers)
    assert refused.status_code == 426
    assert [d["code"] for d in refused.json()["diagnostics"]] == ["agent-version"]


def test_a_failed_enrolment_does_not_say_why(served: Served) -> None:
    with served.client() as stranger:
        body = {"device": "leaf1", "token": "ule_a_b", "csr": "x"}
        refused = stranger.post("/agent/v1/enrol", json=body, headers={"Underlace-Agent": "1"})
    assert (refused.status_code, refused.json()["diagnostics"][0]["code"]) == (401, "enrolment-refused")


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no such path": ("GET", "/v1/nothing", {}),
    "no such method": ("DELETE", "/v1/whoami", {}),
    "no such kind": ("GET", "/v1/resources/router", {}),
    "no such resource": ("GET", "/v1/resources/vpc/acme/none", {}),
    "a parameter at fault": ("GET", "/v1/resources/vpc?limit=0", {}),
    "a label at fault": ("GET", "/v1/resources/vpc?label=x", {}),
    "no body": ("POST", "/v1/apply", {}),
    "a body that is not JSON": ("POST", "/v1/apply", {"content": b"{"}),
    "a body of another shape": (
        "POST",
        "/v1/apply",
        {"json": {"documents": [{"kind": 1, "name": "x"}, {"kind": "vpc"}]}},
    ),
    "an unknown kind in a document": ("POST", "/v1/plan", {"json": {"documents": [{"kind": "x", "name": "y"}]}}),
    "a spec that is none": (
        "POST",
        "/v1/apply",
        {
            "json": {
                "documents": [
                    {"kind": "vpc", "tenant": "acme", "name": "x", "spec": [1]},
                    {"kind": "vpc", "tenant": "none", "name": "y"},
                ]
            }
        },
    ),
    "two fields at fault": ("PUT", "/v1/resources/vpc/acme/x", {"json": {"spec": {"vni": -1, "colour": "blue"}}}),
    "a reference to nothing": ("PUT", "/v1/resources/vnet/acme/x", {"json": {"spec": {"vpc": "none"}}}),
    "still referred to": ("DELETE", "/v1/resources/profile/-/default", {}),
    "a plan that changed": ("POST", "/v1/apply", {"json": {"delete": [], "expect": "0", "documents": []}}),
    "a token that cannot be": ("POST", "/v1/tokens", {"json": {"name": "x", "role": "god"}}),
    "no such device": ("GET", "/v1/devices/none", {}),
    "no such revision": ("GET", "/v1/revisions/99999", {}),
}


def _spoken(response: httpx.Response) -> dict[str, Any]:
    text = re.sub(r"urn:underlace:request:[0-9a-f]{16}", "urn:underlace:request:ID", response.text)
    body: dict[str, Any] = json.loads(re.sub(r"since revision \d+", "since revision N", text))
    return body


def test_problems_say_what_they_always_said(admin: httpx.Client, request: pytest.FixtureRequest) -> None:
    """The words are an interface. After a change on purpose: delete the golden file, run, read the difference."""
    found = {}
    for name, (method, path, more) in CASES.items():
        response = admin.request(method, path, **more)
        assert response.headers["content-type"] == "application/problem+json", name
        assert response.json()["status"] == response.status_code
        found[name] = _spoken(response)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
        pytest.fail(f"{GOLDEN} was made; read it and run again")
    assert found == json.loads(GOLDEN.read_text())


def test_every_operation_of_openapi_answers_without_a_fault(served: Served, admin: httpx.Client, quick: bool) -> None:
    """Requests made from the schema: whatever they hold, the controller answers, and never with 5xx."""
    schema = schemathesis.openapi.from_dict(admin.get("/v1/openapi.json").json())
    statuses: set[int] = set()
    few = settings(
        max_examples=2 if quick else 6, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    for found in schema.get_all_operations():
        operation = found.ok()
        ask = partial(_call, admin, served.url, operation.label)
        _attempt(few, operation.as_strategy(), lambda case, ask=ask: statuses.add(ask(case)))
    assert {200, 404, 422} <= statuses


def _attempt(limits: settings, cases: st.SearchStrategy[Any], use: Callable[[Any], None]) -> None:
    @limits
    @given(case=cases)
    def attempt(case: Any) -> None:
        use(case)

    attempt()


def _call(client: httpx.Client, url: str, label: str, case: Any) -> int:
    made = case.as_transport_kwargs(base_url=url)
    more = {name: made[name] for name in ("params", "json") if name in made}
    if "data" in made:
        more["content"] = made["data"]
    response = client.request(made["method"], made["url"], **more)
    assert response.status_code < 500, (label, made, response.text)
    return response.status_code


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=8,
    ).map(msgspec.json.encode),
    path=st.sampled_from(["/v1/apply", "/v1/plan", "/v1/resources/vpc/acme/x", "/v1/tokens"]),
)
def test_no_body_breaks_the_controller(admin: httpx.Client, body: bytes, path: str) -> None:
    response = admin.request("PUT" if "resources" in path else "POST", path, content=body)
    assert response.status_code in (200, 409, 413, 422), (path, body, response.text)


def test_reading_openapi_takes_a_token(served: Served) -> None:
    with served.client() as stranger, served.client(served.trust.token(Role.READER)) as reader:
        assert stranger.get("/v1/openapi.json").status_code == 401
        assert stranger.get("/docs").status_code == 401
        assert reader.get("/docs").status_code == 404
        document = reader.get("/v1/openapi.json").json()
    for kind in KINDS:
        schema = document["paths"][f"/v1/resources/{kind}"]["get"]["responses"]["200"]
        assert schema["content"]["application/json"]["schema"]["properties"]["items"]
    assert "VpcSpec" in document["components"]["schemas"]
