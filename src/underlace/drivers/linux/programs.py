"""The programs that the door runs: `ip`, `tc`, `nft`, `vtysh`. Argument lists only, input on stdin."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from underlace.model.change import Key

LIMIT = 30.0
"""Seconds for one program: beyond, the device counts as not answering."""

BATCH = 500
"""Lines for one `ip`: it leaves a namespace open for each that names one (6.1), and may have 1,024 files."""

_FAILED_LINE = re.compile(r"Command failed -:(\d+)")
_NFT_LINE = re.compile(r"/dev/stdin:(\d+):")
_ECHO = re.compile(r"\S+?(?:\([a-z0-9-]+\))?# ")


class Command(NamedTuple):
    """One line for a program, and the change that it serves."""

    line: str
    key: Key


class Refusal(Exception):
    """A program refused a line; `answer` is what it said."""

    def __init__(self, command: Command, answer: str) -> None:
        super().__init__(f"{command.line}: {answer}")
        self.command, self.answer = command, answer


class Silence(OSError):
    """A program did not end, or could not be run."""


class Answer(NamedTuple):
    code: int
    output: str
    errors: str


def run(arguments: Sequence[str], stdin: str = "") -> Answer:
    """Run a program in the place where the calling thread is."""
    try:
        done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        raise Silence(f"{arguments[0]} did not end within {LIMIT:g} s") from late
    return Answer(done.returncode, done.stdout, done.stderr)


def ask(*arguments: str, stdin: str = "") -> str:
    """Output of a program that must succeed."""
    answer = run(arguments, stdin)
    if answer.code != 0:
        raise Silence(f"{' '.join(arguments)}: {(answer.errors or answer.output).strip()}")
    return answer.output


def ip_batch(commands: Sequence[Command]) -> None:
    """Lines of `ip`, in order; stops at the first that is refused. Raises Refusal."""
    _batch("ip", commands)


def tc(commands: Sequence[Command]) -> None:
    """Lines of `tc`, as those of `ip`."""
    _batch("tc", commands)


def _batch(program: str, commands: Sequence[Command]) -> None:
    for start in range(0, len(commands), BATCH):
        _part(program, commands[start : start + BATCH])


def _part(program: str, commands: Sequence[Command]) -> None:
    answer = run([program, "-batch", "-"], "".join(f"{command.line}\n" for command in commands))
    if answer.code == 0:
        return
    said = answer.errors.strip()
    number = _FAILED_LINE.search(said)
    if number is not None:
        raise Refusal(commands[int(number[1]) - 1], said.partition("Command failed")[0].strip())
    named = re.search(r'argument "([^"]+)"', said)
    guess = (c for c in commands if named is not None and named[1] in c.line.split())
    raise Refusal(next(guess, commands[0]), said)


def nft(commands: Sequence[Command]) -> None:
    """One transaction. Raises Refusal: nothing of it was done."""
    if not commands:
        return
    answer = run(["nft", "-f", "-"], "".join(f"{command.line}\n" for command in commands))
    if answer.code == 0:
        return
    number = _NFT_LINE.search(answer.errors)
    wanted = int(number[1]) if number is not None else 1
    for command in commands:
        wanted -= command.line.count("\n") + 1
        if wanted <= 0:
            raise Refusal(command, answer.errors.strip())
    raise Refusal(commands[0], answer.errors.strip())


def vtysh(commands: Sequence[Command]) -> None:
    """A session: configuration lines of FRR, in order. vtysh stops at what is refused: its answer begins with %."""
    arguments = ["vtysh", "-E", "-c", "configure terminal"]
    for command in commands:
        arguments += ["-c", command.line]
    answer = run(arguments)
    lines = (answer.output + answer.errors).splitlines()
    done = -1
    for line in lines:
        if _ECHO.match(line):
            done += 1
        elif line.lstrip().startswith("%"):
            index = min(max(done - 1, 0), len(commands) - 1)
            raise Refusal(commands[index], line.strip())
    if answer.code != 0:
        # Some refusals carry no %: "Can not associate ...". And a daemon that is gone says nothing at all.
        said = " ".join(line for line in lines if not _ECHO.match(line)).strip()
        index = min(max(done - 1, 0), len(commands) - 1)
        raise Refusal(commands[index], said or "no answer from FRR")


def show(*commands: str) -> str:
    """What FRR answers to show commands."""
    arguments = ["vtysh"]
    for command in commands:
        arguments += ["-c", command]
    answer = run(arguments)
    if answer.code != 0:
        raise Silence(f"vtysh: {(answer.errors or answer.output).strip()}")
    return answer.output
