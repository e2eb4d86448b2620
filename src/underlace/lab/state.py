"""The state file: what a lab has started, written as soon as it exists, so that `down` works after a crash too.

One JSON object per line, appended by whoever started the process. A process counts as ours only while its start time
is the recorded one: a recycled pid is never signalled. Processes that were executed (not only forked) also carry the
lab's identity in their environment, which finds those that a crash kept from being recorded.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FILE = "lab.jsonl"
MARK = "_UNDERLACE_LAB"
"""Environment variable that every process executed by a lab carries: the lab's identity. It is no setting."""


class Process(NamedTuple):
    """A process of the lab. start: clock ticks after boot at which it began, from /proc."""

    role: str
    name: str
    pid: int
    start: int


def start_time(pid: int) -> int:
    """When a process began; 0 when there is none, or only its zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def this_process() -> tuple[int, int]:
    """Pid and start time: who a lab belongs to that shall not outlive a command."""
    return os.getpid(), start_time(os.getpid())


def is_running(process: Process) -> bool:
    return process.start != 0 and start_time(process.pid) == process.start


def stop(process: Process, number: int, limit: float) -> None:
    """Send a process a signal and wait until it is gone. Raises TimeoutError when it is not after so many seconds."""
    os.kill(process.pid, number)
    until = time.monotonic() + limit
    while is_running(process):
        if time.monotonic() > until:
            raise TimeoutError(f"{process.role} {process.name} (pid {process.pid}) does not end")
        time.sleep(0.005)


def _append(path: Path, record: dict[str, Any]) -> None:
    line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(file, line)
    finally:
        os.close(file)


class State:
    """The record of one lab, in the directory that holds all its files."""

    def __init__(self, directory: Path, identity: str) -> None:
        self.directory, self.identity = directory, identity

    @classmethod
    def create(cls, directory: Path, **facts: Any) -> State:
        """A new lab in an empty or absent directory."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = directory / f"{FILE}.new"  # renamed into place: a reader never finds half a state file
        if any(
            entry != whole for entry in directory.iterdir()
        ):  # that one alone: whoever came before was killed here
            raise FileExistsError(f"{directory} is not empty: it holds another lab or other files")
        identity = os.urandom(8).hex()
        header = json.dumps({"lab": identity, "simulated": True, **facts}, separators=(",", ":"))
        whole.write_text(header + "\n")
        whole.replace(directory / FILE)
        return cls(directory, identity)

    @classmethod
    def load(cls, directory: Path) -> State | None:
        """The lab of a directory, or None when there is none."""
        try:
            with open(directory / FILE) as file:
                return cls(directory, str(json.loads(file.readline())["lab"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{directory / FILE} is not the state file of a lab") from None

    def records(self) -> Iterator[dict[str, Any]]:
        with open(self.directory / FILE) as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def facts(self) -> dict[str, Any]:
        """Everything noted with `note`, the last word of each."""
        known: dict[str, Any] = {}
        for record in self.records():
            if "role" not in record:
                known.update(record)
        return known

    def note(self, **facts: Any) -> None:
        _append(self.directory / FILE, facts)

    def record(self, role: str, name: str, pid: int) -> Process:
        """Note a process that has just been started."""
        process = Process(role, name, pid, start_time(pid))
        _append(self.directory / FILE, process._asdict())
        return process

    def processes(self) -> dict[tuple[str, str], Process]:
        """The last process recorded for each role and name, running or not."""
        found: dict[tuple[str, str], Process] = {}
        for record in self.records():
            if "role" in record:
                process = Process(record["role"], record["name"], record["pid"], record["start"])
                found[process.role, process.name] = process
        return found

    def running(self, role: str, name: str = "") -> Process | None:
        process = self.processes().get((role, name))
        return process if process is not None and is_running(process) else None

    def alive(self) -> set[int]:
        """Every live process of this lab: recorded ones, and ones that carry its mark."""
        recorded = [Process(**r) for r in self.records() if "role" in r]
        found = {p.pid for p in recorded if is_running(p)} | marked(self.identity)
        return found - lineage()

    def end(self, limit: float = 20.0) -> None:
        """Kill every process of this lab, wait until all are gone, then remove the directory.

        With its last process a namespace disappears, and with it every link, address and mount.
        """
        until = time.monotonic() + limit
        while pids := self.alive():
            for pid in pids:
                _signal(pid, signal.SIGKILL)
            if time.monotonic() > until:
                raise TimeoutError(f"processes {sorted(pids)} of the lab in {self.directory} do not end")
            time.sleep(0.01)
        # The state file last: whoever is interrupted here can be followed by another `down`.
        for entry in self.directory.iterdir():
            if entry.name != FILE:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.rmtree(self.directory)


def marked(identity: str) -> set[int]:
    """Processes whose environment names this lab."""
    needle = f"{MARK}={identity}".encode()
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if needle in file.read().split(b"\0") and start_time(int(entry)):
                    found.add(int(entry))
        except OSError:
            continue
    return found


def lineage() -> set[int]:
    """This process and its ancestors: a shell inside the lab does not kill itself."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        with open(f"/proc/{pid}/stat", "rb") as file:
            pid = int(file.read().rpartition(b")")[2].split()[1])
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
