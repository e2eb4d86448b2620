"""Keys, requests and certificates on disk, with the real openssl."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from support.https_controller import Authority
from underlace.agent.identity import Identity, IdentityError
from underlace.model.wire import Credentials


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path, "leaf1")


def test_request_names_the_device_and_nobody_else_reads_the_key(identity: Identity, tmp_path: Path) -> None:
    request = x509.load_pem_x509_csr(identity.request().encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=leaf1"
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_repeated_request_has_the_same_key(identity: Identity) -> None:
    one, other = (x509.load_pem_x509_csr(identity.request().encode()).public_key() for _ in range(2))
    assert one == other


def test_installed_certificate_can_be_used(identity: Identity, authority: Authority, tmp_path: Path) -> None:
    assert not identity.exists()
    identity.install(Credentials(authority.sign(identity.request()), authority.pem))
    assert identity.exists()
    assert identity.pem.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ca.pem", "identity.pem"]
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(identity.pem)


def test_a_new_request_after_install_has_a_new_key(identity: Identity, authority: Authority) -> None:
    first = identity.request()
    identity.install(Credentials(authority.sign(first), authority.pem))
    keys = [x509.load_pem_x509_csr(csr.encode()).public_key() for csr in (first, identity.request())]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("what", ["certificate", "ca"])
def test_credentials_that_do_not_fit_change_nothing(
    identity: Identity, authority: Authority, tmp_path: Path, what: str
) -> None:
    identity.install(Credentials(authority.sign(identity.request()), authority.pem))
    before = identity.pem.read_bytes()
    (tmp_path / "other").mkdir()
    asking = Identity(tmp_path / "other", "leaf2") if what == "certificate" else identity
    identity.request()
    unfit = Credentials(authority.sign(asking.request()), "rubbish" if what == "ca" else authority.pem)
    with pytest.raises(IdentityError, match="does not fit"):
        identity.install(unfit)
    assert identity.pem.read_bytes() == before
    assert not (tmp_path / "candidate.pem").exists()


def test_renewal_is_due_after_two_thirds_of_life(identity: Identity, authority: Authority) -> None:
    hour = timedelta(hours=1)
    identity.install(Credentials(authority.sign(identity.request(), -hour, 2 * hour), authority.pem))
    start, end = identity.validity()
    assert end - start == pytest.approx(3 * 3600, abs=2)
    assert not identity.renewal_due(start + 2 * 3600 - 5)
    assert identity.renewal_due(start + 2 * 3600 + 5)
    assert not identity.expired(end - 5)
    assert identity.expired(end + 5)


def test_damaged_identity_is_named_and_can_be_set_aside(identity: Identity, tmp_path: Path) -> None:
    identity.pem.write_text("rubbish")
    with pytest.raises(IdentityError, match="openssl x509 failed"):
        identity.validity()
    identity.set_aside()
    assert not identity.exists()
    assert (tmp_path / "identity.pem.corrupt").exists()


def test_damaged_pending_key_is_replaced(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("rubbish")
    with pytest.raises(IdentityError):
        identity.request()
    assert identity.request().startswith("-----BEGIN CERTIFICATE REQUEST-----")


def test_missing_openssl_is_said(identity: Identity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IdentityError, match="openssl genpkey did not run"):
        identity.request()
