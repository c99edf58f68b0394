import asyncio
from collections.abc import Sequence
from datetime import timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.http import USER_AGENT, async_client, client, retry_after_seconds
from phash_dagster.images.model import ImageRejected, Outcome
from tests.images.hosts import NOW, answer, loopback, settings


async def echo(head: str, writer: asyncio.StreamWriter) -> None:
    """Answers with the request's head, sets a cookie and redirects elsewhere."""
    writer.write(answer(302, head.encode(), "Set-Cookie: a=b", "Location: /elsewhere"))


def get(path: str = "/", *, guarded: bool = False, allow_private: bool = True) -> httpx.Response:
    async def run() -> httpx.Response:
        chosen = settings(allow_private_network=allow_private)
        async with loopback(echo) as port, async_client(chosen, guarded=guarded) as http:
            await http.get(f"http://127.0.0.1:{port}{path}")
            return await http.get(f"http://127.0.0.1:{port}{path}")

    return asyncio.run(run())


@pytest.mark.parametrize("guarded", [False, True])
def test_a_request_names_the_tool_and_its_version(guarded: bool) -> None:
    assert f"user-agent: {USER_AGENT}".lower() in get(guarded=guarded).text.lower()


@pytest.mark.parametrize("guarded", [False, True])
def test_redirects_are_not_followed(guarded: bool) -> None:
    assert get(guarded=guarded).status_code == 302


@pytest.mark.parametrize("guarded", [False, True])
def test_cookies_are_not_kept(guarded: bool) -> None:
    assert "cookie" not in get(guarded=guarded).text.lower()


@pytest.mark.parametrize("guarded", [False, True])
def test_proxy_variables_are_ignored(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert get(guarded=guarded).status_code == 302


def test_a_guarded_client_refuses_loopback() -> None:
    with pytest.raises(ImageRejected) as caught:
        get(guarded=True, allow_private=False)
    assert caught.value.outcome is Outcome.blocked


def test_a_guarded_client_checks_the_addresses_that_its_resolver_gives() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["169.254.169.254"]

    async def run() -> None:
        async with async_client(settings(), guarded=True, resolver=resolver) as http:
            await http.get("https://pds.example/")

    with pytest.raises(ImageRejected, match=r"pds\.example is at 169\.254\.169\.254, a link-local"):
        asyncio.run(run())


def test_an_unguarded_client_reaches_an_operators_private_host() -> None:
    assert get(guarded=False, allow_private=False).status_code == 302


def test_the_synchronous_client_has_the_same_manners() -> None:
    with client(settings(blob_download_timeout_secs=3)) as http:
        assert http.headers["user-agent"] == USER_AGENT
        assert not http.follow_redirects
        assert not http.trust_env
        assert http.timeout == httpx.Timeout(3)


def test_connecting_has_a_shorter_time_out_than_downloading() -> None:
    with client(settings()) as http:
        assert http.timeout == httpx.Timeout(10, connect=5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"ratelimit-reset": "20"}, 20),
        ({"ratelimit-reset": str(int(NOW.timestamp()) + 45)}, 45),
        ({"ratelimit-reset": str(int(NOW.timestamp()) - 45)}, 0),
        ({"retry-after": "3", "ratelimit-reset": "20"}, 3),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(httpx.Headers(headers), NOW) == seconds


@given(st.text(), st.text())
def test_nonsense_in_the_headers_never_raises(retry_after: str, reset: str) -> None:
    headers = httpx.Headers(
        {b"retry-after": retry_after.encode(), b"ratelimit-reset": reset.encode()}
    )
    wait = retry_after_seconds(headers, NOW)
    assert wait is None or wait >= 0
