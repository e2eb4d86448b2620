"""The holder: one small process that forks the nodes of a lab, and whose namespace every link is made in.

    python -m underlace.lab.holder DIRECTORY

A device is a child that sleeps in its namespaces; a host is a child that answers and sends probes. The holder imports
little and has one thread: forking it is cheap and safe, and what a lab's commands import is not in its nodes.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from underlace.lab import channel, host, namespace, userns
from underlace.lab.state import State

SOCKET = "holder.sock"
ROLE = "holder"
DESCRIPTORS_PER_VRF = 8
DESCRIPTORS_BASE = 1_024


def descriptors(vrfs: int) -> int:
    """How many descriptors zebra needs: it dies at the limit, it does not degrade (hazards 11)."""
    return DESCRIPTORS_PER_VRF * vrfs + DESCRIPTORS_BASE


def raise_descriptors(vrfs: int) -> None:
    """Raise the limit that all daemons of the lab inherit. Raises OSError when the system forbids it."""
    needed = descriptors(vrfs)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
    except (ValueError, OSError) as error:
        raise OSError(f"{vrfs} VRFs a device need {needed} descriptors, the limit is {hard}: {error}") from error


def fork(born: Callable[[], None], live: Callable[[], None]) -> int:
    """Fork a child that becomes something and then lives as it. Returns its pid when `born` has returned.

    Raises OSError with the child's words when it could not be born.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(born, live, reader, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    if said != b"born":
        raise OSError(said.decode() or "the new process ended at once")
    return pid


def _child(born: Callable[[], None], live: Callable[[], None], reader: int, writer: int) -> None:
    try:
        os.close(reader)
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            born()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
            return
        os.write(writer, b"born")
        os.close(writer)
        live()
    finally:
        os._exit(1)


def sleep_forever() -> None:
    os.closerange(3, 256)
    while True:
        signal.pause()


class Holder:
    def __init__(self, state: State) -> None:
        self.state = state

    def device(self, name: str, mgmt: bool) -> int:
        """Make a device's namespaces; its disk survives it."""
        disk = self.state.directory / "devices" / name

        def born() -> None:
            namespace.become_device(name, disk)
            if mgmt:
                namespace.make_mgmt()

        pid = fork(born, sleep_forever)
        self.state.record("device", name, pid)
        return pid

    def host(self, name: str) -> int:
        """Make a host: a namespace and the process that answers in it."""
        return self._serve("host", name, namespace.become_host)

    def responder(self, name: str, pid: int) -> int:
        """Answer and probe from the network namespace of another node."""
        return self._serve("responder", name, lambda: namespace.setns(f"/proc/{pid}/ns/net", namespace.CLONE_NEWNET))

    def _serve(self, role: str, name: str, born: Callable[[], None]) -> int:
        control = channel.listen(self.state.directory / "hosts" / f"{name}.sock")
        pid = fork(born, lambda: host.serve(name, control))
        control.close()
        self.state.record(role, name, pid)
        return pid

    def answer(self, message: channel.Message) -> channel.Message:
        """{devices, oob, routers, hosts: names} -> the pid of each; a router's namespaces get a responder too."""
        made = {name: self.device(name, mgmt=True) for name in message.get("devices", [])}
        made |= {name: self.device(name, mgmt=False) for name in message.get("oob", [])}
        for name in message.get("routers", []):
            made[name] = self.device(name, mgmt=False)
            self.responder(name, made[name])
        return {"pids": made | {name: self.host(name) for name in message.get("hosts", [])}}


def main(directory: Path) -> None:
    state = State.load(directory)
    if state is None:
        raise SystemExit(f"{directory} holds no lab")
    (directory / "hosts").mkdir()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    if userns.needed():
        userns.become_root()
        userns.own_mounts()
        userns.give_accounts(directory / "accounts")
    namespace.unshare(namespace.CLONE_NEWNET)
    holder, server = Holder(state), channel.listen(directory / SOCKET)
    state.record(ROLE, "", os.getpid())
    channel.serve(server, holder.answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
