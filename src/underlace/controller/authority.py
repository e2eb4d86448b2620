"""The controller's own certificate authority: one CA, the server's certificate, and the devices' certificates.

ca/ca.key  0600   EC P-256, never leaves the data directory (it is in backups, which are therefore an admin's)
ca/ca.pem         what clients and agents trust, and all they trust
ca/server.key, ca/server.pem   made again when a listen name is added or a third of the lifetime is left
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from underlace.model.diagnostic import Diagnostic, Refused, Where

CA_LIFETIME = timedelta(days=3_650)
SERVER_LIFETIME = timedelta(days=90)
DEVICE_LIFETIME = timedelta(days=90)

CA_RENEWAL = timedelta(days=365)
"""Life that is left to a CA when it is given another: far more than agents and clients need to hear of it."""

CLOCK_SKEW = timedelta(hours=2)
"""A certificate is valid from this long before now: clocks are set back by an hour, or are an hour behind, and a
device that boots without NTP is often a little behind."""

CSR_MAX = 16_384

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class BadRequest(Exception):
    """A certificate request that is not signed; the text says why, for the one who sent it."""


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """A certificate as issued or as presented. serial in hexadecimal."""

    device: str
    serial: str
    not_before: datetime
    not_after: datetime
    pem: str = ""


class Authority:
    """Opens the CA of a data directory, or founds it. Not for two processes at once: whoever runs holds the lock."""

    def __init__(self, directory: Path, now: Clock = utc_now, device_lifetime: timedelta = DEVICE_LIFETIME) -> None:
        self._directory = directory
        self._now = now
        self._device_lifetime = device_lifetime
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key, self._certificate = self._open() if self.ca_file.exists() else self._found()

    @property
    def ca_file(self) -> Path:
        return self._directory / "ca.pem"

    @property
    def server_file(self) -> Path:
        """Key and certificate chain, for an SSL context."""
        return self._directory / "server.pem"

    @property
    def ca_pem(self) -> str:
        return self._certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_digest(self) -> str:
        """SHA-256 of the public key: who the CA is, whatever certificate it has at the moment."""
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(public).hexdigest()

    def renew_server(self, names: Iterable[str]) -> bool:
        """See to a valid server certificate for all these host names and addresses; whether it is a new one."""
        wanted = sorted({_spell(n) for n in names})
        if (held := self._server()) is not None:
            left = held.not_valid_after_utc - self._now()
            # One that is not valid yet was made before the clock was set back.
            fresh = left > SERVER_LIFETIME / 3 and held.not_valid_before_utc <= self._now()
            if fresh and _alternative_names(held) >= set(wanted) and held.issuer == self._certificate.subject:
                return False
            wanted = sorted(_alternative_names(held) | set(wanted)) if fresh else wanted
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._leaf("controller", key.public_key(), SERVER_LIFETIME)
            .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in wanted]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        chain = certificate.public_bytes(Encoding.PEM) + self.ca_pem.encode()
        write_private(self.server_file, _key_pem(key) + chain)
        return True

    def _server(self) -> x509.Certificate | None:
        """The server's certificate, if it and its key can be used."""
        try:
            body = self.server_file.read_bytes()
            key, held = load_pem_private_key(body, None), x509.load_pem_x509_certificate(body)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
            return None  # it costs nothing to make another
        return held if key.public_key() == held.public_key() else None

    def sign_device(self, csr: str, device: str) -> DeviceCertificate:
        """A client certificate for exactly this device. Only the key is taken from the request (BadRequest)."""
        request = _load_request(csr)
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [n.value for n in names] != [device]:
            raise BadRequest(f"The common name of the certificate request is not {device}.")
        builder = self._leaf(device, request.public_key(), self._device_lifetime).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        issued = read_device(certificate.public_bytes(Encoding.DER))
        return DeviceCertificate(
            issued.device,
            issued.serial,
            issued.not_before,
            issued.not_after,
            certificate.public_bytes(Encoding.PEM).decode(),
        )

    def _leaf(self, name: str, key: CertificatePublicKeyTypes, lifetime: timedelta) -> x509.CertificateBuilder:
        now = self._now()
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        return (
            x509.CertificateBuilder()
            .subject_name(_common_name(name))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + lifetime, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def _open(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        file = self._directory / "ca.key"
        try:
            key = load_pem_private_key(file.read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("it is not an elliptic curve key")
            file = self.ca_file
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
            if certificate.public_key() != key.public_key():
                raise ValueError("it is not the certificate of ca.key")
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as fault:
            raise Refused([_damaged(file, fault)]) from None
        return key, certificate

    def renew(self) -> bool:
        """See to a CA certificate that lasts; whether it is a new one. It has the old one's name and key: what either
        has signed is good by the other, and agents are handed the new one with their next certificate."""
        if self._certificate.not_valid_after_utc - self._now() > CA_RENEWAL:
            return False
        self._certificate = self._sign_itself(self._key, self._certificate.subject)
        write_private(self.ca_file, self.ca_pem.encode())
        return True

    def _found(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """The key is written before the certificate: whoever finds the certificate finds its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Every CA has a name of its own: two controllers' CAs in one trust store must not be mistaken for each other.
        certificate = self._sign_itself(key, _common_name(f"Underlace CA {os.urandom(4).hex()}"))
        write_private(self._directory / "ca.key", _key_pem(key))
        write_private(self.ca_file, certificate.public_bytes(Encoding.PEM))
        return key, certificate

    def _sign_itself(self, key: ec.EllipticCurvePrivateKey, name: x509.Name) -> x509.Certificate:
        now, public = self._now(), key.public_key()
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(key, hashes.SHA256())
        )


def read_device(der: bytes) -> DeviceCertificate:
    """What a device certificate says. Its signature and dates were checked by the TLS handshake that brought it."""
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return DeviceCertificate(
        str(names[0].value) if names else "",
        f"{certificate.serial_number:x}",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def write_private(file: Path, body: bytes) -> None:
    """Replace a file in one step; nobody but the owner ever could read it."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(body)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _damaged(file: Path, fault: Exception) -> Diagnostic:
    return Diagnostic(
        Where(file=str(file)),
        "authority-damaged",
        "The CA of the controller cannot be used",
        fault.strerror or str(fault) if isinstance(fault, OSError) else f"The file is damaged: {fault}",
        f"Put ca.key and ca.pem back into {file.parent}: from another controller of the same database, or by "
        "`underlace restore --replace FILE` from a backup. The network goes on meanwhile.",
    )


def _load_request(csr: str) -> x509.CertificateSigningRequest:
    if len(csr) > CSR_MAX:
        raise BadRequest(f"The certificate request is longer than {CSR_MAX} characters.")
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as fault:
        raise BadRequest("The certificate request is not a PEM certificate request.") from fault
    if not signed:
        raise BadRequest("The certificate request is not signed by its own key.")
    strong = isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2_048
    )
    if not strong:
        raise BadRequest(
            "The key of the certificate request is neither elliptic curve, Ed25519 nor RSA of 2048 bits."
        )
    return request


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _spell(name: str) -> str:
    """One spelling of an address or host name."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _alternative_names(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*names.get_values_for_type(x509.DNSName)} | {str(a) for a in names.get_values_for_type(x509.IPAddress)}
