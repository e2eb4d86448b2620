"""Live questions, over the same outbound channel as everything of agent/v1.

    POST /agent/v1/questions   QuestionsRequest -> Questions, or 204 when nobody asked within `wait` seconds
    POST /agent/v1/answer      Answer           -> 204

A question names a probe of the device's driver. It is answered once, from the device itself, and kept nowhere. What
an answer says is the device's word: whoever reads it checks its shape and cleans its text (`live.shape`).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Value = str | int | bool
"""A value of a question's argument."""

Row = dict[str, object]
"""One row of an answer before anybody has looked at it."""

ROWS_MAX = 10_000
"""Rows of an answer; a device leaves out the rest and says so."""

ANSWER_MAX = 2 * 1024 * 1024
"""Bytes of an answer."""

SECONDS_MAX = 60.0
"""The longest that a device may work on a question."""

AT_ONCE = 16
"""Questions that a device is handed in one answer to its poll."""

_Id = Annotated[str, msgspec.Meta(max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class QuestionsRequest(msgspec.Struct, frozen=True):
    """wait: seconds to hold the request."""

    wait: float = 0.0


class Question(msgspec.Struct, frozen=True):
    """seconds: how long the device may work on it; whoever asked does not wait for longer."""

    id: _Id
    probe: str
    arguments: dict[str, Value] = {}
    seconds: float = 2.0


class Questions(msgspec.Struct, frozen=True):
    questions: tuple[Question, ...]


class Observed(msgspec.Struct, frozen=True):
    """What a probe found. source: what was read, for people. cut: there was more."""

    rows: Annotated[tuple[Row, ...], msgspec.Meta(max_length=ROWS_MAX)] = ()
    source: _Text = ""
    cut: bool = False


class Answer(msgspec.Struct, frozen=True):
    """error: why there is nothing to see, "" where there is."""

    id: _Id
    observed: Observed = Observed()
    error: _Text = ""
