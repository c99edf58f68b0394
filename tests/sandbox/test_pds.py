"""The PDS, as far as no contract test can script real servers: blobs, statuses, a broken Ozone."""

from typing import Any

import httpx
import pytest

from phash_dagster.sandbox import Account, Failure, Sandbox
from phash_dagster.sandbox.identifiers import blob_cid
from phash_dagster.sandbox.repositories import Status

IMAGE = b"\xff\xd8\xff an image"


def _get_blob(sandbox: Sandbox, client: httpx.Client, did: str, cid: str) -> httpx.Response:
    url = f"{sandbox.pds_url}/xrpc/com.atproto.sync.getBlob"
    return client.get(url, params={"did": did, "cid": cid})


def _session(sandbox: Sandbox, client: httpx.Client) -> dict[str, Any]:
    automod = sandbox.world.automod
    body = {"identifier": automod.handle, "password": automod.password}
    response = client.post(f"{sandbox.pds_url}/xrpc/com.atproto.server.createSession", json=body)
    session: dict[str, Any] = response.raise_for_status().json()
    return session


def _query_events(sandbox: Sandbox, client: httpx.Client, token: str) -> httpx.Response:
    headers = {
        "authorization": f"Bearer {token}",
        "atproto-proxy": f"{sandbox.world.labeler_did}#atproto_labeler",
    }
    url = f"{sandbox.pds_url}/xrpc/tools.ozone.moderation.queryEvents"
    return client.get(url, headers=headers)


@pytest.fixture
def author(sandbox: Sandbox) -> Account:
    return sandbox.world.create_account("author.test")


def test_a_blob_is_served_as_it_was_uploaded(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    post = sandbox.world.publish_post(author, [IMAGE])

    response = _get_blob(sandbox, client, author.did, post.blob_cids[0])

    assert response.content == IMAGE
    assert blob_cid(response.content) == post.blob_cids[0]
    assert response.headers["content-type"] == "image/jpeg"


def test_a_blob_goes_with_its_last_post(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    first, second = (sandbox.world.publish_post(author, [IMAGE]) for _ in range(2))
    cid = first.blob_cids[0]

    sandbox.world.delete_post(first.uri)
    assert _get_blob(sandbox, client, author.did, cid).status_code == 200
    sandbox.world.delete_post(second.uri)

    response = _get_blob(sandbox, client, author.did, cid)
    assert (response.status_code, response.json()["message"]) == (400, "Blob not found")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("deleted", "RepoNotFound"),
        ("takendown", "RepoTakendown"),
        ("suspended", "RepoTakendown"),
        ("deactivated", "RepoDeactivated"),
    ],
)
def test_an_account_that_is_gone_serves_no_blobs(
    sandbox: Sandbox, author: Account, client: httpx.Client, status: Status, error: str
) -> None:
    post = sandbox.world.publish_post(author, [IMAGE])
    sandbox.world.set_account_status(author.did, active=False, status=status)

    response = _get_blob(sandbox, client, author.did, post.blob_cids[0])

    assert (response.status_code, response.json()["error"]) == (400, error)


def test_an_account_that_comes_back_serves_its_blobs_again(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    post = sandbox.world.publish_post(author, [IMAGE])
    sandbox.world.set_account_status(author.did, active=False, status="deactivated")
    sandbox.world.set_account_status(author.did, active=True)

    assert _get_blob(sandbox, client, author.did, post.blob_cids[0]).status_code == 200


def test_an_expired_session_is_told_so_and_can_be_renewed(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    session = _session(sandbox, client)
    sandbox.world.sessions.expire()

    refused = _query_events(sandbox, client, session["accessJwt"])
    renewed = client.post(
        f"{sandbox.pds_url}/xrpc/com.atproto.server.refreshSession",
        headers={"authorization": f"Bearer {session['refreshJwt']}"},
    ).json()

    assert (refused.status_code, refused.json()["error"]) == (400, "ExpiredToken")
    assert _query_events(sandbox, client, renewed["accessJwt"]).status_code == 200


def test_an_account_taken_down_cannot_sign_in(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    sandbox.world.set_account_status(author.did, active=False, status="takendown")
    body = {"identifier": author.handle, "password": author.password}

    response = client.post(f"{sandbox.pds_url}/xrpc/com.atproto.server.createSession", json=body)

    assert (response.status_code, response.json()["error"]) == (401, "AccountTakedown")


@pytest.mark.parametrize(
    ("failure", "status", "error"),
    [
        (Failure(status=500), 502, "InternalServerError"),
        (Failure(status=503), 503, "NotEnoughResources"),
        (Failure(status=None), 502, "UpstreamFailure"),
    ],
    ids=["breaks", "busy", "breaks off"],
)
def test_a_broken_ozone_looks_through_the_pds_as_the_real_one_does(
    sandbox: Sandbox, client: httpx.Client, failure: Failure, status: int, error: str
) -> None:
    token = _session(sandbox, client)["accessJwt"]
    sandbox.world.fail_next("ozone", 1, failure)

    response = _query_events(sandbox, client, token)

    assert (response.status_code, response.json()["error"]) == (status, error)
    assert _query_events(sandbox, client, token).status_code == 200


def test_an_ozone_that_cannot_be_reached_is_an_upstream_failure(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    token = _session(sandbox, client)["accessJwt"]
    sandbox.world.other_labeler_endpoint = "http://127.0.0.1:1"

    response = _query_events(sandbox, client, token)

    assert (response.status_code, response.json()["error"]) == (502, "UpstreamFailure")


def test_an_ozone_that_asks_to_wait_is_heard_through_the_pds(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    token = _session(sandbox, client)["accessJwt"]
    sandbox.world.fail_next("ozone", 1, Failure(status=429, retry_after=7))

    response = _query_events(sandbox, client, token)

    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


def test_a_handle_is_given_once(sandbox: Sandbox, author: Account, client: httpx.Client) -> None:
    response = client.post(
        f"{sandbox.pds_url}/xrpc/com.atproto.server.createAccount",
        json={"handle": author.handle, "password": "secret", "email": "a@mail.test"},
    )

    assert (response.status_code, response.json()["error"]) == (400, "HandleNotAvailable")


def test_nobody_writes_into_anothers_repository(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    token = _session(sandbox, client)["accessJwt"]
    body = {"repo": author.did, "collection": "app.bsky.feed.post", "record": {}}

    response = client.post(
        f"{sandbox.pds_url}/xrpc/com.atproto.repo.createRecord",
        json=body,
        headers={"authorization": f"Bearer {token}"},
    )

    assert response.status_code == 401
