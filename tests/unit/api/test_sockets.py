"""Listening sockets: addresses, refusals, and a socket in another network namespace."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from underlace.api.sockets import listen, names, reachable, split_address
from underlace.model.diagnostic import Refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:8443", ("127.0.0.1", 8443)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:1", ("0.0.0.0", 1))],
)
def test_an_address_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "8443", ":8443", "localhost:1", "1.2.3.4", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:-1"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        listen(text)
    assert [d.code for d in refused.value.diagnostics] == ["listen-invalid"]


def test_an_address_that_is_taken_or_not_ours_is_refused_with_the_reason() -> None:
    with listen("127.0.0.1:0") as first:
        taken = f"127.0.0.1:{first.getsockname()[1]}"
        for address, reason in ((taken, "in use"), ("192.0.2.1:1", "assign")):
            with pytest.raises(Refused) as refused:
                listen(address)
            assert [d.code for d in refused.value.diagnostics] == ["listen-failed"]
            assert reason in refused.value.diagnostics[0].detail


def test_a_wildcard_is_reached_by_loopback_and_named_by_the_machine() -> None:
    with listen("0.0.0.0:0") as four, listen("[::]:0") as six, listen("127.0.0.1:0") as local:
        assert reachable(four).startswith("127.0.0.1:")
        assert reachable(six).startswith("[::1]:")
        assert {"127.0.0.1", "::1", "localhost", socket.gethostname().lower()} == names([four, six, local])


def test_a_namespace_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        listen("127.0.0.1:0", tmp_path / "none")
    assert "No such file" in refused.value.diagnostics[0].detail


def test_what_is_no_namespace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused):
        listen("127.0.0.1:0", tmp_path / "file")


@pytest.fixture
def netns() -> Iterator[Path]:
    """A network namespace of its own, held by a process; loopback is down until somebody needs it."""
    holder = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "ip link set lo up; echo up; read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    yield Path(f"/proc/{holder.pid}/ns/net")
    holder.communicate(b"\n", timeout=10)


def _of_threads() -> set[str]:
    """The network namespaces of this process's threads; one may end while it is asked."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            found.add(os.readlink(f"/proc/self/task/{thread}/ns/net"))
    return found


@pytest.mark.contract
def test_a_socket_lives_in_the_namespace_and_the_process_stays_out(netns: Path) -> None:
    own = os.readlink("/proc/self/ns/net")
    with listen("127.0.0.1:0", netns) as inside:
        port = inside.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        assert os.readlink("/proc/self/ns/net") == own
        until = time.monotonic() + 10
        while _of_threads() != {own}:
            # A joined thread is gone for Python a moment before it is gone for the kernel.
            assert time.monotonic() < until, "a thread stayed in the namespace"
        client = subprocess.Popen(
            ["nsenter", f"--net={netns}", "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}; read -r x <&3; echo $x"],
            stdout=subprocess.PIPE,
        )
        inside.settimeout(10)
        accepted, _ = inside.accept()
        with accepted:
            accepted.sendall(b"from outside\n")
        assert client.communicate(timeout=10)[0] == b"from outside\n"
