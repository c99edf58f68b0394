import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from phash_dagster.http import async_client
from phash_dagster.images.download import Downloader, DownloadLimits, open_downloader
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome
from tests.images.hosts import (
    ScriptedHosts,
    answer,
    by_client,
    downloader,
    loopback,
    settings,
)

URL = "https://host.example/image"


def get(hosts: ScriptedHosts, url: str = URL, *, max_bytes: int = 1000, **limits: float) -> bytes:
    target = downloader(hosts, **limits)
    return asyncio.run(target.get(url, trusted=True, max_bytes=max_bytes))


def test_a_body_is_returned() -> None:
    assert get(ScriptedHosts({URL: b"image"})) == b"image"


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert get(ScriptedHosts({URL: b"12345"}), max_bytes=5) == b"12345"


@pytest.mark.parametrize(
    "failure",
    [408, 425, 429, 500, 502, 503, 504, httpx.ConnectError("x"), httpx.RemoteProtocolError("x")],
)
def test_a_failure_that_may_pass_is_retried(failure: object) -> None:
    hosts = ScriptedHosts({URL: [failure, failure, b"image"]})
    assert get(hosts) == b"image"
    assert len(hosts.requests) == 3


def test_retries_end_after_the_allowed_attempts() -> None:
    hosts = ScriptedHosts({URL: 503})
    with pytest.raises(ImageUnavailable, match=r"host\.example answered 503"):
        get(hosts, attempts=4)
    assert len(hosts.requests) == 4


@pytest.mark.parametrize("status", [400, 404, 406, 410, 415, 451])
def test_an_answer_that_it_is_not_there_is_final(status: int) -> None:
    hosts = ScriptedHosts({URL: status})
    with pytest.raises(ImageRejected, match=f"answered {status}") as caught:
        get(hosts)
    assert caught.value.outcome is Outcome.not_found
    assert len(hosts.requests) == 1


@pytest.mark.parametrize("status", [204, 206, 304, 401, 403, 418])
def test_an_answer_that_says_neither_waits_without_a_retry(status: int) -> None:
    hosts = ScriptedHosts({URL: status})
    with pytest.raises(ImageUnavailable, match=f"answered {status}"):
        get(hosts)
    assert len(hosts.requests) == 1


def busy(seconds: str) -> httpx.Response:
    return httpx.Response(429, headers={"retry-after": seconds})


def test_the_wait_that_a_host_asks_for_is_kept() -> None:
    async def run() -> float:
        hosts = ScriptedHosts({URL: [busy("1"), b"image"]})
        loop = asyncio.get_running_loop()
        start = loop.time()
        await downloader(hosts, longest_wait=5).get(URL, trusted=True, max_bytes=10)
        return loop.time() - start

    assert asyncio.run(run()) >= 1


@pytest.mark.parametrize("seconds", ["60", "9" * 400])
def test_a_host_that_asks_for_a_long_wait_is_left_alone(seconds: str) -> None:
    hosts = ScriptedHosts({URL: busy(seconds)})
    with pytest.raises(ImageUnavailable, match="answered 429 and asks to wait"):
        get(hosts)
    assert len(hosts.requests) == 1


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 100


async def stalling() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.sleep(60)


def test_an_endless_body_is_cut_off() -> None:
    hosts = ScriptedHosts({URL: lambda _: httpx.Response(200, content=endless())})
    with pytest.raises(ImageRejected, match="sends more; at most 1000 bytes") as caught:
        get(hosts)
    assert caught.value.outcome is Outcome.too_large


def test_a_body_announced_too_large_is_not_read() -> None:
    headers = {"content-length": "1001"}
    hosts = ScriptedHosts({URL: httpx.Response(200, headers=headers, content=stalling())})
    with pytest.raises(ImageRejected, match="announces 1001 bytes") as caught:
        get(hosts)
    assert caught.value.outcome is Outcome.too_large


def test_a_stalling_body_ends_the_attempt_and_is_not_retried() -> None:
    hosts = ScriptedHosts({URL: lambda _: httpx.Response(200, content=stalling())})
    with pytest.raises(ImageUnavailable, match=r"did not answer in full within 0\.05 s"):
        get(hosts, attempt_timeout=0.05)
    assert len(hosts.requests) == 1


def test_a_compressed_answer_is_not_unfolded() -> None:
    headers = {"content-encoding": "gzip"}
    hosts = ScriptedHosts({URL: httpx.Response(200, headers=headers, content=stalling())})
    with pytest.raises(ImageUnavailable, match="compressed"):
        get(hosts)


def test_compression_is_asked_not_to_be_used() -> None:
    seen = []

    def host(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["accept-encoding"])
        return httpx.Response(200, content=endless())

    with pytest.raises(ImageRejected):
        asyncio.run(downloader(host).get(URL, trusted=True, max_bytes=1))
    assert seen == ["identity"]


def redirect(target: str) -> httpx.Response:
    return httpx.Response(302, headers={"location": target})


