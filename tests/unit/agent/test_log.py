"""Events as JSON lines."""

import io
import json
from datetime import datetime

from underlace.agent.log import Log
from underlace.model.diagnostic import Diagnostic, Severity, Where


def test_one_line_an_event() -> None:
    stream = io.StringIO()
    Log("leaf1", stream).event("apply", revision=3, words="two\nlines", key=("vrf", "red"))
    [line] = stream.getvalue().splitlines()
    event = json.loads(line)
    assert datetime.fromisoformat(event.pop("time")).tzinfo is not None
    assert event == {
        "level": "info",
        "event": "apply",
        "device": "leaf1",
        "revision": 3,
        "words": "two\nlines",
        "key": ["vrf", "red"],
    }


def test_findings_have_their_level() -> None:
    stream = io.StringIO()
    log = Log("leaf1", stream)
    log.finding(Diagnostic(Where(), "a", "s", "d", "r"))
    log.finding(Diagnostic(Where(), "b", "s", severity=Severity.WARNING))
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["error", "warning"]


def test_a_stream_that_is_gone_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    Log("leaf1", stream).event("apply", value=object())
