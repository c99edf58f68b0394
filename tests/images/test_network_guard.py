import asyncio
import datetime
import ssl
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.images.model import ImageRejected, Outcome
from phash_dagster.images.network_guard import (
    GuardedBackend,
    GuardedTransport,
    Resolver,
    check_url,
    forbidden_class,
    resolve,
)
from tests.images.hosts import answer, loopback

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

FORBIDDEN = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "reserved",
    "10.0.0.1": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.127.255.254": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.170": "reserved",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.1.1": "private",
    "198.19.0.1": "benchmarking",
    "198.51.100.7": "documentation",
    "203.0.113.7": "documentation",
    "224.0.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "reserved",
    "::ffff:0:127.0.0.1": "reserved",
    "::ffff:10.0.0.1": "private in IPv6 form",
    "::ffff:100.64.0.1": "carrier-grade NAT in IPv6 form",
    "::ffff:224.0.0.1": "multicast in IPv6 form",
    "::ffff:127.0.0.1": "loopback in IPv6 form",
    "::ffff:169.254.169.254": "link-local in IPv6 form",
    "64:ff9b::a00:1": "private in IPv6 form",
    "64:ff9b::7f00:1": "loopback in IPv6 form",
    "64:ff9b:1::1": "reserved",
    "100::1": "reserved",
    "2001::1": "Teredo",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "Teredo",
    "2001:2::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:5db8:d70e::1": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}


@pytest.mark.parametrize(("address", "name"), FORBIDDEN.items())
def test_an_address_off_the_public_internet_is_forbidden_by_its_class(
    address: str, name: str
) -> None:
    assert forbidden_class(ip_address(address)) == name


@pytest.mark.parametrize(
    "address",
    [
        PUBLIC,
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        PUBLIC_V6,
        "2a00:1450:4001:830::200e",
        f"::ffff:{PUBLIC}",
        "64:ff9b::5db8:d70e",
    ],
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert forbidden_class(ip_address(address)) is None


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_that_python_calls_not_global_is_allowed(address: IPv4Address) -> None:
    assert (address.is_global and not address.is_multicast) or forbidden_class(address)


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_that_python_calls_not_global_is_allowed(address: IPv6Address) -> None:
    assert address.is_global or address.ipv4_mapped or forbidden_class(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_when_wrapped_in_ipv6(address: IPv4Address) -> None:
    forbidden = forbidden_class(address) is not None
    for prefix in (0xFFFF << 32, 0x64FF9B << 96):
        wrapped = IPv6Address(prefix | int(address))
        assert (forbidden_class(wrapped) is not None) == forbidden


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://pds.example/", "'http' instead of https"),
        ("ftp://pds.example/", "'ftp' instead of https"),
        ("file:///etc/passwd", "'file' instead of https"),
        ("//pds.example/", "'' instead of https"),
        ("https://user@pds.example/", "carries credentials"),
        ("https://:secret@pds.example/", "carries credentials"),
        ("https://pds.example:8443/", "port 8443"),
        ("https://pds.example:22/", "port 22"),
        ("https:///path", "'' is not a host name"),
        ("https://pds%2eexample/", "is not a host name"),
        ("https://pds..example/", "is not a host name"),
        (f"https://{'a.' * 124}example/", "is not a host name"),
        ("https://127.0.0.1/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:127.0.0.1]/", "loopback in IPv6 form"),
        ("https://[fe80::1%25eth0]/", "link-local"),
        ("https://169.254.169.254/latest/meta-data/", "link-local"),
        ("https://2130706433/", "unusual spelling"),
        ("https://0x7f000001/", "unusual spelling"),
        ("https://0x7f.1/", "unusual spelling"),
        ("https://127.1/", "unusual spelling"),
        ("https://127.0.0.1./", "unusual spelling"),
        ("https://017700000001/", "unusual spelling"),
        ("https://0x7f.0x0.0x0.0x1/", "unusual spelling"),
        ("https://0X7F000001/", "unusual spelling"),
        ("https://127.0.0.1%2f@pds.example/", "carries credentials"),
        ("https://127%2e0%2e0%2e1/", "is not a host name"),
        ("https://[::ffff:7f00:1]/", "loopback in IPv6 form"),
        ("https://[64:ff9b::7f00:1]/", "loopback in IPv6 form"),
    ],
)
def test_a_url_that_no_pds_has_is_blocked(url: str, reason: str) -> None:
    with pytest.raises(ImageRejected, match=reason) as caught:
        check_url(httpx.URL(url))
    assert caught.value.outcome is Outcome.blocked


@pytest.mark.parametrize(
    "url",
    [
        "https://pds.example/xrpc/com.atproto.sync.getBlob?did=a&cid=b",
        "https://PDS.example:443/",
        "https://pds.example./",
        "https://xn--r8jz45g.jp/",
        "https://例え.jp/",
        "https://3com.example/",
        f"https://{PUBLIC}/",
    ],
)
def test_a_plain_https_url_passes(url: str) -> None:
    check_url(httpx.URL(url))


@pytest.mark.parametrize("url", ["http://127.0.0.1:2583/", "http://localhost:2583/"])
def test_local_urls_pass_where_the_settings_allow_them(url: str) -> None:
    check_url(httpx.URL(url), allow_private=True)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://user:pw@localhost/"])
def test_other_schemes_and_credentials_never_pass(url: str) -> None:
    with pytest.raises(ImageRejected):
        check_url(httpx.URL(url), allow_private=True)


