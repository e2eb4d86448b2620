"""A real `underlace up` on a directory of its own, and commands run against it as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

START = 60.0
COMMAND = [sys.executable, "-m", "underlace.main"]


def environment(home: Path) -> dict[str, str]:
    """Nothing of who runs the tests: no settings, no context, no colours."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("UNDERLACE_", "XDG_"))}
    return {**clean, "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}


@dataclass
class Up:
    """A controller process. log: what it said on standard error."""

    data: Path
    arguments: tuple[str, ...] = ("--listen", "127.0.0.1:0")
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        argv = [*COMMAND, "up", "--data", str(self.data), *self.arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment(self.data.parent))
        until = time.monotonic() + START
        while "ready" not in [event.get("event") for event in self.events()]:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, f"not ready after {START} s: {self.log.read_text()}"
            time.sleep(0.05)

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

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


def underlace(home: Path, *arguments: str, stdin: str = "", **more: str) -> Result:
    """Run a command; whatever it does, it shows no traceback."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment(home), **more},
        cwd=home,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


@dataclass
class Shell:
    """Commands of an administrator of one controller."""

    up: Up
    home: Path

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        return underlace(self.home, "--context", str(self.up.context), *arguments, stdin=stdin)
