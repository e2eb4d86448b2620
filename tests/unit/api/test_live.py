"""/v1/live and the agents' side of it, over real HTTPS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from support.api_server import Served, Trust, application, serving
from support.controlled import QUICKSTART
from support.fabric import poll
from underlace.access import Role
from underlace.cli.intent import as_body
from underlace.model.document import read_paths
from underlace.model.question import ANSWER_MAX, Answer, Observed, Questions, QuestionsRequest
from underlace.model.wire import HEADER, PROTOCOL
from underlace.queries.registry import QUERIES

ROW = {
    "vrf": "default",
    "peer": "swp1",
    "afi": "ipv4",
    "safi": "unicast",
    "state": "Established",
    "local_as": 1,
    "peer_as": 2,
    "uptime_seconds": 3,
    "received": 4,
    "sent": 5,
    "messages_received": 6,
    "messages_sent": 7,
    "flaps": 0,
    "hostname": "spine1\x1b[2J",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    trust = Trust.found(tmp_path_factory.mktemp("live"))
    with serving(application(trust), trust) as found:
        with found.client(trust.token()) as admin:
            documents = as_body(read_paths([QUICKSTART]).documents)
            assert admin.post("/v1/apply", json={"documents": documents}).status_code == 200
        yield found
    trust.store.close()


@pytest.fixture(scope="module")
def leaf1(served: Served) -> Iterator[httpx.Client]:
    with served.client(certificate=served.trust.device("leaf1"), agents=True) as client:
        client.headers[HEADER] = str(PROTOCOL)
        yield client


def say(client: httpx.Client, verb: str, message: msgspec.Struct) -> httpx.Response:
    return client.post(f"/agent/v1/{verb}", content=msgspec.json.encode(message))


TOKENS: dict[Role, str] = {}


def token(trust: Trust, role: Role) -> str:
    if role not in TOKENS:
        TOKENS[role] = trust.token(role, *(("acme",) if role is Role.TENANT else ()))
    return TOKENS[role]


def asked(served: Served, path: str, role: Role = Role.READER) -> httpx.Response:
    with served.client(token(served.trust, role)) as client:
        return client.get(path)


def test_a_question_reaches_the_device_that_waits_and_its_answer_who_asked(
    served: Served, leaf1: httpx.Client
) -> None:
    came: list[Any] = []

    def agent() -> None:
        waiting = say(leaf1, "questions", QuestionsRequest(20.0))
        (question,) = msgspec.json.decode(waiting.content, type=Questions).questions
        came.append(question)
        answer = Answer(question.id, Observed((ROW,), "vtysh"))
        assert say(leaf1, "answer", answer).status_code == 204

    thread = threading.Thread(target=agent)
    thread.start()
    poll("the answer", lambda: _answered(served), 20.0, 0.01)
    thread.join()
    assert came[0].probe == "bgp-summary"


def _answered(served: Served) -> bool:
    found = asked(served, "/v1/live/bgp-summary?device=leaf1&device=leaf2").json()
    assert [d["device"] for d in found["devices"]] == ["leaf1", "leaf2"]
    there, away = found["devices"]
    if there["error"] is not None:
        return False
    assert there["rows"] == [{**ROW, "hostname": "spine1[2J"}]
    assert (there["device_reachable"], there["source"], there["simulated"]) == (True, "vtysh", False)
    assert 0 <= there["latency_ms"] < 2_700
    assert there["observed_at"].endswith("Z")
    assert (away["device_reachable"], away["error"]["code"]) == (False, "live-away")
    return True


def test_without_a_question_a_poll_ends_by_itself(leaf1: httpx.Client) -> None:
    assert say(leaf1, "questions", QuestionsRequest(0.05)).status_code == 204


def test_what_no_agent_may_say(served: Served, leaf1: httpx.Client) -> None:
    large = Answer("1", Observed(({"x": "x" * (ANSWER_MAX + 5_000)},)))
    assert say(leaf1, "answer", large).status_code == 413
    assert leaf1.post("/agent/v1/answer", content=b"{}").status_code == 422
    assert leaf1.post("/agent/v1/answer", content=b'{"id":"1","observed":{"rows":[1]}}').status_code == 422
    assert say(leaf1, "answer", Answer("never asked")).status_code == 204
    with served.client(agents=True) as stranger:
        stranger.headers[HEADER] = str(PROTOCOL)
        assert say(stranger, "questions", QuestionsRequest()).status_code == 401


def test_refusals_have_their_status(served: Served) -> None:
    assert asked(served, "/v1/live/nope").status_code == 404
    assert asked(served, "/v1/live/bgp-summary?device=leaf9").status_code == 404
    assert asked(served, "/v1/live/bgp-summary?colour=red").status_code == 422
    assert asked(served, "/v1/live/bgp-summary", Role.TENANT).status_code == 403
    with served.client() as stranger:
        assert stranger.get("/v1/live/bgp-summary").status_code == 401


def test_the_list_says_how_to_ask(served: Served) -> None:
    items = {i["name"]: i for i in asked(served, "/v1/live").json()["items"]}
    assert items.keys() == QUERIES.keys()
    summary = items["bgp-summary"]
    assert [p["name"] for p in summary["parameters"]] == ["vpc"]
    assert summary["columns"][:2] == ["vrf", "peer"]


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_every_query_has_its_route_in_the_schema(served: Served, query: Any) -> None:
    with served.client(token(served.trust, Role.ADMIN)) as client:
        operation = client.get("/v1/openapi.json").json()["paths"][f"/v1/live/{query.name}"]["get"]
    names = [p["name"] for p in operation["parameters"]]
    fields = [f.encode_name for f in msgspec.structs.fields(query.parameters)]
    assert names == ["device", *(["vpc"] if query.in_vpc else []), *fields]
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/LiveAnswer"
    }
