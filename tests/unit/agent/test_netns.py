"""Sockets in another namespace."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.https_controller import TOKEN, Authority, HttpsServer
from underlace import syscall
from underlace.agent import netns
from underlace.agent.client import HttpsController, Unreachable
from underlace.agent.identity import Identity
from underlace.model.wire import DesiredRequest, EnrolRequest


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[str]:
    """A network namespace of a sleeping process, with its loopback up."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 60"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    yield f"/proc/{holder.pid}/ns/net"
    holder.kill()
    holder.wait()
    holder.stdout.close()


def listener_in(path: str) -> socket.socket:
    made: list[socket.socket] = []

    def work() -> None:
        syscall.enter(path)
        made.append(socket.create_server(("127.0.0.1", 0)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


@pytest.mark.contract
def test_socket_belongs_to_the_namespace_and_the_caller_stays(namespace: str) -> None:
    here = os.readlink("/proc/thread-self/ns/net")
    with listener_in(namespace) as listener:
        port = listener.getsockname()[1]
        with netns.connect("127.0.0.1", port, 5.0, namespace) as inside, listener.accept()[0] as peer:
            inside.sendall(b"x")
            assert peer.recv(1) == b"x"
        with pytest.raises(ConnectionRefusedError):
            netns.connect("127.0.0.1", port, 5.0, None)
    assert os.readlink("/proc/thread-self/ns/net") == here


@pytest.mark.contract
def test_namespace_without_the_controller_does_not_fall_back_to_ours(namespace: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OSError):
        netns.connect("127.0.0.1", listener.getsockname()[1], 5.0, namespace).close()


@pytest.mark.contract
def test_agent_reaches_a_controller_that_only_the_management_namespace_sees(namespace: str, tmp_path: Path) -> None:
    made: list[HttpsServer] = []

    def work() -> None:
        syscall.enter(namespace)
        made.append(HttpsServer(tmp_path, Authority()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with made[0] as server:
        (tmp_path / "ca.pem").write_text(server.authority.pem)
        identity = Identity(tmp_path, "leaf1")
        inside, outside = (
            HttpsController([server.url], (tmp_path / "ca.pem",), identity.pem, path, 5.0)
            for path in (namespace, None)
        )
        with pytest.raises(Unreachable, match="refused"):
            outside.enrol(EnrolRequest("leaf1", TOKEN, identity.request()))
        identity.install(inside.enrol(EnrolRequest("leaf1", TOKEN, identity.request())))
        assert inside.desired(DesiredRequest()) is None
        assert server.seen[-1] == ("desired", "leaf1", "1")
        inside.forget()


def test_missing_namespace_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mgmt"):
        netns.connect("127.0.0.1", 9, 1.0, str(tmp_path / "mgmt"))


def test_something_else_than_a_namespace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="setns: "):
        netns.connect("127.0.0.1", 9, 1.0, "/dev/null")


def test_own_namespace_when_none_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        netns.connect("127.0.0.1", listener.getsockname()[1], 5.0, None).close()


def test_slow_name_server_does_not_hold_up_a_revert(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(20) and [])
    with pytest.raises(TimeoutError, match=r"no connection to controller\.example port 443"):
        netns.connect("controller.example", 443, 0.2, None)
    done.set()


@pytest.mark.parametrize("host", ["a" * 70, "..", "\x00"])
def test_impossible_host_name_is_an_os_error(host: str) -> None:
    with pytest.raises((OSError, TimeoutError)):
        netns.connect(host, 443, 2.0, None)
