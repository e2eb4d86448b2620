"""A device made of namespaces: an anchor process with its own mount and network namespace, private directories, FRR.

    with DeviceNamespace("leaf1") as leaf:
        leaf.wire("swp1", spine, "swp3")
        leaf.start_frr()
        leaf.call(door.read)        # runs in a thread that lives inside the device

Nothing is left behind: links, namespaces and tmpfs go with the anchor.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

FRR_DAEMONS = Path("/usr/lib/frr")
_CLONE_FS, _CLONE_NEWNS, _CLONE_NEWNET = 0x200, 0x20000, 0x40000000
_MS_PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
_PRIVATE_DIRS = ("/run/netns", "/run/frr", "/etc/frr")
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """Why a device cannot be made on this machine, "" when it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not (FRR_DAEMONS / "zebra").exists():
        return "needs FRR in /usr/lib/frr"
    absent = [p for p in ("ip", "nft", "vtysh") if shutil.which(p) is None]
    return f"needs {', '.join(absent)}" if absent else ""


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    args = [a.encode() if a is not None else None for a in (source, target, kind)]
    _check(_libc.mount(*args, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def _become_anchor(ready: int) -> None:
    """In the forked child: private namespaces and directories, one byte on the pipe, then sleep for ever."""
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET), "unshare")
    _mount("none", "/", None, _MS_PRIVATE)
    frr = pwd.getpwnam("frr")
    for directory in _PRIVATE_DIRS:
        os.makedirs(directory, exist_ok=True)
        _mount("tmpfs", directory, "tmpfs", 0, "mode=755")
    for directory in ("/run/frr", "/etc/frr"):
        os.chown(directory, frr.pw_uid, frr.pw_gid)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.write(ready, b"k")
    os.closerange(3, 256)
    while True:
        signal.pause()


class DeviceNamespace:
    """One device. `pid` is the anchor's; the network namespace it starts in is the device's main one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        self._inside: ThreadPoolExecutor | None = None

    def __enter__(self) -> DeviceNamespace:
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(read_end)
                _become_anchor(write_end)
            finally:
                os._exit(1)
        os.close(write_end)
        answer = os.read(read_end, 1)
        os.close(read_end)
        if answer != b"k":
            os.waitpid(self.pid, 0)
            raise RuntimeError(f"no anchor for {self.name}")
        self._inside = ThreadPoolExecutor(1, f"inside-{self.name}", initializer=self._enter_thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inside is not None:
            self._inside.shutdown()
        self.stop_frr()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _enter_thread(self) -> None:
        """A thread that shares its working directory with others may not change its mount namespace."""
        _check(_libc.unshare(_CLONE_FS), "unshare CLONE_FS")
        for kind, flag in (("net", _CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
            fd = os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY)
            try:
                _check(_libc.setns(fd, flag), f"setns {kind}")
            finally:
                os.close(fd)

    def call(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a thread that lives inside the device's namespaces."""
        assert self._inside is not None
        return self._inside.submit(work, *args, **kwargs).result()

    def run(self, *command: str, stdin: str = "", netns: str = "", check: bool = True) -> str:
        """Output of a command inside the device, or inside one of its VRFs."""
        prefix: Sequence[str] = ("nsenter", f"--net=/run/netns/{netns}", "--") if netns else ()
        done = self.call(
            subprocess.run, [*prefix, *command], input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name}: {command}: {done.stdout}{done.stderr}")
        return str(done.stdout + done.stderr)

    def path(self, inside: str) -> Path:
        """A file of the device, seen from outside."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def add_port(self, port: str) -> None:
        """A port with nothing plugged in: its far end stays down in the same namespace, under a foreign name."""
        self.run("ip", "link", "add", port, "type", "veth", "peer", "name", f"x-{port}")

    def wire(self, port: str, other: DeviceNamespace, far: str) -> None:
        """A cable between two devices."""
        self.run("ip", "link", "add", port, "type", "veth", "peer", "name", far, "netns", f"/proc/{other.pid}/ns/net")

    def start_frr(self, daemons: Sequence[str] = ("zebra", "staticd", "bgpd", "bfdd"), keep: bool = False) -> None:
        """Start FRR's daemons; with `keep` from the boot files that are there, else from empty ones."""
        for daemon in daemons:
            config = self.path(f"/etc/frr/{daemon}.conf")
            if not keep:
                config.write_text("")
                self.path("/etc/frr/vtysh.conf").write_text("no service integrated-vtysh-config\n")
            options = ["-s", "90000000", "-n"] if daemon == "zebra" else []
            log = f"file:/run/frr/{daemon}.log"
            command = ["-d", "-F", "datacenter", "-f", f"/etc/frr/{daemon}.conf", "--log", log, *options]
            self.run(str(FRR_DAEMONS / daemon), *command)

    def stop_frr(self) -> None:
        """End the daemons of this device and wait until they are gone."""
        running = [int(f.read_text()) for f in self.path("/run/frr").glob("*.pid") if f.read_text().strip()]
        for pid in running:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 5
        while any(Path(f"/proc/{pid}").exists() for pid in running):
            if time.monotonic() > deadline:
                for pid in running:
                    if Path(f"/proc/{pid}").exists():
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for f in self.path("/run/frr").glob("*.pid"):
            f.unlink(missing_ok=True)
