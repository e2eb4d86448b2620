"""What a probe is: programs to run, and rows of what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from underlace.drivers.linux import names
from underlace.model.question import Row, Value

Arguments = Mapping[str, Value]

SPEEDS = "link-speeds"
"""A step that is no program: {link: Mbit/s} of a namespace, as JSON."""

VTY = "frr-vty"
"""Another: a daemon, and a command that it answers itself; a tenth of what vtysh costs."""

NOT_ENDED, NOT_STARTED = -1, -2
"""Codes of steps that may fail, and did not end in time or could not be run."""


class Odd(Exception):
    """What a device said is not what its programs say; or an argument cannot be one. The words are for people."""


class Step(NamedTuple):
    """A program and its arguments, and the namespace to run it in. may_fail: its exit code says nothing."""

    words: tuple[str, ...]
    netns: str = names.MAIN
    may_fail: bool = False
    seconds: float = 0.0
    """Its own limit; 0 for what the question has left."""


class Said(NamedTuple):
    """What a step said. code: its exit code."""

    step: Step
    output: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """steps: of the arguments, on a device with these VRFs. together: the steps run at the same time."""

    name: str
    steps: Callable[[Arguments, Sequence[str]], Iterable[Step]]
    rows: Callable[[Arguments, Sequence[Said]], Iterable[Row]]
    together: bool = False


def vtysh(*commands: str) -> Step:
    """Show commands of FRR. Their words are ours, or have been through `arguments`."""
    words = ["vtysh"]
    for command in commands:
        words += ["-c", command]
    return Step(tuple(words))


def documents(text: str) -> Iterator[Any]:
    """JSON values that follow each other: FRR writes one for each VRF in some answers. Raises Odd."""
    decoder = json.JSONDecoder()
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in " \t\r\n,":
            at += 1
        if at == end:
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as odd:
            raise Odd(f"{text[at : at + 80]!r} is not JSON") from odd
        yield value


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Those of them that are objects; FRR writes null and empty lists for nothing."""
    return (value for value in documents(text) if isinstance(value, dict))


def inner(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The members of an object that are objects themselves."""
    if isinstance(value, dict):
        yield from ((key, one) for key, one in value.items() if isinstance(one, dict))


def entries(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list, of lists of lists too."""
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one
        else:
            yield from entries(one)


def number(value: object) -> int:
    """A number of a device's answer; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return 0
    try:
        return int(value)
    except (ValueError, OverflowError):
        return 0


def text(value: object) -> str:
    """A text of a device's answer; "" for what is none."""
    return value if isinstance(value, str) else ""
