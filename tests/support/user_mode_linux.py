"""A guest with a kernel of its own: Debian's User-Mode Linux, an ordinary process, without root and without KVM.

    result = user_mode_linux.run(["ip", "link", "add", "bond0", "type", "bond"], artefacts)
    assert result.code == 0, result.output

The command finds the host's own file tree (the same interpreter, the same source) as root; what it writes is gone
with the guest, but for the directory that `run` is given. The kernel has what small kernels lack: 8021q, bonding,
VRFs, dummy, netem. It is slow: a system call costs sixteen times, a process four times as much.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAM = "linux.uml"
MODULES = Path("/usr/lib/uml/modules")
LOADED = ("8021q", "bonding", "vrf", "dummy", "veth", "bridge", "vxlan")
ROOT = Path(__file__).resolve().parents[2]

_INIT = Path(__file__).with_suffix(".init")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_RAM = "/dev/shm"  # noqa: S108  where the guest's memory lies; a disk would be slow


def missing() -> str:
    """Why no guest can be started on this machine, "" when one can."""
    if shutil.which(PROGRAM) is None or not MODULES.is_dir() or shutil.which("modprobe", path=_PATH) is None:
        return "needs User-Mode Linux: apt-get install user-mode-linux kmod"
    return ""


class Result(NamedTuple):
    """code: of the command. output: what it wrote to both its outputs."""

    code: int
    output: str


def run(
    argv: Sequence[str],
    artefacts: Path,
    *,
    environment: Mapping[str, str] | None = None,
    load: Sequence[str] = LOADED,
    mebibytes: int = 1024,
    seconds: float = 180.0,
) -> Result:
    """Run a command in a new guest. Raises AssertionError when there is no answer in time.

    artefacts: an absolute path, where the guest's console, the command's output and its code are kept; the guest may
    write there. seconds: for all of it, the boot (4 s on a quiet machine) included.
    """
    artefacts.mkdir(parents=True, exist_ok=True)
    for old in ("output", "code"):
        (artefacts / old).unlink(missing_ok=True)
    (artefacts / "command").write_text(_command(argv, environment or {}))
    with tempfile.TemporaryDirectory(prefix="underlace-uml-") as own, (artefacts / "console").open("wb") as console:
        guest = subprocess.Popen(
            [PROGRAM, *_arguments(artefacts, load, mebibytes), f"uml_dir={own}"],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,  # the guest's processes are processes of the host: they end together
            env={"PATH": os.environ["PATH"], "TMPDIR": _RAM if Path(_RAM).is_dir() else own},
        )
        try:
            with suppress(subprocess.TimeoutExpired):  # said by what is missing then
                guest.wait(seconds)
        finally:
            _kill(guest)
    return _result(artefacts)


def pytest_arguments(*arguments: str) -> list[str]:
    """The command that runs tests in a guest; those that run there leave nothing below the source."""
    plain = ("-p", "no:cacheprovider", "-p", "no:xdist", "--color=no", "--rootdir", str(ROOT))
    return [sys.executable, "-B", "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *plain, *arguments]


def pass_tests(name: str, count: int, artefacts: Path) -> None:
    """So many tests of support/NAME pass in a guest whose bridges filter. Skips where no guest can be started."""
    if reason := missing():
        pytest.skip(reason)
    argv = pytest_arguments("-q", str(Path(__file__).with_name(name)))
    done = run(argv, artefacts, load=(*LOADED, "nf_tables"), seconds=600)
    assert done.code == 0, done.output
    assert f"{count} passed" in done.output


def _arguments(artefacts: Path, load: Sequence[str], mebibytes: int) -> list[str]:
    """The kernel's command line; words that it does not know reach process 1 as environment."""
    version = max((path.name for path in MODULES.iterdir()), default="")
    assert (MODULES / version).is_dir()
    told = {"GUEST_WORK": artefacts, "GUEST_MODULES": MODULES, "GUEST_LOAD": ",".join(load)}
    assert not any(" " in str(value) for value in told.values()), told
    root = ["rootfstype=hostfs", "rootflags=/", "ro", f"init={_INIT}", "con=null", "con0=null,fd:1", "quiet"]
    return [f"mem={mebibytes}M", *root, *(f"{name}={value}" for name, value in told.items())]


def _command(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    told = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root", **environment}
    words = ["exec", "env", "-i", *(f"{name}={value}" for name, value in told.items()), *argv]
    return f"cd {shlex.quote(str(ROOT))}\n{shlex.join(words)}\n"


def _kill(guest: subprocess.Popen[bytes]) -> None:
    """The guest, and the processes of the host that its own are."""
    with suppress(ProcessLookupError):
        os.killpg(guest.pid, signal.SIGKILL)
    guest.wait()


def _result(artefacts: Path) -> Result:
    output, code = ((artefacts / name) for name in ("output", "code"))
    said = output.read_text(errors="replace") if output.exists() else ""
    console = (artefacts / "console").read_text(errors="replace")
    assert code.exists(), f"the guest did not finish in time:\n{console}\n{said}"
    return Result(int(code.read_text()), said)
