"""Carries out probes: programs in their namespaces, bounded in time and in what they say.

For threads of their own: nothing here is shared with what reads and applies, so neither waits for the other.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any

from underlace.drivers.linux import sending, vty
from underlace.drivers.linux.namespaces import Namespaces, NoNamespace
from underlace.drivers.linux.probes import base, probes, sent
from underlace.drivers.linux.probes.base import NOT_ENDED, NOT_STARTED, Odd, Probe, Said, Step
from underlace.drivers.linux.speeds import speeds
from underlace.model.question import ROWS_MAX, Observed, Row, Value

OUTPUT_MAX = 16 * 1024 * 1024
"""Bytes that a step may say. A whole table of the internet is more: ask for a prefix."""

TOGETHER = 16
"""Steps that run at the same time, where they do."""

PATIENCE = 1.5
"""Seconds that echoes are waited for: a fabric answers in milliseconds."""

ROOM = 0.1
"""Seconds between the end of a probe and that of the question."""

_CHUNK = 65_536
_WORDS_MAX = 400


class Unanswered(OSError):
    """The device did not answer a question; the words say why."""

    code = NOT_STARTED


class Late(Unanswered):
    """It did not do so in time."""

    code = NOT_ENDED


class Probing:
    """The probes of one device. run_dir: FRR's, where its daemons listen."""

    def __init__(self, namespaces: Namespaces, run_dir: Path = Path("/run/frr")) -> None:
        self._namespaces, self._run_dir = namespaces, run_dir

    def answer(self, name: str, arguments: Mapping[str, Value], seconds: float) -> Observed:
        """Rows of a probe within so many seconds. Raises Unanswered."""
        until = time.monotonic() + seconds
        probe = probes().get(name)
        if probe is None:
            raise Unanswered(f"the driver linux has no probe {name[:40]!r}")
        try:
            steps = list(probe.steps(arguments, self._namespaces.vrfs()))
            said = self._run(probe, steps, until, arguments.get("vrf"))
            rows = _bounded(probe.rows(arguments, said))
        except Odd as odd:
            raise Unanswered(str(odd)[:_WORDS_MAX]) from odd
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as odd:
            raise Unanswered(f"{name}: an answer of another shape than expected: {odd!r}"[:_WORDS_MAX]) from odd
        return Observed(rows[:ROWS_MAX], _source(steps), len(rows) > ROWS_MAX)

    def _run(self, probe: Probe, steps: Sequence[Step], until: float, vrf: Value | None) -> list[Said]:
        if not probe.together or len(steps) < 2:
            return [self._step(step, until, vrf) for step in steps]
        with ThreadPoolExecutor(min(TOGETHER, len(steps)), "underlace-step") as pool:
            return list(pool.map(lambda step: self._step(step, until, vrf), steps))

    def _step(self, step: Step, until: float, vrf: Value | None) -> Said:
        """vrf: the one that was asked about; any other may have gone since it was listed, and then says nothing."""
        own = min(until, time.monotonic() + step.seconds) if step.seconds else until
        try:
            with self._namespaces.inside(step.netns):
                output, errors, code = self._carry_out(step.words, own)
        except NoNamespace as gone:
            if step.netns == vrf:
                raise Unanswered(f"this device does not have {vrf}") from gone
            return Said(step, "", NOT_STARTED)
        except Unanswered as silent:
            if step.may_fail:
                return Said(step, str(silent), silent.code)
            raise
        if code != 0 and not step.may_fail:
            words = (errors or output).strip()[-_WORDS_MAX:] or f"ended with {code}"
            raise Unanswered(f"{_spoken(step)}: {words}")
        return Said(step, output if code == 0 else output + errors, code)

    def _carry_out(self, words: Sequence[str], until: float) -> tuple[str, str, int]:
        match words:
            case [base.SPEEDS]:
                return speeds()
            case [base.VTY, daemon, command]:
                return vty.ask(self._run_dir, daemon, command, until)
            case [(sent.ECHO | sent.PATH_MTU | sent.CONNECT) as word, target, rest]:
                return _sent(word, target, json.loads(rest), until - ROOM), "", 0
        return bounded(words, until)


def _sent(word: str, target: str, rest: Mapping[str, Any], until: float) -> str:
    """What came of packets to an address, as JSON."""
    to = ip_address(target)
    found: object
    try:
        if word == sent.ECHO:
            found = sending.echoes(to, rest["sends"], rest["interval"], min(until, time.monotonic() + PATIENCE))
        elif word == sent.PATH_MTU:
            found = sending.path_mtu(to, rest["most"], until)
        else:
            found = sending.connect(to, rest["port"], until)
    except OSError as refused:
        raise Unanswered(f"packets to {target} cannot be sent: {refused.strerror or refused}") from refused
    return json.dumps(found)


def bounded(words: Sequence[str], until: float, limit: int = OUTPUT_MAX) -> tuple[str, str, int]:
    """What a program says, its errors, and its exit code. It is killed at the deadline and beyond the limit, and then
    that is raised as Unanswered."""
    try:
        with _started(words) as process:
            said, errors = _read(process, words, until, limit)
            try:
                code = process.wait(max(0.01, until - time.monotonic()))
            except subprocess.TimeoutExpired as late:
                raise Late(f"{words[0]} did not end in time") from late
    except (FileNotFoundError, PermissionError) as missing:
        raise Unanswered(f"{words[0]}: {missing.strerror}") from missing
    return said.decode(errors="replace"), errors.decode(errors="replace"), code


@contextmanager
def _started(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        process.wait()


def _read(process: subprocess.Popen[bytes], words: Sequence[str], until: float, limit: int) -> tuple[bytes, bytes]:
    """Both streams to their end."""
    streams = [process.stdout, process.stderr]
    found: list[list[bytes]] = [[], []]
    size = 0
    with selectors.DefaultSelector() as ready:
        for number, stream in enumerate(streams):
            assert stream is not None
            ready.register(stream, selectors.EVENT_READ, number)
        while ready.get_map():
            events = ready.select(max(0.0, until - time.monotonic()))
            if not events:
                raise Late(f"{' '.join(words)} did not answer in time"[:_WORDS_MAX])
            for key, _ in events:
                piece = os.read(key.fd, _CHUNK)
                if not piece:
                    ready.unregister(key.fileobj)
                found[key.data].append(piece)
                size += len(piece)
            if size > limit:
                raise Unanswered(f"{words[0]} says more than {limit} bytes: ask for less")
    return b"".join(found[0]), b"".join(found[1])


def _bounded(rows: Iterable[Row]) -> tuple[Row, ...]:
    """One more than is let through, to see that there are more."""
    return tuple(islice(rows, ROWS_MAX + 1))


def _source(steps: Sequence[Step]) -> str:
    """What was read, for people; of many, the first and how many."""
    if not steps:
        return ""
    more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
    return (_spoken(steps[0]) + more)[:_WORDS_MAX]


def _spoken(step: Step) -> str:
    if step.words[0] == "vtysh":
        return "vtysh: " + "; ".join(word for word in step.words[1:] if word != "-c")
    return " ".join(step.words)