class Connector(httpcore.AsyncMockBackend):
    """Connects to nothing and remembers where to; some addresses do not answer."""

    def __init__(self, dead: Iterable[str] = ()) -> None:
        super().__init__([])
        self._dead = frozenset(dead)
        self.connected: list[str] = []
        self.timeouts: list[float | None] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append(host)
        self.timeouts.append(timeout)
        if host in self._dead:
            raise httpcore.ConnectError(f"{host} is dead")
        return await super().connect_tcp(host, port, timeout, local_address, socket_options)


def answering(*answers: Sequence[str]) -> tuple[Resolver, list[str]]:
    """A resolver giving these answers in turn, the last for ever, and the names it was asked."""
    left, asked = list(answers), list[str]()

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    return resolver, asked


def connect(resolver: Resolver, connector: Connector, *, allow_private: bool = False) -> None:
    backend = GuardedBackend(allow_private=allow_private, resolver=resolver, connector=connector)
    asyncio.run(backend.connect_tcp("pds.example", 443, timeout=5))


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    resolver, asked = answering([PUBLIC], ["127.0.0.1"])
    connector = Connector()
    connect(resolver, connector)
    assert (asked, connector.connected) == (["pds.example"], [PUBLIC])


def test_a_name_that_rebinds_is_blocked_when_it_is_resolved_again() -> None:
    resolver, _ = answering([PUBLIC], ["127.0.0.1"])
    connector = Connector()
    connect(resolver, connector)
    with pytest.raises(ImageRejected, match=r"pds\.example is at 127\.0\.0\.1, a loopback address"):
        connect(resolver, connector)
    assert connector.connected == [PUBLIC]


@pytest.mark.parametrize("forbidden", ["10.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_one_forbidden_address_among_public_ones_blocks_the_host(forbidden: str) -> None:
    resolver, _ = answering([PUBLIC, PUBLIC_V6, forbidden])
    connector = Connector()
    with pytest.raises(ImageRejected) as caught:
        connect(resolver, connector)
    assert caught.value.outcome is Outcome.blocked
    assert connector.connected == []


def test_a_forbidden_address_behind_many_public_ones_is_still_found() -> None:
    resolver, _ = answering([*(f"93.184.215.{n}" for n in range(50)), "10.0.0.1"])
    with pytest.raises(ImageRejected):
        connect(resolver, Connector())


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    resolver, asked = answering([PUBLIC_V6, PUBLIC])
    connector = Connector(dead=[PUBLIC_V6])
    connect(resolver, connector)
    assert (len(asked), connector.connected) == (1, [PUBLIC_V6, PUBLIC])


def test_only_a_few_addresses_of_a_host_are_tried() -> None:
    addresses = [f"93.184.215.{n}" for n in range(50)]
    resolver, _ = answering(addresses)
    connector = Connector(dead=addresses)
    with pytest.raises(httpcore.ConnectError):
        connect(resolver, connector)
    assert connector.connected == addresses[:4]


def test_the_addresses_of_a_host_share_the_time_out_of_connecting() -> None:
    resolver, _ = answering([PUBLIC_V6, PUBLIC])
    connector = Connector(dead=[PUBLIC_V6])
    connect(resolver, connector)
    assert connector.timeouts == [2.5, 2.5]


def test_private_addresses_connect_where_the_settings_allow_them() -> None:
    resolver, _ = answering(["127.0.0.1"])
    connector = Connector()
    connect(resolver, connector, allow_private=True)
    assert connector.connected == ["127.0.0.1"]


def test_a_name_that_does_not_resolve_is_a_connection_error() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(httpcore.ConnectError, match=r"pds\.example does not resolve"):
        connect(resolver, Connector())


def test_a_name_without_addresses_is_a_connection_error() -> None:
    resolver, _ = answering([])
    with pytest.raises(httpcore.ConnectError, match="has no address"):
        connect(resolver, Connector())


def test_a_resolver_that_hangs_runs_into_the_time_out() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    backend = GuardedBackend(allow_private=False, resolver=resolver, connector=Connector())
    with pytest.raises(httpcore.ConnectTimeout):
        asyncio.run(backend.connect_tcp("pds.example", 443, timeout=0.01))


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "localhost"])
def test_the_system_resolver_shows_what_a_spelling_of_loopback_means(host: str) -> None:
    addresses = asyncio.run(resolve(host, 443))
    assert all(forbidden_class(ip_address(address)) == "loopback" for address in addresses)


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server context with a self-signed certificate for `name`, kept in `folder`/cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    (folder / "cert.pem").write_bytes(cert.public_bytes(encoding))
    (folder / "key.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def get_over_tls(folder: Path, *, certified: str, asked: str) -> httpx.Response:
    """GET from a loopback server certified for one name, asked for by a perhaps different one."""

    async def handler(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, head.split("\r\n")[1].encode()))

    async def run() -> httpx.Response:
        resolver, _ = answering(["127.0.0.1"])
        backend = GuardedBackend(allow_private=True, resolver=resolver)
        async with loopback(handler, certificate(folder, certified)) as port:
            trust = ssl.create_default_context(cafile=folder / "cert.pem")
            transport = GuardedTransport(httpx.Limits(), backend, trust, allow_private=True)
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
                return await client.get(f"https://{asked}:{port}/")

    return asyncio.run(run())


def test_tls_is_verified_against_the_name_although_the_connection_goes_to_an_address(
    tmp_path: Path,
) -> None:
    response = get_over_tls(tmp_path, certified="pds.example", asked="pds.example")
    assert response.text.startswith("Host: pds.example:")


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        get_over_tls(tmp_path, certified="other.example", asked="pds.example")
