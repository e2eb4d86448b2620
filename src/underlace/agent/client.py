"""The controller as the agent sees it: protocol agent/v1 over HTTPS with mutual TLS.

One kept-alive connection, made inside the management namespace. The controller's CA is the only one that is trusted.
Every request names a time limit, because a revert may wait for its answer.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from underlace import __version__
from underlace.agent import netns
from underlace.model.question import Answer, Questions, QuestionsRequest
from underlace.model.wire import (
    HEADER,
    PROTOCOL,
    Credentials,
    DesiredRequest,
    EnrolRequest,
    FragmentRequest,
    Fragments,
    Manifest,
    Receipt,
    RenewRequest,
    Report,
)

ANSWER_MAX = 64 * 1024 * 1024
"""Bytes of an answer; the fragments of 1,000 VPCs are about 3 MiB."""

CONNECT_SECONDS = 5.0

_CLOSED = (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a connection looks that the other side has closed."""

T = TypeVar("T")


class Unreachable(Exception):
    """No controller answered; nothing is known about what it wants."""


class Refusal(Exception):
    """A controller answered and said no, or something that is not agent/v1."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"{status}: {words}" if status else words)
        self.status = status

    @property
    def unknown_device(self) -> bool:
        """Whether the certificate, or the token, was not accepted."""
        return self.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN)

    @property
    def outdated(self) -> bool:
        """Whether what was asked for is no longer desired: ask for the manifest again."""
        return self.status == http.client.CONFLICT


class Controller(Protocol):
    """What the agent needs of a controller. Every call may raise Unreachable or Refusal."""

    def enrol(self, request: EnrolRequest) -> Credentials: ...

    def renew(self, request: RenewRequest) -> Credentials: ...

    def desired(self, request: DesiredRequest, limit: float | None = None) -> Manifest | None:
        """None: nothing else than `request.have` is wanted. limit: seconds beyond `request.wait`."""

    def fragments(self, request: FragmentRequest) -> Fragments: ...

    def report(self, report: Report, limit: float | None = None) -> Receipt: ...

    def forget(self) -> None:
        """Drop the connection: the identity has changed."""


class Asker(Protocol):
    """What answering questions needs of a controller. Every call may raise Unreachable or Refusal."""

    def questions(self, request: QuestionsRequest) -> Questions | None: ...

    def answer(self, answer: Answer, limit: float | None = None) -> None: ...

    def forget(self) -> None: ...

    def abort(self) -> None: ...


class Problem(msgspec.Struct):
    """The parts of an RFC 9457 answer that a log can use."""

    title: str = ""
    detail: str = ""


class HttpsController:
    """The controllers at `urls`, tried in turn. A file of CAs that is missing or damaged is passed
    over while there is another."""

    def __init__(
        self, urls: Sequence[str], authorities: Sequence[Path], identity: Path, namespace: str | None, limit: float
    ) -> None:
        self._addresses = [_address(url) for url in urls]
        self._authorities, self._identity = authorities, identity
        self._namespace, self._limit = namespace, limit
        self._turn = 0
        self._open: _Connection | None = None
        self._aborted = False
        self._anonymous = False

    def enrol(self, request: EnrolRequest) -> Credentials:
        """Without a certificate, on a connection of its own: one that has expired would end the handshake."""
        self.forget()
        self._anonymous = True
        try:
            return self._call("enrol", request, Credentials)
        finally:
            self._anonymous = False
            self.forget()

    def renew(self, request: RenewRequest) -> Credentials:
        return self._call("renew", request, Credentials)

    def desired(self, request: DesiredRequest, limit: float | None = None) -> Manifest | None:
        seconds = request.wait + (self._limit if limit is None else limit)
        body = self._post("desired", request, seconds)
        return None if body is None else _decode(body, Manifest)

    def fragments(self, request: FragmentRequest) -> Fragments:
        return self._call("fragments", request, Fragments)

    def report(self, report: Report, limit: float | None = None) -> Receipt:
        return self._call("report", report, Receipt, limit)

    def questions(self, request: QuestionsRequest) -> Questions | None:
        body = self._post("questions", request, request.wait + self._limit)
        return None if body is None else _decode(body, Questions)

    def answer(self, answer: Answer, limit: float | None = None) -> None:
        self._post("answer", answer, self._limit if limit is None else limit)

    def forget(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def abort(self) -> None:
        """End the request in progress, or else the next one; it raises Unreachable. Fit for a signal handler."""
        self._aborted = True
        connection = self._open
        if connection is not None and connection.raw is not None:
            with suppress(OSError):
                # SSLSocket.shutdown would also drop the TLS layer: what has arrived would be read as clear text.
                socket.socket.shutdown(connection.raw, socket.SHUT_RDWR)

    def _call(self, verb: str, request: msgspec.Struct, kind: type[T], limit: float | None = None) -> T:
        body = self._post(verb, request, self._limit if limit is None else limit)
        if body is None:
            raise Refusal(http.client.NO_CONTENT, f"the controller said nothing to {verb}")
        return _decode(body, kind)

    def _post(self, verb: str, request: msgspec.Struct, seconds: float) -> bytes | None:
        """One request. A kept-alive connection that the controller has closed meanwhile is made again, once."""
        body = msgspec.json.encode(request)
        deadline = time.monotonic() + seconds
        again = self._open is not None
        while True:
            if self._aborted:
                self._aborted = False
                self.forget()
                raise Unreachable("the request was interrupted")
            try:
                return self._exchange(verb, body, max(0.1, deadline - time.monotonic()))
            except _CLOSED as gone:
                self.forget()
                if not again and not self._aborted:
                    raise self._lost(gone) from gone
                again = False
            except (OSError, http.client.HTTPException) as gone:
                if not self._aborted:
                    raise self._lost(gone) from gone
            except Refusal:
                raise
            except BaseException:
                self.forget()  # half an exchange would be read as the next one's answer
                raise

    def _lost(self, why: Exception) -> Unreachable:
        self.forget()
        host, port, _ = self._addresses[self._turn]
        self._turn = (self._turn + 1) % len(self._addresses)
        return Unreachable(f"{host} port {port}: {why or type(why).__name__}")

    def _exchange(self, verb: str, body: bytes, seconds: float) -> bytes | None:
        host, port, prefix = self._addresses[self._turn]
        if self._open is None or self._open.sock is None:
            self._open = _Connection(host, port, self._namespace, self._context(), min(CONNECT_SECONDS, seconds))
            self._open.connect()
            if self._aborted:  # `abort` found no socket to shut down
                raise ConnectionAbortedError("the request was interrupted")
        connection = self._open
        connection.limit(seconds)
        headers = {
            HEADER: str(PROTOCOL),
            "Content-Type": "application/json",
            "User-Agent": f"underlace-agent/{__version__}",
        }
        connection.request("POST", f"{prefix}/agent/v1/{verb}", body, headers)
        answer = connection.getresponse()
        text = answer.read(ANSWER_MAX + 1)
        if len(text) > ANSWER_MAX:
            self.forget()
            raise Refusal(answer.status, f"the answer to {verb} is larger than {ANSWER_MAX} bytes")
        if answer.length:  # bytes that were promised and did not come; `read` with a size is silent about them
            raise http.client.IncompleteRead(text, answer.length)
        if answer.status == http.client.NO_CONTENT:
            return None
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            raise http.client.HTTPException(f"status {answer.status} for {verb}: {_words(text)}")
        if answer.status != http.client.OK:
            raise Refusal(answer.status, _words(text))
        return text

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        found = [_trust(context, path) for path in self._authorities]
        if all(found):
            raise OSError(f"no CA to trust: {', '.join(found)}")
        if self._identity.exists() and not self._anonymous:
            context.load_cert_chain(self._identity)
        return context


class _Connection(http.client.HTTPConnection):
    """An HTTPS connection whose socket was made in another namespace."""

    def __init__(
        self, host: str, port: int, namespace: str | None, context: ssl.SSLContext, connect_limit: float
    ) -> None:
        super().__init__(host, port, timeout=connect_limit)
        self._namespace, self._context = namespace, context
        self.raw: socket.socket | None = None

    def connect(self) -> None:
        limit = self.timeout or CONNECT_SECONDS
        raw = netns.connect(self.host, self.port, limit, self._namespace)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(limit)
            self.sock = self.raw = self._context.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise

    def limit(self, seconds: float) -> None:
        if self.sock is not None:
            self.sock.settimeout(seconds)


def _trust(context: ssl.SSLContext, path: Path) -> str:
    """Have a context trust a file of CAs. What is wrong with the file, "" for nothing."""
    try:
        context.load_verify_locations(cafile=path)
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as damaged:  # of which ssl.SSLError is one
        return f"{path} cannot be used: {damaged}"
    return ""


def _address(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443, parts.path.rstrip("/")


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as odd:
        raise Refusal(0, f"the controller's answer is not a {kind.__name__}: {odd}") from odd


def _words(body: bytes) -> str:
    """What a controller said beside a status, for a log."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return body[:200].decode(errors="replace")
    return ": ".join(part for part in (problem.title, problem.detail) if part) or body[:200].decode(errors="replace")
