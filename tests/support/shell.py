"""A real `underlace up` on a directory of its own, and commands run against it as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from support.forked import Forked

START = 60.0
COMMAND = [sys.executable, "-m", "underlace.main"]


def environment(home: Path) -> dict[str, str]:
    """Nothing of who runs the tests: no settings, no context, no colours."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("UNDERLACE_", "XDG_"))}
    return {**clean, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}


@dataclass
class Up:
    """A controller process. log: what it said on standard error, beside the data unless `log_file` says where.

    forked: from this process, which has imported everything (see `underlace`), and not started as a user does.
    """

    data: Path
    arguments: tuple[str, ...] = ("--listen", "127.0.0.1:0")
    log_file: Path | None = None
    forked: bool = False
    process: subprocess.Popen[bytes] | Forked = field(init=False)

    def start(self) -> None:
        arguments, home = ["up", "--data", str(self.data), *self.arguments], self.data.parent
        with self.log.open("wb") as log, open(os.devnull, "rb") as nothing:
            if self.forked:
                files = (nothing.fileno(), log.fileno(), log.fileno())
                self.process = _fork(arguments, home, environment(home), files)
            else:
                argv = [*COMMAND, *arguments]
                self.process = subprocess.Popen(argv, stdin=nothing, stdout=log, stderr=log, env=environment(home))
        until = time.monotonic() + START
        while "ready" not in [event.get("event") for event in self.events()]:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, f"not ready after {START} s: {self.log.read_text()}"
            time.sleep(0.05)

    @property
    def log(self) -> Path:
        return self.log_file or self.data.with_suffix(".log")

    @property
    def context(self) -> Path:
        return self.data / "context.json"

    def events(self) -> list[dict[str, object]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        return json.loads(self.out)


def underlace(home: Path, *arguments: str, stdin: str = "", fresh: bool = False, **more: str) -> Result:
    """Run a command in a process of its own; whatever it does, it shows no traceback.

    The process is forked from this one, which has imported everything: that is ten times as fast. fresh: start an
    interpreter, as a user does.
    """
    variables = {**environment(home), **more}
    run = _start if fresh else _run
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        code = run(arguments, home, variables, (given.fileno(), out.fileno(), err.fileno()))
        texts = [_text(file) for file in (out, err)]
    assert "Traceback" not in texts[0] + texts[1], texts[1]
    return Result(code, *texts)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _start(arguments: Sequence[str], home: Path, variables: Mapping[str, str], files: Sequence[int]) -> int:
    stdin, stdout, stderr = files
    return subprocess.run(
        [*COMMAND, *arguments], stdin=stdin, stdout=stdout, stderr=stderr, env=variables, cwd=home, timeout=60
    ).returncode


def _run(arguments: Sequence[str], home: Path, variables: Mapping[str, str], files: Sequence[int]) -> int:
    return _fork(arguments, home, variables, files).wait()


IMPORTED_WHEN_RUN = (
    "httpcore",
    "underlace.api.app",
    "underlace.api.server",
    "underlace.cli.client",
    "underlace.controller.archive",
    "underlace.settings",
)


@cache
def _import_all() -> None:
    """What is forked from here need not import anything."""
    from typer.main import get_command

    from underlace.main import build, drivers

    for name in IMPORTED_WHEN_RUN:
        import_module(name)
    get_command(build([]))
    drivers()


def _fork(arguments: Sequence[str], home: Path, variables: Mapping[str, str], files: Sequence[int]) -> Forked:
    from underlace.main import run

    _import_all()

    def work() -> None:
        os.chdir(home)
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = ["underlace", *arguments]
        run()

    return Forked.start(work, files)


@dataclass
class Shell:
    """Commands of an administrator of one controller."""

    up: Up
    home: Path

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        return underlace(self.home, "--context", str(self.up.context), *arguments, stdin=stdin)
