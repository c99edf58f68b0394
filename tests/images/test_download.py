import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import httpx
import pytest

from phash_dagster.http import async_client
from phash_dagster.images.breaker import CircuitBreakers
from phash_dagster.images.download import Downloader, open_downloader
from phash_dagster.images.model import ImageRejected, ImageUnavailable, Outcome
from phash_dagster.images.turns import Turn
from tests.images import hosts as fake
from tests.images.hosts import (
    NOW,
    ScriptedHosts,
    answer,
    by_client,
    clock,
    downloader,
    loopback,
    quick_limits,
    settings,
)

URL = "https://host.example/image"


def get(hosts: ScriptedHosts, url: str = URL, *, max_bytes: int = 1000, **limits: float) -> bytes:
    target = downloader(hosts, None, **limits)
    return asyncio.run(fake.get(target, url, max_bytes=max_bytes))


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
        await fake.get(downloader(hosts, longest_wait=5), URL)
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
        asyncio.run(fake.get(downloader(host), URL, max_bytes=1))
    assert seen == ["identity"]


def redirect(target: str) -> httpx.Response:
    return httpx.Response(302, headers={"location": target})


def test_a_redirect_is_followed() -> None:
    hosts = ScriptedHosts({URL: redirect("/there"), "https://host.example/there": b"image"})
    assert get(hosts) == b"image"


def test_a_redirect_loop_ends() -> None:
    hosts = ScriptedHosts({URL: redirect(URL)})
    with pytest.raises(ImageUnavailable, match="over 3 redirects"):
        get(hosts)
    assert len(hosts.requests) == 4


def test_a_redirect_to_no_url_is_a_failure_that_may_pass() -> None:
    with pytest.raises(ImageUnavailable):
        get(ScriptedHosts({URL: redirect("https://host.example:port/")}))


def test_a_redirect_of_the_operators_host_to_another_is_followed_with_the_guard() -> None:
    other = "https://other.example/x"
    trusted, guarded = ScriptedHosts({URL: redirect(other)}), ScriptedHosts({other: b"image"})
    target = by_client(trusted, guarded)
    assert asyncio.run(fake.get(target, URL)) == b"image"
    assert (trusted.requests, guarded.requests) == ([URL], [other])


@pytest.mark.parametrize("target", ["http://host.example/x", "https://host.example:444/x"])
def test_another_scheme_or_port_of_the_operators_host_is_another_origin(target: str) -> None:
    trusted, guarded = ScriptedHosts({URL: redirect(target)}), ScriptedHosts({target: b"image"})
    asyncio.run(fake.get(by_client(trusted, guarded), URL))
    assert guarded.requests == [target]


def test_a_redirect_back_to_the_operators_host_stays_guarded() -> None:
    other = "https://other.example/x"
    trusted = ScriptedHosts({URL: redirect(other)})
    guarded = ScriptedHosts({other: redirect(URL), URL: b"image"})
    asyncio.run(fake.get(by_client(trusted, guarded), URL))
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
        breakers = CircuitBreakers(clock)
        async with trusted, async_client(settings(), guarded=True, resolver=resolver) as guarded:
            tested = Downloader(trusted, guarded, quick_limits(attempts=2), breakers)
            await fake.get(tested, URL)

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
            return await fake.get(target, url, trusted=False, max_bytes=chosen.max_blob_bytes)

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
            await fake.get(target, f"http://127.0.0.1:{port}/", trusted=False)

    with pytest.raises(ImageUnavailable, match=r"127\.0\.0\.1: ConnectError"):
        asyncio.run(run())


PDS = "https://pds.example"
OTHER = "https://other.example"


class Times:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Bench:
    """A downloader whose circuits and clock can be looked at."""

    def __init__(self, answers: dict[str, object], **limits: float) -> None:
        self.hosts = ScriptedHosts(answers)
        self.times = Times()
        self.breakers = CircuitBreakers(self.times)
        self.target = downloader(self.hosts, self.breakers, **{"attempts": 1, **limits})

    async def ask(self, url: str = PDS, *, trusted: bool = False) -> str:
        """What one request comes to: the body, or the failure's name and reason."""
        try:
            return (await fake.get(self.target, url, trusted=trusted)).decode()
        except (ImageRejected, ImageUnavailable) as failure:
            return f"{type(failure).__name__}: {failure.reason}"

    async def fail(self, times: int = 3, url: str = PDS) -> None:
        for _ in range(times):
            await self.ask(url)


