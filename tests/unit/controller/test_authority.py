"""The CA: what it founds, signs, renews and refuses."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.certificates import der, key_pem, new_key, request_pem
from underlace.api.server import tls_context
from underlace.controller.authority import (
    CA_LIFETIME,
    CLOCK_SKEW,
    DEVICE_LIFETIME,
    SERVER_LIFETIME,
    Authority,
    BadRequest,
    read_device,
    write_private,
)
from underlace.model.diagnostic import Refused

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def _server(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.server_file.read_bytes())


def test_the_ca_is_founded_once_and_private(tmp_path: Path) -> None:
    first = Authority(tmp_path / "ca")
    again = Authority(tmp_path / "ca")
    assert again.ca_pem == first.ca_pem
    assert _mode(tmp_path / "ca") == 0o700
    assert {f.name: _mode(f) for f in (tmp_path / "ca").iterdir()} == {"ca.key": 0o600, "ca.pem": 0o600}
    certificate = x509.load_pem_x509_certificate(first.ca_pem.encode())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0


def test_two_controllers_have_cas_of_different_names(tmp_path: Path) -> None:
    names = {x509.load_pem_x509_certificate(Authority(tmp_path / n).ca_pem.encode()).subject for n in ("a", "b")}
    assert len(names) == 2


def test_a_device_certificate_names_the_device_and_is_for_clients_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path, now=lambda: NOW)
    issued = authority.sign_device(request_pem("leaf1"), "leaf1")
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.ca_pem.encode()))
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert issued.device == "leaf1"
    assert (issued.not_before, issued.not_after) == (NOW - CLOCK_SKEW, NOW + DEVICE_LIFETIME)
    shown = read_device(der(issued.pem))
    assert (shown.device, shown.serial) == ("leaf1", issued.serial)


def test_nothing_of_a_request_but_its_key_gets_into_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with pytest.raises(BadRequest, match="is not leaf2"):
        authority.sign_device(request_pem("leaf1"), "leaf2")


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "\0"]
)
def test_what_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadRequest, match="not a PEM"):
        Authority(tmp_path).sign_device(text, "leaf1")


def test_an_endless_request_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="longer than"):
        Authority(tmp_path).sign_device("A" * 20_000, "leaf1")


def test_a_weak_key_is_refused(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - it is the weak one
    with pytest.raises(BadRequest, match="2048"):
        Authority(tmp_path).sign_device(request_pem("leaf1", weak), "leaf1")


def test_a_request_signed_by_another_key_is_refused(tmp_path: Path) -> None:
    whole = der_of_request(request_pem("leaf1"))
    broken = bytearray(whole)
    broken[-1] ^= 1
    with pytest.raises(BadRequest, match=r"not signed|not a PEM"):
        Authority(tmp_path).sign_device(pem_of_request(bytes(broken)), "leaf1")


def der_of_request(pem: str) -> bytes:
    import ssl

    return ssl.PEM_cert_to_DER_cert(pem.replace("CERTIFICATE REQUEST", "CERTIFICATE"))


def pem_of_request(raw: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(raw).replace("CERTIFICATE", "CERTIFICATE REQUEST")


def test_the_server_certificate_has_every_name_and_is_made_anew_only_when_needed(tmp_path: Path) -> None:
    clock = [NOW]
    authority = Authority(tmp_path, now=lambda: clock[0])
    assert authority.renew_server(["127.0.0.1", "Host.example", "::1"])
    names = _server(authority).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"host.example"}
    assert {str(a) for a in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    assert _mode(authority.server_file) == 0o600
    assert not authority.renew_server(["host.example"])
    clock[0] += SERVER_LIFETIME * 0.6
    assert not authority.renew_server(["host.example"])
    clock[0] += SERVER_LIFETIME * 0.1
    assert authority.renew_server(["host.example"])
    assert authority.renew_server(["host.example", "10.0.0.1"])
    names = _server(authority).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"host.example"}


def test_a_certificate_of_another_ca_is_replaced(tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.renew_server(["localhost"])
    own = Authority(tmp_path / "own")
    own.server_file.write_bytes(other.server_file.read_bytes())
    assert own.renew_server(["localhost"])


def test_no_certificate_outlives_the_ca(tmp_path: Path) -> None:
    clock = [NOW]
    authority = Authority(tmp_path, now=lambda: clock[0])
    end = x509.load_pem_x509_certificate(authority.ca_pem.encode()).not_valid_after_utc
    clock[0] = end - timedelta(days=1)
    assert authority.sign_device(request_pem("leaf1"), "leaf1").not_after == end


def test_a_private_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, b"one")
    with pytest.raises(TypeError):
        write_private(file, "two")  # type: ignore[arg-type]
    assert file.read_bytes() == b"one"
    assert [f.name for f in tmp_path.iterdir()] == ["secret"]


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("off", [-HOUR, HOUR], ids=["behind", "ahead"])
def test_certificates_are_good_for_whoever_s_clock_is_an_hour_off(tmp_path: Path, off: timedelta) -> None:
    """The clock of the one who reads, or the controller's before it was set."""
    authority = Authority(tmp_path, now=lambda: NOW)
    authority.renew_server(["localhost"])
    issued = authority.sign_device(request_pem("leaf1"), "leaf1")
    for made in (_server(authority), x509.load_pem_x509_certificate(authority.ca_pem.encode()), issued):
        start = made.not_before if made is issued else made.not_valid_before_utc  # type: ignore[union-attr]
        end = made.not_after if made is issued else made.not_valid_after_utc  # type: ignore[union-attr]
        assert start < NOW + off < end


