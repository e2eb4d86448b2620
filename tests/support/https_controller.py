"""A real HTTPS server that speaks agent/v1, with a CA of its own, for tests of the agent's client."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from underlace.model.wire import (
    HEADER,
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

TOKEN = "token-of-leaf1"


class Authority:
    """A CA that signs what it is asked to."""

    def __init__(self, name: str = "test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key(), timedelta(minutes=-5), timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.sign(self._key, SHA256())
        self.pem = self._certificate.public_bytes(Encoding.PEM).decode()

    def server(self, path: Path, address: str = "127.0.0.1") -> None:
        """Write key and certificate of a server to path."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        builder = self._builder(name, key.public_key(), timedelta(minutes=-5), timedelta(days=1))
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        certificate = builder.add_extension(alternative, critical=False).sign(self._key, SHA256())
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))

    def sign(self, csr: str, start: timedelta = timedelta(minutes=-5), end: timedelta = timedelta(hours=1)) -> str:
        request = x509.load_pem_x509_csr(csr.encode())
        assert request.is_signature_valid
        builder = self._builder(request.subject, request.public_key(), start, end)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM).decode()

    def _builder(self, subject: x509.Name, key: Any, start: timedelta, end: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start)
            .not_valid_after(now + end)
        )


class HttpsServer:
    """Answers by the functions in `answers`: verb -> value to encode, (status, text), or None for 204.

    A third number after status and text is the length to promise: more than the text, it is an answer cut short.
    """

    def __init__(self, directory: Path, authority: Authority, address: str = "127.0.0.1") -> None:
        self.authority = authority
        self.manifest: Manifest | None = None
        self.bodies: dict[str, str] = {}
        self.reports: list[Report] = []
        self.seen: list[tuple[str, str, str]] = []
        """(verb, common name of the client certificate or "", protocol header) of each request."""
        self.connections = 0
        self.life = timedelta(hours=1)
        self.confirms = True
        self.hold = threading.Event()
        self.answers: dict[str, Callable[[bytes, str], object]] = {
            "enrol": self._enrol,
            "renew": self._renew,
            "desired": self._desired,
            "fragments": self._fragments,
            "report": self._report,
        }
        pem = directory / "server.pem"
        authority.server(pem, address)
        self._trust = directory / "server-ca.pem"
        self._trust.write_text(authority.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.load_verify_locations(self._trust)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server = _Server((address, 0), _handler(self), context)
        self.url = f"https://{address}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def drop_connections(self) -> None:
        """Close what is kept alive, as a controller's restart does."""
        self._server.drop()

    def __enter__(self) -> HttpsServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enrol(self, body: bytes, _name: str) -> object:
        request = msgspec.json.decode(body, type=EnrolRequest)
        if request.token != TOKEN:
            return 401, '{"title":"Unknown token","detail":"ask for another"}'
        return Credentials(self.authority.sign(request.csr, end=self.life), self.authority.pem)

    def _renew(self, body: bytes, name: str) -> object:
        if not name:
            return 401, "no certificate"
        request = msgspec.json.decode(body, type=RenewRequest)
        return Credentials(self.authority.sign(request.csr, end=self.life), self.authority.pem)

    def _desired(self, body: bytes, name: str) -> object:
        if not name:
            return 401, '{"title":"No certificate"}'
        request = msgspec.json.decode(body, type=DesiredRequest)
        if self.manifest is None or self.manifest.digest == request.have:
            self.hold.wait(request.wait)
            return None
        return self.manifest

    def _fragments(self, body: bytes, _name: str) -> object:
        request = msgspec.json.decode(body, type=FragmentRequest)
        if any(h not in self.bodies for h in request.hashes):
            return 409, '{"title":"Not desired any more"}'
        return Fragments({h: self.bodies[h] for h in request.hashes})

    def _report(self, body: bytes, _name: str) -> object:
        report = msgspec.json.decode(body, type=Report)
        self.reports.append(report)
        return Receipt(report.digest if self.confirms and report.outcome == "applied" else "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: Any, context: ssl.SSLContext) -> None:
        super().__init__(address, handler)
        self._context = context
        self._held: set[Any] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            secure = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return
        self._held.add(secure)
        try:
            super().finish_request(secure, client_address)
        except OSError:
            pass
        finally:
            self._held.discard(secure)
            secure.close()

    def drop(self) -> None:
        for held in list(self._held):
            held.shutdown(2)


def _handler(owner: HttpsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            owner.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            verb = self.path.removeprefix("/agent/v1/")
            certificate = self.connection.getpeercert() or {}
            names = dict(pair[0] for pair in certificate.get("subject", ()))
            name = str(names.get("commonName", ""))
            owner.seen.append((verb, name, str(self.headers[HEADER])))
            answer = owner.answers[verb](body, name)
            if answer is None:
                self.send_response(204)
                self.end_headers()
                return
            told = answer if isinstance(answer, tuple) else (200, msgspec.json.encode(answer).decode())
            status, body = told[0], told[1].encode()
            promised = told[2] if len(told) > 2 else len(body)
            self.send_response(status)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or promised != len(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