FAILURES = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.RemoteProtocolError("no HTTP"),
    500,
    503,
    429,
]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_a_host_that_fails_three_times_in_a_row_is_not_asked_any_more(failure: object) -> None:
    bench = Bench({PDS: failure})

    async def run() -> str:
        await bench.fail(3)
        return await bench.ask()

    assert asyncio.run(run()) == (
        "ImageUnavailable: pds.example is not asked before 2026-11-23 12:05:00 UTC, "
        "after 3 failures in a row"
    )
    assert len(bench.hosts.requests) == 3


@pytest.mark.parametrize("alive", [400, 404, 403, 410, b"image", b"x" * 1001], ids=str)
def test_any_answer_shows_that_a_host_is_alive(alive: object) -> None:
    bench = Bench({PDS: [503, 503, alive, 503, 503, alive]})
    asyncio.run(bench.fail(6))
    assert len(bench.hosts.requests) == 6


def test_a_host_that_is_busy_and_answers_a_retry_did_not_fail() -> None:
    bench = Bench({PDS: [429, b"image"] * 5}, attempts=2)
    asyncio.run(bench.fail(5))
    assert len(bench.hosts.requests) == 10


def test_all_attempts_of_one_request_count_as_one_failure() -> None:
    bench = Bench({PDS: 503}, attempts=3)
    asyncio.run(bench.fail(2))
    assert bench.breakers.take_changes()["pds.example"].failures == 2


def test_a_host_that_the_guard_blocks_has_not_failed() -> None:
    bench = Bench({PDS: ImageRejected(Outcome.blocked, "network guard")})
    asyncio.run(bench.fail(4))
    assert (len(bench.hosts.requests), bench.breakers.take_changes()) == (4, {})


def test_after_the_pause_one_request_probes_the_host_and_is_not_repeated() -> None:
    bench = Bench({PDS: 503}, attempts=3)

    async def run() -> None:
        await bench.fail(3)
        bench.hosts.requests.clear()
        bench.times.now += timedelta(seconds=300)
        await asyncio.gather(*(bench.ask() for _ in range(8)))

    asyncio.run(run())
    assert len(bench.hosts.requests) == 1


def test_a_probe_that_is_answered_opens_the_host_again() -> None:
    bench = Bench({PDS: [503, 503, 503, b"image"]})

    async def run() -> list[str]:
        await bench.fail(3)
        bench.times.now += timedelta(seconds=300)
        return [await bench.ask() for _ in range(2)]

    assert asyncio.run(run()) == ["image", "image"]


def test_a_probe_that_is_cancelled_leaves_its_place_to_another() -> None:
    async def run() -> list[str]:
        bench = Bench(
            {PDS: [503, 503, 503, lambda _: httpx.Response(200, content=stalling()), b"image"]}
        )
        await bench.fail(3)
        bench.times.now += timedelta(seconds=300)
        probe = asyncio.create_task(bench.ask())
        while len(bench.hosts.requests) < 4:
            await asyncio.sleep(0)
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        return [await bench.ask()]

    assert asyncio.run(run()) == ["image"]


def test_a_failure_that_begins_a_pause_says_until_when() -> None:
    bench = Bench({PDS: 503})

    async def run() -> ImageUnavailable:
        await bench.fail(2)
        with pytest.raises(ImageUnavailable) as caught:
            await fake.get(bench.target, PDS, trusted=False)
        return caught.value

    failure = asyncio.run(run())
    assert (failure.not_before, failure.excused) == (NOW + timedelta(seconds=300), False)


def test_images_are_excused_while_a_host_of_the_operator_is_down() -> None:
    bench = Bench({PDS: 503})

    async def run() -> list[bool]:
        excused = []
        for _ in range(4):
            with pytest.raises(ImageUnavailable) as caught:
                await fake.get(bench.target, PDS, trusted=True)
            excused.append(caught.value.excused)
        return excused

    assert asyncio.run(run()) == [False, False, True, True]


def test_a_stranger_cannot_close_a_host_of_the_operator() -> None:
    bench = Bench({PDS: [503, 503, 503, b"image"]})

    async def run() -> str:
        await bench.fail(3)
        return await bench.ask(trusted=True)

    assert asyncio.run(run()) == "image"


