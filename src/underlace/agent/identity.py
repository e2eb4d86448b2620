"""The device's key and certificate, on disk, made with the `openssl` program (a system package).

key.pem        a key whose certificate has not come yet, so that a repeated request names the same key
identity.pem   key and certificate in one file: they can never be of two different pairs
ca.pem         the controller's CA as handed over with the certificate
"""

from __future__ import annotations

import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

from underlace.agent.files import remove_file, write_file
from underlace.model.wire import Credentials

RENEW_AT = 2 / 3
"""Share of a certificate's life after which it is renewed."""

_REQUEST_CONFIG = "[req]\ndistinguished_name=dn\n[dn]\n"
"""`openssl req` refuses to run without a section for names, also when -subj gives all of them."""

OPENSSL_SECONDS = 30


class IdentityError(Exception):
    """Key or certificate cannot be made, read or used; the text says why."""


class Identity:
    """Key and certificate of one device in its state directory."""

    def __init__(self, directory: Path, device: str) -> None:
        self._device = device
        self._pending = directory / "key.pem"
        self.pem = directory / "identity.pem"
        self.ca = directory / "ca.pem"
        self._validity: tuple[float, float] | None = None

    def exists(self) -> bool:
        return self.pem.exists()

    def request(self) -> str:
        """A certificate request, PEM, for a new key; the same key until `install` is called."""
        if not self._pending.exists():
            key = _openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
            write_file(self._pending, key.encode(), mode=0o600)
        subject = f"/CN={self._device}"  # a device is a host name: it holds no slash and no plus sign
        arguments = ["req", "-new", "-key", str(self._pending), "-subj", subject, "-config", "/dev/stdin"]
        try:
            return _openssl(arguments, _REQUEST_CONFIG)
        except IdentityError:
            remove_file(self._pending)  # a damaged key must not stop the next try
            raise

    def install(self, credentials: Credentials) -> None:
        """Keep the certificate that answers `request`. Raises IdentityError if it does not fit."""
        try:
            key = self._pending.read_text()
        except OSError as gone:
            raise IdentityError(f"no key waits for this certificate: {gone}") from gone
        candidate = self.pem.with_name("candidate.pem")
        write_file(candidate, (key + credentials.certificate).encode(), mode=0o600)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(candidate)
            check_authority(credentials.ca)
            validity = _dates(candidate)
        except (IdentityError, OSError, ValueError) as unfit:
            remove_file(candidate)
            raise IdentityError(f"the certificate that came does not fit the key: {unfit}") from unfit
        write_file(self.ca, credentials.ca.encode())
        candidate.replace(self.pem)
        self._validity = validity
        remove_file(self._pending)

    def renewal_due(self, now: float) -> bool:
        """Whether two thirds of the certificate's life are over at `now` (seconds since the epoch)."""
        start, end = self.validity()
        return now >= start + (end - start) * RENEW_AT

    def expired(self, now: float) -> bool:
        return now >= self.validity()[1]

    def validity(self) -> tuple[float, float]:
        """Start and end of the certificate, seconds since the epoch."""
        if self._validity is None:
            found = _dates(self.pem)
            try:  # the dates are those of a certificate; its key may be damaged all the same
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(self.pem)
            except OSError as unfit:  # of which ssl.SSLError is one
                raise IdentityError(f"{self.pem.name} cannot be used: {unfit}") from unfit
            self._validity = found
        return self._validity

    def set_aside(self) -> None:
        """Move an identity that cannot be used out of the way: the device enrols again."""
        self._validity = None
        with suppress(FileNotFoundError):
            self.pem.replace(self.pem.with_name("identity.pem.corrupt"))


def check_authority(pem: str) -> None:
    """Raise ssl.SSLError unless pem holds a CA certificate."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)


def _dates(path: Path) -> tuple[float, float]:
    text = _openssl(["x509", "-in", str(path), "-noout", "-startdate", "-enddate"])
    dates = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        return ssl.cert_time_to_seconds(dates["notBefore"]), ssl.cert_time_to_seconds(dates["notAfter"])
    except (KeyError, ValueError) as odd:
        raise IdentityError(f"openssl gave no dates for {path.name}: {text!r}") from odd


def _openssl(arguments: list[str], text: str = "") -> str:
    try:
        done = subprocess.run(
            ["openssl", *arguments], input=text, capture_output=True, text=True, timeout=OPENSSL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise IdentityError(f"openssl {arguments[0]} did not run: {failed}") from failed
    if done.returncode != 0:
        raise IdentityError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
