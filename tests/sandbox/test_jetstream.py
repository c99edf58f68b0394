"""Jetstream, version 1 of its wire: what arrives, filters, connections."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from phash_dagster.jetstream import decode_event
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.jetstream_v1 import Subscription, parse_subscription
from phash_dagster.sandbox.records import LIKE, POST
from phash_dagster.sandbox.xrpc import XrpcError
from tests.sandbox.wire import kinds_of, next_event, open_stream, read

# Events


def test_a_post_arrives_as_a_commit_that_the_pipeline_reads(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    post = sandbox.world.publish_post(author, [b"\xff\xd8\xff one", b"\xff\xd8\xff two"])
    text = json.dumps(read(sandbox)[-1])

    event = decode_event(text, host="sandbox", wanted=frozenset({POST}))

    assert [row.blob_cid for row in event.rows] == list(post.blob_cids)
    assert {(row.uri, row.cid, row.operation) for row in event.rows} == {
        (post.uri, post.cid, "create")
    }


def test_a_deletion_has_neither_record_nor_cid(sandbox: Sandbox) -> None:
    post = sandbox.world.publish_post(sandbox.world.create_account("author.test"))
    sandbox.world.delete_post(post.uri)

    commit = read(sandbox)[-1]["commit"]

    assert commit["operation"] == "delete"
    assert not {"record", "cid"} & set(commit)


def test_an_update_carries_the_new_record(sandbox: Sandbox) -> None:
    post = sandbox.world.publish_post(sandbox.world.create_account("author.test"), text="old")
    changed = sandbox.world.update_post(post, text="new")

    commit = read(sandbox)[-1]["commit"]

    assert (commit["operation"], commit["cid"]) == ("update", changed.cid)
    assert commit["record"]["text"] == "new"
    assert (changed.uri == post.uri, changed.cid == post.cid) == (True, False)


def test_an_account_event_says_what_became_of_it(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.set_account_status(author.did, active=False, status="deleted")

    event = read(sandbox)[-1]

    assert event["kind"] == "account"
    assert (event["account"]["active"], event["account"]["status"]) == (False, "deleted")


def test_times_and_sequence_numbers_rise_together(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    for _ in range(20):
        sandbox.world.publish_post(author)

    events = read(sandbox)

    for name in ("time_us", "cursor"):
        values = [event[name] for event in events]
        assert values == sorted(set(values))
    assert all(event["cursor"] < 10**15 <= event["time_us"] for event in events)


def test_this_version_says_nothing_of_syncs(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.announce_sync(author)

    assert "sync" not in kinds_of(read(sandbox, ("wantedDids", author.did)))


def test_a_raw_frame_reaches_everyone_as_it_is(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_url, [("wantedCollections", POST)]) as connection:
        sandbox.world.publish_raw('{"not": json')

        assert connection.recv(timeout=5) == '{"not": json'


def test_events_of_another_source_are_served_as_they_came(sandbox: Sandbox) -> None:
    commit = {"rev": "3k", "operation": "delete", "collection": POST, "rkey": "3k"}
    hour_ago = microseconds(datetime.now(UTC) - timedelta(hours=1))
    event = {"did": "did:plc:x", "time_us": hour_ago, "kind": "commit"}

    sandbox.world.push_event({**event, "commit": commit})

    served = read(sandbox)[0]
    del served["cursor"]
    assert served == {**event, "commit": commit}


# Filters


def test_only_wanted_collections_arrive_and_account_and_identity_events(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.like(author, sandbox.world.publish_post(author))

    kinds = kinds_of(read(sandbox, ("wantedCollections", POST)))

    assert kinds == ["identity", "account", "identity", "account", POST]


def test_a_wildcard_wants_every_collection_below(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.like(author, sandbox.world.publish_post(author))
    sandbox.world.publish_record(author, {"$type": "app.example.x"}, collection="app.example.x")

    kinds = kinds_of(read(sandbox, ("wantedCollections", "app.bsky.feed.*")))

    assert kinds[-2:] == [POST, LIKE]


def test_only_wanted_accounts_arrive(sandbox: Sandbox) -> None:
    one, other = (sandbox.world.create_account(f"{name}.test") for name in ("one", "other"))
    for author in (one, other):
        sandbox.world.publish_post(author)

    events = read(sandbox, ("wantedDids", other.did))

    assert {event["did"] for event in events} == {other.did}
    assert kinds_of(events) == ["identity", "account", POST]


def test_events_above_the_size_limit_are_skipped_silently(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    sandbox.world.publish_post(author, text="x" * 5000)
    small = sandbox.world.publish_post(author)

    events = read(sandbox, ("wantedCollections", POST), ("maxMessageSizeBytes", 2000))

    commits = [event["commit"]["cid"] for event in events if "commit" in event]
    assert commits == [small.cid]


@pytest.mark.parametrize(
    ("name", "value"),
    [("wantedCollections", "posts"), ("wantedDids", "alice"), ("cursor", "yesterday")],
)
def test_a_bad_parameter_is_refused_before_the_upgrade(
    sandbox: Sandbox, name: str, value: str
) -> None:
    with (
        pytest.raises(InvalidStatus) as caught,
        open_stream(sandbox.jetstream_url, [(name, value)]),
    ):
        pass

    response = caught.value.response
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/plain")


def test_parameters_of_other_hosts_are_ignored() -> None:
    others = {"compress": ["false"], "requireHello": ["false"], "kinds": ["likes"]}
    assert parse_subscription(others) == Subscription()


@pytest.mark.parametrize("value", ["-1", "many", "99999999999"])
def test_a_size_limit_that_is_none_is_no_limit(value: str) -> None:
    assert parse_subscription({"maxMessageSizeBytes": [value]}).max_bytes == 0


def test_too_many_collections_are_refused() -> None:
    with pytest.raises(XrpcError, match="too many"):
        parse_subscription({"wantedCollections": [f"app.example.n{n}" for n in range(101)]})


# Connections


def test_many_clients_get_the_same(sandbox: Sandbox) -> None:
    author = sandbox.world.create_account("author.test")
    with open_stream(sandbox.jetstream_url) as first, open_stream(sandbox.jetstream_url) as second:
        sandbox.world.publish_post(author)

        assert next_event(first) == next_event(second)


def test_compression_is_offered(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_url) as connection:
        assert connection.response is not None
        extensions = connection.response.headers.get("Sec-WebSocket-Extensions", "")

    assert "permessage-deflate" in extensions


def test_connections_are_closed_when_told_and_can_be_opened_again(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_url) as connection:
        sandbox.world.drop_connections()

        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
    assert read(sandbox)


def test_a_host_that_fails_refuses_the_upgrade(sandbox: Sandbox) -> None:
    sandbox.world.fail_next("jetstream", 1, Failure(status=503))

    with pytest.raises(InvalidStatus) as caught, open_stream(sandbox.jetstream_url):
        pass

    assert caught.value.response.status_code == 503
    assert read(sandbox)


def test_a_client_that_leaves_is_forgotten(sandbox: Sandbox) -> None:
    with open_stream(sandbox.jetstream_url):
        pass

    assert _eventually(lambda: not sandbox.world.events.has_listeners)


def _eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
