"""Where `http` sends: every kind of address that it must not, names that lie, and certificates of others."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from bot.providers.http import Settings
from bot.providers.reaching import Answered, Exchange, Forbidden, NotTrusted, Unreached, forbidden, resolved, target
from tests.providers.receiving import answers, receiving

LOCAL = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%lo",
    "fd00:ec2::254%lo",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "ff0e::1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "2001:db8::1",
    "100::1",
    "fec0::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "64:ff9b::a83f:8110",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "64:ff9b::808:808"]


def test_which_addresses_may_be_sent_to() -> None:
    for text in PUBLIC:
        for allow in (False, True):
            assert forbidden(ipaddress.ip_address(text), allow_private=allow) is None, text
    for text in LOCAL:
        assert forbidden(ipaddress.ip_address(text)) is not None, text
        assert forbidden(ipaddress.ip_address(text), allow_private=True) is None, text
    for text in set(NEVER) - {"fd00:ec2::254%lo"}:
        for allow in (False, True):
            assert forbidden(ipaddress.ip_address(text), allow_private=allow) is not None, text


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """From now on every name leads to these, the way the machine's resolver tells it. Returns who was asked for."""
    asked: list[str] = []
    really = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: Any, **more: Any) -> list[tuple[Any, ...]]:
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host)
            return really(host, port, *rest, **more)
        asked.append(host)
        if not addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_that_leads_to_one_bad_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place = target("https://hooks.example/x")
    for good in PUBLIC:
        names(monkeypatch, good)
        assert resolved(place) == [good]
    for bad in LOCAL + NEVER:
        for told in ([bad], ["8.8.8.8", bad], [bad, "8.8.8.8"], ["2606:4700:4700::1111", "8.8.8.8", bad]):
            names(monkeypatch, *told)
            with pytest.raises(Forbidden, match=r"hooks\.example leads to"):
                resolved(place)
    names(monkeypatch, "8.8.8.8", "8.8.8.8", "1.1.1.1")
    assert resolved(place) == ["8.8.8.8", "1.1.1.1"]
    names(monkeypatch)
    with pytest.raises(Unreached, match="can't be looked up"):
        resolved(place)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1."])
def test_other_ways_to_write_this_machine(host: str) -> None:
    """As the real resolver reads them: those that it does not read lead nowhere."""
    with pytest.raises((Forbidden, Unreached)):
        resolved(target(f"https://{host}/"))


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://hooks.example/", "must start with https://"),
        ("ftp://hooks.example/", "must start with https://"),
        ("hooks.example", "must start with https://"),
        ("https://", "must start with https://"),
        ("https:///x", "must start with https://"),
        ("https://ana:pw@hooks.example/", "must not hold a user or password"),
        ("https://@hooks.example/", "must not hold a user or password"),
        ("https://hooks.example@127.0.0.1/", "must not hold a user or password"),
        ("https://hooks.example/#x", "must not have a #fragment"),
        ("https://hooks.example:99999/", "can't be read"),
        ("https://hooks.example:x/", "can't be read"),
        ("https://[::1/", "can't be read"),
        ("https://hooks.example/a b", "must be written in ASCII"),
        ("https://hooks.example/\r\nX: y", "must be written in ASCII"),
        ("https://hoöks.example/", "must be written in ASCII"),
        ("https://hooks.example\\@127.0.0.1/", "must be written in ASCII"),
        ("https://127.0.0.1/", "a loopback or private address"),
        ("https://[::1]:8443/", "a loopback or private address"),
        ("https://169.254.169.254/latest/meta-data", "a link-local address"),
        ("https://[::ffff:10.0.0.1]/", "an IPv4 address in disguise"),
    ],
)
def test_urls_that_the_config_may_not_name(url: str, wrong: str) -> None:
    with pytest.raises(ValidationError, match=f"url .*{wrong}") as refused:
        Settings(type="http", url=url, secret_env="HOOK_SECRET")
    assert "pw" not in str(refused.value.errors()[0]["msg"])


def test_urls_that_the_config_may_name() -> None:
    for url in ("https://hooks.example", "https://hooks.example:8443/deploy?x=1", "https://8.8.8.8/"):
        Settings(type="http", url=url, secret_env="HOOK_SECRET")
    for url in ("http://127.0.0.1:8080/", "http://[::1]/", "http://build.internal/"):
        Settings(type="http", url=url, secret_env="HOOK_SECRET", allow_private=True)
    with pytest.raises(ValidationError, match="not the secret itself"):
        Settings(type="http", url="https://hooks.example", secret_env="s3cret-of-the-hook")
    with pytest.raises(ValidationError, match="link-local"):
        Settings(type="http", url="http://169.254.169.254/", secret_env="X", allow_private=True)


def exchanged(url: str, *, allow_private: bool = True) -> Answered:
    exchange = Exchange(target(url, allow_private=True), b"{}", {}, allow_private=allow_private, largest=100)
    assert exchange.done(20)
    return exchange.result()


def test_nothing_is_sent_to_a_forbidden_address() -> None:
    with receiving(answers(200)) as receiver:
        with pytest.raises(Forbidden):
            exchanged(f"http://localhost:{receiver.port}/", allow_private=False)
        assert receiver.posted == []
        assert exchanged(f"http://localhost:{receiver.port}/").status == 200


def test_the_address_that_was_checked_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere the second time is not asked for a second time."""
    with receiving(answers(200)) as receiver:
        asked = names(monkeypatch, "127.0.0.1")
        assert exchanged(f"http://rebinding.example:{receiver.port}/").status == 200
        assert asked == ["rebinding.example"]
        assert receiver.posted[0].headers["host"] == f"rebinding.example:{receiver.port}"


def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(answers(200)) as receiver, receiving(answers(200)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        assert exchanged(f"{receiver.url}/").status == 200
        assert proxy.posted == []


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(answers(200)) as receiver:
        names(monkeypatch, "::1", "127.0.0.1")
        assert exchanged(f"http://both.example:{receiver.port}/").status == 200


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ssl.SSLContext]:
    """Makes what a server needs to prove that it is `name`; by an authority that is trusted here, or by none."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", key, "authority", key, authority=True)
    (tmp_path / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    def make(name: str, *, trusted: bool = True) -> ssl.SSLContext:
        own = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(name, own, "authority" if trusted else name, key if trusted else own)
        file = tmp_path / f"{name}.pem"
        pem = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    return make


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey, *, authority: bool = False
) -> x509.Certificate:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2099))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(own, critical=False)
        .add_extension(issuers, critical=False)
        .sign(by, hashes.SHA256())
    )


def test_a_certificate_must_bear_the_name(
    certified: Callable[..., ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, "127.0.0.1")
    with receiving(answers(200), tls=certified("hooks.example")) as receiver:
        assert exchanged(f"https://hooks.example:{receiver.port}/").status == 200
        assert receiver.posted[0].headers["host"] == f"hooks.example:{receiver.port}"
        with pytest.raises(NotTrusted, match=r"other\.example"):
            exchanged(f"https://other.example:{receiver.port}/")
        with pytest.raises(NotTrusted):
            exchanged(f"https://127.0.0.1:{receiver.port}/")
    with receiving(answers(200), tls=certified("hooks.example", trusted=False)) as receiver:
        with pytest.raises(NotTrusted):
            exchanged(f"https://hooks.example:{receiver.port}/")
        assert receiver.posted == []
