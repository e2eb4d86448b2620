"""A copy of this process that does one thing and ends: no interpreter is started, and nothing imported."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from subprocess import TimeoutExpired


class Forked:
    """To those who wait for it or end it, like a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    @classmethod
    def start(cls, work: Callable[[], object], files: Sequence[int]) -> Forked:
        """files: the descriptors that are its standard input, output and error."""
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child:
            return cls(child)
        code = 99
        try:
            for number, file in enumerate(files):
                os.dup2(file, number)
            sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            work()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
            if isinstance(leaving.code, str):
                sys.stderr.write(leaving.code)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float = 60.0) -> int:
        if self._code is None:
            process = os.pidfd_open(self.pid)
            try:
                select.select([process], [], [], timeout)
            finally:
                os.close(process)
        if (code := self.poll()) is None:
            raise TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