def test_the_host_that_failed_after_a_redirect_is_the_one_left_alone() -> None:
    bench = Bench({PDS: redirect(f"{OTHER}/x"), OTHER: 503})

    async def run() -> None:
        await bench.fail(3)
        bench.hosts.requests.clear()
        await bench.ask()

    asyncio.run(run())
    assert bench.hosts.requests == [PDS]


class SlowHosts:
    """Counts the requests under way at each host; they end when told to."""

    def __init__(self) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.answer = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        self.running[host] += 1
        self.most[host] = max(self.most[host], self.running[host])
        await self.answer.wait()
        self.running[host] -= 1
        return httpx.Response(200, stream=httpx.ByteStream(b"image"))


def test_a_strangers_host_gets_few_requests_at_once_and_the_operators_any_number() -> None:
    async def run() -> Counter[str]:
        slow = SlowHosts()
        client = httpx.AsyncClient(transport=httpx.MockTransport(slow))
        limits = quick_limits(per_host=2, strangers=3)
        target = Downloader(client, client, limits, CircuitBreakers(clock), clock)
        urls = [(f"https://{host}.example", host == "cdn") for host in ("a", "b", "cdn")]
        tasks = [
            asyncio.create_task(fake.get(target, url, trusted=trusted))
            for url, trusted in urls * 10
        ]
        while slow.running.total() < 13:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert slow.running.total() == 13
        slow.answer.set()
        await asyncio.gather(*tasks)
        return slow.most

    most = asyncio.run(run())
    assert most["cdn.example"] == 10
    assert max(most["a.example"], most["b.example"]) == 2


def test_requests_that_wait_for_a_full_host_are_refused_when_it_fails_meanwhile() -> None:
    """None slips in between a failure and its being counted."""

    async def run() -> tuple[int, list[str]]:
        bench = Bench({PDS: lambda _: httpx.Response(200, content=stalling())})
        bench.target = downloader(bench.hosts, bench.breakers, per_host=1, attempt_timeout=0.05)
        found = await asyncio.gather(*(bench.ask() for _ in range(20)))
        return len(bench.hosts.requests), list(found)

    requests, found = asyncio.run(run())
    assert requests == 3
    assert sum("is not asked before" in reason for reason in found) == 17


class BusyTurn(Turn):
    """A turn that gets a slot for its request, but not soon for what comes after."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0
        self.free = asyncio.Event()

    async def take(self) -> None:
        self.taken += 1
        if self.taken > 1:
            await self.free.wait()


def test_a_failure_counts_before_its_image_goes_on() -> None:
    async def run() -> str:
        bench = Bench({PDS: [503, 503, httpx.ReadTimeout("slow")]})
        await bench.fail(2)
        turn = BusyTurn()
        third = asyncio.create_task(fake.get(bench.target, PDS, trusted=False, turn=turn))
        while turn.taken < 2:
            await asyncio.sleep(0)
        fourth = await bench.ask()
        turn.free.set()
        with pytest.raises(ImageUnavailable):
            await third
        return fourth

    assert "is not asked before" in asyncio.run(run())


def test_what_a_host_sends_instead_of_http_is_hardly_quoted() -> None:
    async def handler(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(range(14, 256)) * 100 + b"\r\n\r\n")

    async def run() -> str:
        async with loopback(handler) as port:
            host = settings(allow_private_network=True, retry_attempts=1)
            async with open_downloader(host) as target:
                with pytest.raises(ImageUnavailable) as caught:
                    await fake.get(target, f"http://127.0.0.1:{port}/", trusted=False)
                return caught.value.reason

    reason = asyncio.run(run())
    assert "RemoteProtocolError" in reason
    assert len(reason) < 250


def test_a_host_that_fails_until_the_time_is_up_has_failed() -> None:
    hosts, breakers = ScriptedHosts({URL: busy("5")}), CircuitBreakers(clock)
    target = downloader(hosts, breakers, longest_wait=60)

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await fake.get(target, URL, trusted=False)
        with pytest.raises(ImageUnavailable, match="is not asked before"):
            await fake.get(target, URL, trusted=False)

    asyncio.run(run())
    assert len(hosts.requests) == 3


def test_a_redirect_to_a_name_that_does_not_decode_is_a_failure_that_may_pass() -> None:
    redirect = httpx.Response(302, headers={"location": "https://xn--0.example/"})
    with pytest.raises(ImageUnavailable, match="IDNAError"):
        get(ScriptedHosts({URL: redirect}))
