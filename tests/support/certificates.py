"""Keys and certificate requests as a device makes them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def request_pem(device: str, key: Key | None = None) -> str:
    """A certificate request whose common name is the device."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, device)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key or new_key(), SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def der(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
