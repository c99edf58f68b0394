"""Scripted failures and counted requests."""

import time

import httpx
import pytest

from phash_dagster.sandbox import Failure, Sandbox, images


def test_the_next_requests_fail_and_then_no_more(sandbox: Sandbox, client: httpx.Client) -> None:
    url = f"{sandbox.plc_url}/{sandbox.world.automod.did}"
    sandbox.world.fail_next("plc", 2)

    assert [client.get(url).status_code for _ in range(3)] == [503, 503, 200]


def test_failures_come_in_the_order_asked_for(sandbox: Sandbox, client: httpx.Client) -> None:
    url = f"{sandbox.plc_url}/{sandbox.world.automod.did}"
    sandbox.world.fail_next("plc", 1, Failure(status=500))
    sandbox.world.fail_next("plc", 1, Failure(status=404))

    assert [client.get(url).status_code for _ in range(3)] == [500, 404, 200]


def test_a_failure_names_itself_as_xrpc_errors_do(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.world.fail_next("pds", 1, Failure(status=400, error="Odd", message="odd thing"))

    response = client.get(f"{sandbox.pds_url}/xrpc/_health")

    assert response.json() == {"error": "Odd", "message": "odd thing"}


def test_a_rate_limit_says_when_it_ends(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.world.fail_next("pds", 1, Failure(status=429, retry_after=12))

    response = client.get(f"{sandbox.pds_url}/xrpc/_health")

    assert response.json()["error"] == "RateLimitExceeded"
    assert response.headers["retry-after"] == "12"
    assert response.headers["ratelimit-remaining"] == "0"
    assert response.headers["ratelimit-policy"] == "30;w=300"
    assert int(response.headers["ratelimit-reset"]) > time.time()


def test_a_broken_connection_is_no_answer(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.world.fail_next("cdn", 1, Failure(status=None))

    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"{sandbox.cdn_url}/img/x")


def test_a_slow_answer_is_still_an_answer(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.world.fail_next("pds", 1, Failure(status=200, delay=0.2))
    started = time.monotonic()

    response = client.get(f"{sandbox.pds_url}/xrpc/_health")

    assert response.status_code == 200
    assert time.monotonic() - started >= 0.2


def test_a_failure_can_be_meant_for_some_requests_only(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.world.fail_next("pds", 1, Failure(matching="describeServer"))

    health = client.get(f"{sandbox.pds_url}/xrpc/_health")
    description = client.get(f"{sandbox.pds_url}/xrpc/com.atproto.server.describeServer")

    assert (health.status_code, description.status_code) == (200, 503)


def test_failures_can_be_called_off(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.world.fail_next("pds", 1000)
    sandbox.world.traffic.clear_failures()

    assert client.get(f"{sandbox.pds_url}/xrpc/_health").status_code == 200


def test_requests_are_counted_by_service_and_path(sandbox: Sandbox, client: httpx.Client) -> None:
    author = sandbox.world.create_account("author.test")
    cid = sandbox.world.upload(author, images.encode(images.photo(1)))
    path = f"/img/feed_fullsize/plain/{author.did}/{cid}@jpeg"

    for _ in range(2):
        client.get(f"{sandbox.cdn_url}{path}")
    client.get(f"{sandbox.pds_url}/xrpc/com.atproto.sync.getBlob", params={"cid": cid})

    assert sandbox.world.traffic.requests("cdn") == {path: 2}
    assert sandbox.world.traffic.requests("pds") == {f"/xrpc/com.atproto.sync.getBlob?cid={cid}": 1}
    assert sandbox.world.traffic.requests("plc").total() == 0


def test_what_is_asked_for_can_be_done_though_its_answer_is_lost(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    failure = Failure(status=None, carried_out=True)
    sandbox.world.fail_next("pds", 1, failure)
    account = {"handle": "lost.test", "password": "x"}

    with pytest.raises(httpx.RemoteProtocolError):
        client.post(f"{sandbox.pds_url}/xrpc/com.atproto.server.createAccount", json=account)

    assert sandbox.world.repositories.find("lost.test") is not None


def test_what_is_asked_for_is_done_though_whoever_asked_has_gone(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    sandbox.world.fail_next("pds", 1, Failure(status=200, delay=0.3))
    account = {"handle": "gone.test", "password": "x"}

    with pytest.raises(httpx.ReadTimeout):
        client.post(
            f"{sandbox.pds_url}/xrpc/com.atproto.server.createAccount", json=account, timeout=0.1
        )

    deadline = time.monotonic() + 10
    while sandbox.world.repositories.find("gone.test") is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
