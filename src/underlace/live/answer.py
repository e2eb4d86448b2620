"""The envelope: what each device answered, when, how long it took, and whether it answered at all."""

from __future__ import annotations

from typing import Any

import msgspec

from underlace.live.shape import cleaned, shaped
from underlace.model.diagnostic import Diagnostic, Where
from underlace.model.question import Answer
from underlace.queries.base import Query, Row


class DeviceAnswer(msgspec.Struct, frozen=True):
    """observed_at: when its answer came, by the controller's clock; what it says is at most latency_ms older.

    device_reachable: its agent answered, if only that it cannot say. error: why there are no rows. cut: there are
    more rows than an answer holds. simulated: it is a device of a lab (law 6).
    """

    device: str
    device_reachable: bool
    observed_at: str
    latency_ms: int
    simulated: bool
    source: str = ""
    rows: tuple[Any, ...] = ()
    cut: bool = False
    error: Diagnostic | None = None


class LiveAnswer(msgspec.Struct, frozen=True):
    """Of all devices that were asked, in order of name. vrfs: the VPCs that devices' names for VRFs stand for."""

    query: str
    parameters: dict[str, Any]
    simulated: bool
    devices: tuple[DeviceAnswer, ...]
    vrfs: dict[str, str] = {}


class Asked(msgspec.Struct, frozen=True):
    """What judging an answer needs of the question. at: RFC 3339, now."""

    query: Query
    device: str
    at: str
    latency_ms: int
    simulated: bool


def judged(asked: Asked, answer: Answer) -> DeviceAnswer:
    """A device's word in the shape of the query, or why it is none."""
    source = cleaned(answer.observed.source)
    if answer.error:
        return _envelope(asked, True, source, error=_failed(asked, cleaned(answer.error, 1_000)))
    try:
        rows: tuple[Row, ...] = shaped(asked.query.row, answer.observed.rows)
    except msgspec.ValidationError as odd:
        return _envelope(asked, True, source, error=_garbage(asked, str(odd)))
    return _envelope(asked, True, source, rows, answer.observed.cut)


def silent(asked: Asked, listened: bool) -> DeviceAnswer:
    """No answer. listened: its agent took the question, or at least was there a moment ago."""
    return _envelope(asked, False, error=_late(asked) if listened else _away(asked))


def _envelope(
    asked: Asked,
    reachable: bool,
    source: str = "",
    rows: tuple[Row, ...] = (),
    cut: bool = False,
    error: Diagnostic | None = None,
) -> DeviceAnswer:
    return DeviceAnswer(
        asked.device, reachable, asked.at, asked.latency_ms, asked.simulated, source, rows, cut, error
    )


def _failed(asked: Asked, words: str) -> Diagnostic:
    return Diagnostic(
        Where(device=asked.device),
        "live-failed",
        "The device cannot answer",
        f"{asked.device} about {asked.query.name}: {words}",
        f"If a service of the device hangs or is gone, see which: underlace live services --device {asked.device}",
    )


def _garbage(asked: Asked, words: str) -> Diagnostic:
    return Diagnostic(
        Where(device=asked.device),
        "live-answer-invalid",
        "The device's answer is none to this question",
        f"{asked.device} about {asked.query.name}: {words}",
        "Upgrade the older of agent and controller; if they are of one release, report it.",
    )


def _late(asked: Asked) -> Diagnostic:
    return Diagnostic(
        Where(device=asked.device),
        "live-timeout",
        "The device has not answered in time",
        f"{asked.device} took the question {asked.query.name}, or was there a moment ago, and did not answer within "
        f"{asked.latency_ms} ms.",
        "Ask again; if it stays so, the device is overloaded or was just lost: underlace device list",
    )


def _away(asked: Asked) -> Diagnostic:
    return Diagnostic(
        Where(device=asked.device),
        "live-away",
        "The device's agent is not there",
        f"No agent of {asked.device} waits for questions: it is off, cut off from its controller, not enrolled, or "
        "of a release that knows no questions.",
        f"See when it was last heard: underlace device show {asked.device}",
    )