def test_a_server_certificate_from_the_future_is_made_anew(tmp_path: Path) -> None:
    """The clock was a day ahead when it was made: until then no client would take it."""
    clock = [NOW]
    authority = Authority(tmp_path, now=lambda: clock[0])
    clock[0] = NOW + timedelta(days=1)
    assert authority.renew_server(["localhost"])
    clock[0] = NOW
    assert authority.renew_server(["localhost"])
    assert _server(authority).not_valid_before_utc <= NOW
    assert not authority.renew_server(["localhost"])


def test_an_expired_server_certificate_is_made_anew(tmp_path: Path) -> None:
    clock = [NOW]
    authority = Authority(tmp_path, now=lambda: clock[0])
    authority.renew_server(["localhost"])
    clock[0] += SERVER_LIFETIME * 2
    assert authority.renew_server(["localhost"])
    assert _server(authority).not_valid_after_utc > clock[0]


@pytest.mark.parametrize("left", [timedelta(days=364), timedelta(days=-1)], ids=["near its end", "ended"])
def test_a_ca_near_its_end_gets_a_successor_with_its_key_and_name(tmp_path: Path, left: timedelta) -> None:
    clock = [NOW]
    authority = Authority(tmp_path, now=lambda: clock[0])
    first = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    issued = x509.load_pem_x509_certificate(authority.sign_device(request_pem("leaf1"), "leaf1").pem.encode())
    clock[0] = first.not_valid_after_utc - timedelta(days=366)
    assert not authority.renew()
    clock[0] = first.not_valid_after_utc - left
    assert authority.renew()
    assert not authority.renew()
    second = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    assert second.not_valid_after_utc == clock[0] + CA_LIFETIME
    assert (second.subject, second.public_key()) == (first.subject, first.public_key())
    issued.verify_directly_issued_by(second)
    again = Authority(tmp_path, now=lambda: clock[0])
    assert again.ca_pem == authority.ca_pem
    assert again.key_digest == authority.key_digest
    later = x509.load_pem_x509_certificate(again.sign_device(request_pem("leaf2"), "leaf2").pem.encode())
    later.verify_directly_issued_by(first)
    assert later.not_valid_after_utc == clock[0] + DEVICE_LIFETIME


@pytest.mark.parametrize(
    ("name", "damage"),
    [("ca.key", "gone"), *((n, d) for n in ("ca.key", "ca.pem") for d in ("empty", "half", "other"))],
)
def test_a_damaged_ca_is_named_with_a_way_out(tmp_path: Path, name: str, damage: str) -> None:
    Authority(tmp_path / "ca")
    Authority(tmp_path / "other")
    file = tmp_path / "ca" / name
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        other = (tmp_path / "other" / name).read_bytes()
        file.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "other": other}[damage])
    with pytest.raises(Refused) as refused:
        Authority(tmp_path / "ca")
    (found,) = refused.value.diagnostics
    assert found.code == "authority-damaged"
    assert found.where.file.startswith(str(tmp_path / "ca"))
    assert "underlace restore" in found.remedy


@pytest.mark.parametrize("damage", ["empty", "half", "key"])
def test_a_damaged_server_certificate_is_made_anew(tmp_path: Path, damage: str) -> None:
    authority = Authority(tmp_path / "ca")
    authority.renew_server(["localhost"])
    whole = authority.server_file.read_bytes()
    other = Authority(tmp_path / "other")
    other.renew_server(["localhost"])
    key = other.server_file.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    parts = whole.partition(b"-----BEGIN CERTIFICATE")
    authority.server_file.write_bytes(
        {"empty": b"", "half": whole[: len(whole) // 2], "key": key + parts[1] + parts[2]}[damage]
    )
    assert authority.renew_server(["localhost"])
    assert not authority.renew_server(["localhost"])


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A whole handshake in memory. Raises ssl.SSLError when either side does not take the other's certificate."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(there, back, server_side=True)
    other = client.wrap_bio(back, there, server_hostname="localhost")
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (other, one):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
                done.add(side)
    with suppress(ssl.SSLWantReadError):
        other.read()  # of TLS 1.3, the server's no to a client certificate comes after the handshake
    assert done == {one, other}


@pytest.mark.parametrize("left", [timedelta(days=200), timedelta(days=-1)], ids=["near its end", "ended"])
def test_agents_and_servers_of_before_and_after_a_ca_s_renewal_take_each_other(
    tmp_path: Path, left: timedelta
) -> None:
    """By the machine's clock, with real handshakes. Before the first CA has ended, an agent needs to know nothing of
    the second; afterwards it has both in its files."""
    now, founded = datetime.now(UTC), datetime.now(UTC) - CA_LIFETIME + left
    clock = [founded]
    authority = Authority(tmp_path / "ca", now=lambda: clock[0])
    first = tmp_path / "first.pem"
    first.write_text(authority.ca_pem)
    clock[0] = now
    key = new_key()

    def identity(name: str) -> Path:
        file = tmp_path / name
        file.write_text(key_pem(key) + authority.sign_device(request_pem("leaf1", key), "leaf1").pem)
        return file

    before = identity("before.pem") if left > timedelta() else None
    assert authority.renew()
    authority.renew_server(["localhost"])
    server = tls_context(authority.server_file, None, authority.ca_file)
    after = identity("after.pem")
    for shown, trusted in (
        (before, (first,)),
        (before, (first, authority.ca_file)),
        (after, (first, authority.ca_file)),
    ):
        if shown is None:
            continue
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for file in trusted:
            client.load_verify_locations(file)
        client.load_cert_chain(shown)
        shake_hands(server, client)
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.load_verify_locations(Authority(tmp_path / "other").ca_file)
    with pytest.raises(ssl.SSLError):
        shake_hands(server, stranger)
