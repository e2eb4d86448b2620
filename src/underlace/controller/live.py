"""Live questions as a use case: who may ask, about which devices and VPCs; each is in the audit, no answer is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager

import msgspec
from sqlalchemy import Connection

from underlace.access import Actor, Role, Use, forbidden
from underlace.controller.devices import require
from underlace.controller.run import Engine
from underlace.kinds.vpc import vrf_of
from underlace.live.answer import LiveAnswer
from underlace.live.board import Wake
from underlace.live.live import Live
from underlace.model.diagnostic import Diagnostic, Refused, Where
from underlace.model.ids import Ref
from underlace.model.question import Answer, Question
from underlace.queries.base import Parameters, Query
from underlace.queries.registry import QUERIES
from underlace.store import devices as devices_table
from underlace.store import ledger

DEVICES_MAX = 256
"""Devices of one question."""

VPC = "vpc"
"""The parameter of every query with `in_vpc`."""

_VRF = re.compile(r"vpc-([0-9]{1,9})")


class Questions:
    """The use cases of live questions, and the agents' side of them."""

    def __init__(self, engine: Engine, live: Live) -> None:
        self._engine, self._live = engine, live

    def ask(self, actor: Actor, name: str, parameters: Mapping[str, str], devices: Collection[str]) -> LiveAnswer:
        """Ask devices, all of them when none is named, what is true right now."""
        query = QUERIES.get(name)
        require(actor, Use.READ_LIVE, "ask devices for live state")
        if query is None:
            raise Refused([_unknown(name)])
        if query.active:
            require(actor, Use.SEND_PROBES, "have devices send packets")
        given = dict(parameters)
        vpc = given.pop(VPC, "") if query.in_vpc else ""
        asked = parsed(query, given)
        with self._engine.store.read() as c:
            chosen = _devices(c, query, devices)
            vrf = self._vrf(c, vpc) if vpc else ""
        self._audit(actor, query, {**given, **({VPC: vpc} if vpc else {})}, devices)
        arguments = msgspec.to_builtins(asked) | ({"vrf": vrf} if vrf else {})
        found = self._live.ask(query, asked, arguments, chosen)
        told = {**found.parameters, **({VPC: vpc} if vpc else {})}
        return msgspec.structs.replace(found, parameters=told, vrfs=self._names(found))

    def _vrf(self, c: Connection, vpc: str) -> str:
        tenant, slash, name = vpc.partition("/")
        resource = self._engine.view(c).get(Ref("vpc", tenant, name)) if slash else None
        if resource is None:
            raise Refused([_no_vpc(vpc)])
        return vrf_of(resource)

    def _names(self, found: LiveAnswer) -> dict[str, str]:
        """The VPCs of the VRFs in an answer."""
        vrfs = {getattr(row, "vrf", "") for device in found.devices for row in device.rows}
        ids = {vrf: int(match[1]) for vrf in vrfs if (match := _VRF.fullmatch(vrf))}
        if not ids:
            return {}
        with self._engine.store.read() as c:
            view = self._engine.view(c)
            known = {vrf: view.by_id(i) for vrf, i in sorted(ids.items())}
        return {
            vrf: f"{r.ref.tenant}/{r.ref.name}" for vrf, r in known.items() if r is not None and r.ref.kind == "vpc"
        }

    def _audit(self, actor: Actor, query: Query, parameters: Mapping[str, str], devices: Iterable[str]) -> None:
        """Who asked what, durable before anybody is asked."""
        at = ledger.stamp(self._engine.clock())
        detail = msgspec.json.encode(parameters).decode()[:1_000]
        target = ",".join(sorted(devices))[:1_000]
        self._engine.store.write(
            lambda c: ledger.write_audit(c, at, actor.name, f"live {query.name}", target, detail)
        )

    # Agents: the actor is the device

    def on_question(self, wake: Wake) -> None:
        """Have `wake` called with the devices for which a question waits; it must not block."""
        self._live.board.on_question(wake)

    def polling(self, actor: Actor) -> AbstractContextManager[int]:
        """Around each poll of an agent for questions. It is no contact: a device is heard when its agent speaks of
        its state, and not when a thread beside that still asks."""
        return self._live.board.polling(own(actor))

    def fetch(self, actor: Actor, poll: int) -> tuple[Question, ...]:
        """The questions that wait for the device, for the newest of its polls. Never waits."""
        return self._live.board.fetch(own(actor), poll)

    def answer(self, actor: Actor, answer: Answer) -> None:
        """A device's answer. It is not said whether anybody still waits for it."""
        self._live.board.answer(own(actor), answer)


def own(actor: Actor) -> str:
    """The device that asks; nobody else is asked questions."""
    if actor.role is not Role.DEVICE:
        raise Refused([forbidden(actor, "answer for a device")])
    return actor.name


def parsed(query: Query, given: Mapping[str, str]) -> Parameters:
    """Parameters from their texts. Raises Refused."""
    try:
        return msgspec.convert(given, query.parameters, strict=False)
    except msgspec.ValidationError as fault:
        text, _, path = str(fault).partition(" - at `$")
        raise Refused([_invalid(query, text, re.sub(r"[.`]+", "/", path).rstrip("/"))]) from None


def _devices(c: Connection, query: Query, asked: Collection[str]) -> list[str]:
    known = set(devices_table.names(c))
    if missing := sorted(set(asked) - known):
        raise Refused([_no_device(name) for name in missing[:10]])
    chosen = sorted(set(asked) or known)
    if query.active and not asked:
        raise Refused([_unnamed(query)])
    if len(chosen) > DEVICES_MAX:
        raise Refused([_too_many(len(chosen))])
    return chosen


def _unknown(name: str) -> Diagnostic:
    return Diagnostic(
        Where(),
        "query-unknown",
        "There is no such live query",
        f"{name[:80]!r} is none of {', '.join(QUERIES)}.",
        "List the queries: underlace live",
    )


def _invalid(query: Query, words: str, pointer: str) -> Diagnostic:
    names = [f.name for f in msgspec.structs.fields(query.parameters)] + ([VPC] if query.in_vpc else [])
    return Diagnostic(
        Where(pointer=pointer),
        "parameter-invalid",
        "A parameter of the request has no possible value",
        f"{query.name}: {words}",
        f"Parameters of {query.name}: {', '.join(names) or 'none'}. See its page in the reference.",
    )


def _no_vpc(vpc: str) -> Diagnostic:
    return Diagnostic(
        Where(pointer="/vpc"),
        "not-found",
        "The resource does not exist",
        f"There is no vpc {vpc[:120]!r} that you may see.",
        "Name it as TENANT/NAME; list them: underlace get vpc",
    )


def _no_device(name: str) -> Diagnostic:
    return Diagnostic(
        Where(pointer="/device"),
        "not-found",
        "The device is not known",
        f"No device {name[:120]!r} should hold anything.",
        "List the devices: underlace device list",
    )


def _unnamed(query: Query) -> Diagnostic:
    return Diagnostic(
        Where(pointer="/device"),
        "live-device-missing",
        "A probe sends packets from the devices that are named",
        f"{query.name} names no device.",
        f"Name one or more: underlace live {query.name} --device leaf1",
    )


def _too_many(count: int) -> Diagnostic:
    return Diagnostic(
        Where(pointer="/device"),
        "live-too-many",
        "Too many devices for one question",
        f"There are {count}; a question is put to at most {DEVICES_MAX}.",
        "Name devices, and ask in parts: underlace live QUERY --device leaf1 --device leaf2",
    )
