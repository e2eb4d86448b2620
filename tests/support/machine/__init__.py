"""A machine of its own: QEMU without KVM, Debian's kernel, systemd, a disk that can lose its power.

    with Machine(image(), place, {"swp1": tap, ...}) as machine:
        machine.start()
        machine.put("/root/agent.deb", data)
        machine.run("dpkg", "-i", "/root/agent.deb")
        machine.power_off()                  # like a cut: what was not flushed to the disk is lost

What is in it is emulated instruction by instruction: some ten times as slow as the machine that it runs on.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PROGRAM = "qemu-system-x86_64"
BOOT_SECONDS = 300.0
PORT_MTU = 9_216


def missing() -> str:
    """Why no machine can be made here, "" when one can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in (PROGRAM, "mmdebstrap", "mke2fs") if shutil.which(name) is None]
    return f"needs {', '.join(absent)}: apt-get install qemu-system-x86 mmdebstrap e2fsprogs" if absent else ""


def image() -> Path:
    """A directory with disk, kernel and initrd, made once (450 MiB), and again when its recipe changes."""
    made = ROOT / "build" / "machine"
    recipes = [HERE / name for name in ("build", "control", "control.service")]
    wanted = "".join(file.read_text() for file in recipes)
    if not (made / "recipe").exists() or (made / "recipe").read_text() != wanted:
        made.parent.mkdir(exist_ok=True)
        subprocess.run([str(HERE / "build"), str(made)], check=True, timeout=1_800)
        (made / "recipe").write_text(wanted)
    return made


def mac(port: str) -> str:
    """Of a port by its name: the last number of it, and 00 for the management port."""
    number = int(port.removeprefix("swp")) if port.startswith("swp") else 0
    return f"52:54:00:00:00:{number:02x}"


class Machine:
    """taps: open tap devices by port. Its disk is below `place`, with the console's output."""

    def __init__(self, made: Path, place: Path, taps: Mapping[str, int], mebibytes: int = 1_024) -> None:
        self._made, self._place, self._taps, self._mebibytes = made, place, dict(taps), mebibytes
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._rest = b""
        self._asked = 0
        place.mkdir(parents=True, exist_ok=True)
        self.disk, self.console = place / "disk.ext4", place / "console.log"
        subprocess.run(["cp", "--sparse=always", str(made / "disk.ext4"), str(self.disk)], check=True)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.power_off()
        self.disk.unlink(missing_ok=True)

    def start(self) -> None:
        """Boot, until commands are answered."""
        near, far = socket.socketpair()
        with far, self.console.open("ab") as console:
            self._process = subprocess.Popen(
                [PROGRAM, *self._arguments(far.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(far.fileno(), *self._taps.values()),
                start_new_session=True,
            )
        self._line, self._rest, self._asked = near, b"", 0
        self._answer(0, BOOT_SECONDS)

    def _arguments(self, line: int) -> list[str]:
        words = ["-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg,thread=multi", "-cpu", "max"]
        words += ["-smp", "2", "-m", str(self._mebibytes), "-serial", "stdio"]
        words += ["-kernel", str(self._made / "vmlinuz"), "-initrd", str(self._made / "initrd")]
        words += [
            "-append",
            "console=ttyS0 root=/dev/vda rw mitigations=off panic=-1 quiet no_timer_check net.ifnames=0",
        ]
        words += ["-drive", f"file={self.disk},format=raw,if=virtio,cache=writeback"]
        words += ["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
        words += [
            "-chardev",
            f"socket,id=control,fd={line}",
            "-device",
            "virtserialport,chardev=control,name=control",
        ]
        for port, tap in self._taps.items():
            words += ["-netdev", f"tap,id={port},fd={tap}"]
            words += ["-device", f"virtio-net-pci,netdev={port},mac={mac(port)},host_mtu={PORT_MTU},romfile="]
        return words

    def run(self, *argv: str, stdin: bytes = b"", seconds: float = 300.0, check: bool = True) -> str:
        """What a command says on both its outputs."""
        assert self._line is not None, "the machine is off"
        self._asked += 1
        message = {"id": self._asked, "argv": argv, "seconds": seconds, "stdin": base64.b64encode(stdin).decode()}
        self._line.sendall(json.dumps(message).encode() + b"\n")
        said = self._answer(self._asked, seconds + 60)
        output = base64.b64decode(said["output"]).decode(errors="replace")
        assert said["code"] == 0 or not check, f"{' '.join(argv)} ended with {said['code']}: {output}"
        return output

    def put(self, path: str, data: bytes | str, mode: str = "644") -> None:
        """Write a file."""
        body = data.encode() if isinstance(data, str) else data
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, stdin=body)

    def poll(self, what: str, *argv: str, says: str, seconds: float = 120.0) -> str:
        """Until a command says something."""
        until = time.monotonic() + seconds
        while says not in (output := self.run(*argv, check=False)):
            assert time.monotonic() < until, f"{what}: waited {seconds:g} s for {says!r}, it says: {output}"
            time.sleep(0.5)
        return output

    def reboot(self) -> None:
        """As an administrator does."""
        self.run("systemctl", "--no-block", "reboot")
        assert self._process is not None
        self._process.wait(BOOT_SECONDS)
        self.power_off()
        self.start()

    def power_off(self) -> None:
        """At once, by pulling the plug."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._line is not None:
            self._line.close()
        self._process = self._line = None

    def _answer(self, number: int, seconds: float) -> dict[str, Any]:
        assert self._line is not None
        until = time.monotonic() + seconds
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                said = json.loads(line)
                if said["id"] == number:
                    return dict(said)
                continue
            self._line.settimeout(max(0.1, until - time.monotonic()))
            try:
                data = self._line.recv(1 << 16)
            except TimeoutError:
                data = b""
            assert data, f"the machine does not answer: {self._end()}"
            self._rest += data

    def _end(self) -> str:
        return self.console.read_text(errors="replace")[-2_000:]