def test_a_redirect_is_followed() -> None:
    hosts = ScriptedHosts({URL: redirect("/there"), "https://host.example/there": b"image"})
    assert get(hosts) == b"image"


def test_a_redirect_loop_ends() -> None:
    hosts = ScriptedHosts({URL: redirect(URL)})
    with pytest.raises(ImageUnavailable, match="more than 3 redirects"):
        get(hosts)
    assert len(hosts.requests) == 4


def test_a_redirect_to_no_url_is_a_failure_that_may_pass() -> None:
    with pytest.raises(ImageUnavailable):
        get(ScriptedHosts({URL: redirect("https://host.example:port/")}))


def test_a_redirect_of_the_operators_host_to_another_is_followed_with_the_guard() -> None:
    other = "https://other.example/x"
    trusted, guarded = ScriptedHosts({URL: redirect(other)}), ScriptedHosts({other: b"image"})
    target = by_client(trusted, guarded)
    assert asyncio.run(target.get(URL, trusted=True, max_bytes=10)) == b"image"
    assert (trusted.requests, guarded.requests) == ([URL], [other])


@pytest.mark.parametrize("target", ["http://host.example/x", "https://host.example:444/x"])
def test_another_scheme_or_port_of_the_operators_host_is_another_origin(target: str) -> None:
    trusted, guarded = ScriptedHosts({URL: redirect(target)}), ScriptedHosts({target: b"image"})
    asyncio.run(by_client(trusted, guarded).get(URL, trusted=True, max_bytes=10))
    assert guarded.requests == [target]


def test_a_redirect_back_to_the_operators_host_stays_guarded() -> None:
    other = "https://other.example/x"
    trusted = ScriptedHosts({URL: redirect(other)})
    guarded = ScriptedHosts({other: redirect(URL), URL: b"image"})
    asyncio.run(by_client(trusted, guarded).get(URL, trusted=True, max_bytes=10))
    assert guarded.requests == [other, URL]


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://0x7f.1/",
        "https://user:pw@pds.example/",
        "https://pds.example:6379/",
        "https://internal.example/",
        "file:///etc/passwd",
        "gopher://pds.example/",
    ],
)
def test_a_redirect_to_a_forbidden_place_is_blocked(target: str) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"]

    async def run() -> None:
        trusted = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: redirect(target)))
        limits = DownloadLimits(attempts=2, retry_delay=0, attempt_timeout=5, longest_wait=1)
        async with trusted, async_client(settings(), guarded=True, resolver=resolver) as guarded:
            await Downloader(trusted, guarded, limits).get(URL, trusted=True, max_bytes=10)

    with pytest.raises(ImageRejected, match="network guard") as caught:
        asyncio.run(run())
    assert caught.value.outcome is Outcome.blocked


def over_loopback(raw: bytes, *pauses: bytes, **values: object) -> bytes:
    """What the real client makes of a raw answer, of which `pauses` follow 50 ms apart."""

    async def handler(head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        for part in pauses:
            await asyncio.sleep(0.05)
            writer.write(part)

    async def run() -> bytes:
        chosen = settings(allow_private_network=True, retry_attempts=1, **values)
        async with loopback(handler) as port, open_downloader(chosen) as target:
            url = f"http://127.0.0.1:{port}/"
            return await target.get(url, trusted=False, max_bytes=chosen.max_blob_bytes)

    return asyncio.run(run())


def test_a_body_comes_over_a_real_connection() -> None:
    assert over_loopback(answer(200, b"image")) == b"image"


def test_a_body_shorter_than_announced_is_a_failure_that_may_pass() -> None:
    with pytest.raises(ImageUnavailable, match="RemoteProtocolError"):
        over_loopback(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")


def test_what_is_not_http_is_a_failure_that_may_pass() -> None:
    with pytest.raises(ImageUnavailable, match="RemoteProtocolError"):
        over_loopback(b"220 smtp.example ESMTP\r\n")


def test_a_trickling_body_ends_with_the_attempt_although_each_read_is_quick() -> None:
    with pytest.raises(ImageUnavailable, match=r"within 0\.2 s"):
        over_loopback(
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            *[b"x"] * 20,
            blob_download_timeout_secs=0.2,
        )


def test_a_body_without_a_length_is_cut_off_at_the_limit() -> None:
    with pytest.raises(ImageRejected, match="sends more"):
        over_loopback(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, max_blob_bytes=1000)


def test_a_closed_port_is_a_failure_that_may_pass() -> None:
    async def run() -> None:
        async def handler(head: str, writer: asyncio.StreamWriter) -> None: ...

        async with loopback(handler) as port:
            pass
        chosen = settings(allow_private_network=True, retry_attempts=1)
        async with open_downloader(chosen) as target:
            await target.get(f"http://127.0.0.1:{port}/", trusted=False, max_bytes=1)

    with pytest.raises(ImageUnavailable, match=r"127\.0\.0\.1: ConnectError"):
        asyncio.run(run())
