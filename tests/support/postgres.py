"""A real PostgreSQL server of one's own: a new cluster, on a Unix socket that nobody else may use."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

USER = "postgres"
"""A server refuses to run as root; Debian's package makes this user."""

START_SECONDS = 60.0
_numbers = itertools.count()


def programs() -> Path | None:
    """Where the newest PostgreSQL of this machine has its programs."""
    found = sorted(
        (p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")), key=lambda p: int(p.parent.name)
    )
    return found[-1] if found else None


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


class PostgresServer:
    """Start with `PostgresServer.start()`, end with `stop`; each `database()` is new and empty."""

    def __init__(self, bin_: Path, directory: Path) -> None:
        self._bin, self._directory = bin_, directory
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: dict[str, str] = {}

    @classmethod
    def start(cls, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> PostgresServer:
        """settings: of the server, beside its defaults.

        A machine that loses its power is not part of any test, a server that is killed is. What a commit costs
        (durable) is a part of benchmarks.
        """
        bin_ = programs()
        assert bin_ is not None, "no PostgreSQL: apt-get install postgresql"
        # Not pytest's directory: that is for its own user only, and a path of a socket has at most 107 characters.
        server = cls(bin_, Path(tempfile.mkdtemp(prefix="underlace-pg-")))
        server._settings = {"fsync": "on" if durable else "off", **(settings or {})}
        if os.geteuid() == 0:
            shutil.chown(server._directory, USER)
        options = ("--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        server._run("initdb", "--pgdata", str(server._directory / "data"), *options)
        server.resume()
        return server

    def resume(self) -> None:
        """Run the server, again after a `kill`."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self._directory), **self._settings}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._as(), str(self._bin / "postgres"), "-D", str(self._directory / "data"), *words],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self._await()

    def kill(self) -> None:
        """All its processes, at once."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        if self._process is not None:
            self._end(signal.SIGINT)
        shutil.rmtree(self._directory)

    def database(self, *, copy_of: str = "") -> str:
        """The URL of a new database, empty or a copy of one that nobody uses now."""
        name = f"db{next(_numbers)}"
        like = ["-T", _name(copy_of)] if copy_of else []
        self._run("createdb", "-h", str(self._directory), "-U", USER, *like, name)
        return f"postgresql://{USER}@/{name}?host={self._directory}"

    def set(self, url: str, setting: str, value: str) -> None:
        """A setting of a database, for connections from now on."""
        self._run(
            "psql", "-q", "-h", str(self._directory), "-U", USER, "-c",
            f"ALTER DATABASE {_name(url)} SET {setting} = {value}", "postgres",
        )  # fmt: skip

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(30)
        self._process = None

    def _await(self) -> None:
        end = time.monotonic() + START_SECONDS
        ready = [*self._as(), str(self._bin / "pg_isready"), "-q", "-h", str(self._directory)]
        while subprocess.run(ready, check=False, cwd="/").returncode:
            assert self._process is not None
            assert self._process.poll() is None, (self._directory / "log").read_text()
            assert time.monotonic() < end, "PostgreSQL does not start"
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as(), str(self._bin / program), *arguments], capture_output=True, text=True, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _as() -> list[str]:
        """setpriv becomes the program, so that a signal to it is one to the server."""
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if os.geteuid() == 0 else []
