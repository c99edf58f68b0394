"""OzoneClient against the real PDS and Ozone."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import SecretStr

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.events import event_type
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.ozone_errors import (
    OzoneLoginRefusedError,
    OzoneMisconfiguredError,
    OzoneRefusedError,
    OzoneUnavailableError,
)
from phash_dagster.moderation.pds_session import OzoneAccount
from tests.testnet.network import TeamAccount
from tests.testnet.testnet import Author, Post, Testnet
from tests.testnet.tokens import expired
from tests.testnet.waiting import wait_until

pytestmark = pytest.mark.testnet

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
DEFS = "tools.ozone.moderation.defs"
_numbers = itertools.count(1)

Edit = Callable[[httpx.Request], None]


class EditedRequests(httpx.HTTPTransport):
    """Real requests, some with something changed on their way."""

    def __init__(self, edit: Edit) -> None:
        super().__init__()
        self._edit = edit

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._edit(request)
        return super().handle_request(request)


def account(testnet: Testnet, member: TeamAccount | Author | None = None) -> OzoneAccount:
    member = member or testnet.automod
    return OzoneAccount(
        testnet.pds_url, member.handle, SecretStr(member.password), testnet.labeler_did
    )


@pytest.fixture(scope="module")
def client(testnet: Testnet) -> Iterator[OzoneClient]:
    with OzoneClient(account(testnet)) as ozone:
        yield ozone


@pytest.fixture
def author(testnet: Testnet) -> Author:
    return testnet.create_author()


@pytest.fixture
def post(testnet: Testnet, author: Author, jpeg: bytes) -> Post:
    return testnet.create_post(author, [testnet.upload_blob(author, jpeg, "image/jpeg")])


def on_account(did: str, event: Event) -> Action:
    """An action on an account, with an `externalId` of its own."""
    return Action(
        external_id=f"phash-dagster:test-{next(_numbers)}",
        subject_uri=None,
        subject_did=did,
        subject_cid=None,
        source_uri=f"at://{did}/app.bsky.feed.post/3n2yxbzslwk2r",
        blob_cids=(),
        event=event,
        value="" if event is Event.TAKEDOWN else "spam",
        rule_id="rule-1",
        rule_version="0" * 64,
        rule_hash="0707070707070707",
        distance=3,
        comment="a comment with ümläuts",
        report_reason="com.atproto.moderation.defs#reasonSpam",
        lane="live",
        mode="live",
        state=State.SENDING,
        reason=None,
        batch_id="batch-1",
        run_id="run-1",
        planned_at=NOW,
    )


def on_post(author: Author, post: Post, event: Event) -> Action:
    """The same on a post and its images."""
    return replace(
        on_account(author.did, event),
        subject_uri=post.uri,
        subject_cid=post.cid,
        source_uri=post.uri,
        blob_cids=post.blob_cids,
    )


CONTENT: dict[Event, dict[str, object]] = {
    Event.LABEL: {"createLabelVals": ["spam"], "negateLabelVals": []},
    Event.REPORT: {"reportType": "com.atproto.moderation.defs#reasonSpam"},
    Event.COMMENT: {},
    Event.TAKEDOWN: {},
}


@pytest.mark.parametrize("event", Event)
def test_an_event_on_a_post_arrives_once_with_all_its_fields(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post, event: Event
) -> None:
    action = on_post(author, post, event)
    result = client.emit(action)
    (found,) = testnet.query_events(subject=post.uri, types=event_type(event))
    assert found["id"] == result.event_id
    assert found["event"].items() >= CONTENT[event].items()
    assert found["event"]["comment"] == action.comment
    assert found["subject"] == {
        "$type": "com.atproto.repo.strongRef",
        "uri": post.uri,
        "cid": post.cid,
    }
    assert found["subjectBlobCids"] == list(post.blob_cids)
    assert found["createdBy"] == testnet.automod.did
    assert found["modTool"]["name"] == "phash-dagster"
    assert found["modTool"]["meta"].items() >= {"rule": "rule-1", "distance": 3}.items()


@pytest.mark.parametrize("event", Event)
def test_an_event_on_an_account_arrives_once_with_all_its_fields(
    testnet: Testnet, client: OzoneClient, author: Author, event: Event
) -> None:
    action = on_account(author.did, event)
    result = client.emit(action)
    (found,) = testnet.query_events(subject=author.did, types=event_type(event))
    assert found["id"] == result.event_id
    assert found["event"].items() >= CONTENT[event].items()
    assert found["event"]["comment"] == action.comment
    assert found["subject"] == {"$type": "com.atproto.admin.defs#repoRef", "did": author.did}


def test_a_label_on_a_post_is_in_force(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post
) -> None:
    client.emit(on_post(author, post, Event.LABEL))
    (label,) = testnet.query_labels(post.uri)
    assert (label["src"], label["uri"], label["cid"], label["val"]) == (
        testnet.labeler_did,
        post.uri,
        post.cid,
        "spam",
    )


def test_a_label_on_an_account_is_in_force(
    testnet: Testnet, client: OzoneClient, author: Author
) -> None:
    client.emit(on_account(author.did, Event.LABEL))
    (label,) = testnet.query_labels(author.did)
    assert (label["uri"], label["val"], label.get("cid")) == (author.did, "spam", None)


def test_a_report_makes_the_subject_wait_for_review(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post
) -> None:
    client.emit(on_post(author, post, Event.REPORT))
    (status,) = testnet.query_statuses(post.uri)
    assert status["reviewState"] == f"{DEFS}#reviewOpen"


def test_a_takedown_of_a_post_labels_it_and_withholds_its_blobs(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post
) -> None:
    client.emit(on_post(author, post, Event.TAKEDOWN))
    assert [label["val"] for label in testnet.query_labels(post.uri)] == ["!takedown"]
    # Ozone tells the PDS after it has answered.
    assert wait_until(lambda: testnet.get_blob(author.did, post.blob_cids[0]).status_code == 400)


@pytest.mark.parametrize("event", Event)
def test_the_same_action_sent_twice_counts_as_sent_and_leaves_one_event(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post, event: Event
) -> None:
    action = on_post(author, post, event)
    first = client.emit(action)
    second = client.emit(action)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.event_id == first.event_id
    assert len(testnet.query_events(subject=post.uri, types=event_type(event))) == 1


@pytest.mark.parametrize("subject", ["post", "account"])
def test_a_takedown_of_what_is_taken_down_counts_as_sent(
    client: OzoneClient, author: Author, post: Post, subject: str
) -> None:
    def takedown() -> Action:
        if subject == "post":
            return on_post(author, post, Event.TAKEDOWN)
        return on_account(author.did, Event.TAKEDOWN)

    client.emit(takedown())
    second = client.emit(takedown())
    assert second.duplicate
    assert second.note is not None
    assert "Subject is already taken down" in second.note


def test_an_event_is_found_by_its_action_and_not_by_another(
    client: OzoneClient, author: Author, post: Post
) -> None:
    sent, unsent = (on_post(author, post, Event.LABEL) for _ in range(2))
    result = client.emit(sent)
    assert client.find_event(sent) == result.event_id
    assert client.find_event(unsent) is None


@pytest.mark.parametrize("value", ["two words", "a,b", "a;b", "a'b", 'a"b'])
def test_a_label_that_is_none_is_refused_for_good(
    client: OzoneClient, author: Author, post: Post, value: str
) -> None:
    action = replace(on_post(author, post, Event.LABEL), value=value)
    with pytest.raises(OzoneRefusedError, match="Invalid label"):
        client.emit(action)


def test_a_bad_cid_is_refused_for_good(client: OzoneClient, author: Author, post: Post) -> None:
    action = replace(on_post(author, post, Event.LABEL), subject_cid="nonsense")
    with pytest.raises(OzoneRefusedError, match="cid"):
        client.emit(action)


def test_an_account_without_a_role_is_a_matter_of_settings(
    testnet: Testnet, author: Author
) -> None:
    with (
        OzoneClient(account(testnet, author)) as client,
        pytest.raises(OzoneMisconfiguredError, match="AUTOMOD_HANDLE"),
    ):
        client.emit(on_account(author.did, Event.LABEL))


def test_a_label_by_a_triage_account_is_a_matter_of_settings(
    testnet: Testnet, author: Author
) -> None:
    with (
        OzoneClient(account(testnet, testnet.triage)) as client,
        pytest.raises(OzoneMisconfiguredError, match="full moderator"),
    ):
        client.emit(on_account(author.did, Event.LABEL))


def test_a_report_by_a_triage_account_arrives(testnet: Testnet, author: Author) -> None:
    with OzoneClient(account(testnet, testnet.triage)) as client:
        assert client.emit(on_account(author.did, Event.REPORT)).event_id is not None


def test_a_wrong_password_is_a_refused_login(testnet: Testnet, author: Author) -> None:
    wrong = replace(account(testnet), password=SecretStr("wrong-wrong-wrong"))
    with (
        OzoneClient(wrong) as client,
        pytest.raises(OzoneLoginRefusedError, match="AUTOMOD_PASSWORD"),
    ):
        client.emit(on_account(author.did, Event.LABEL))


@pytest.mark.parametrize("labeler", ["did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "the author"])
def test_a_did_that_names_no_labeler_is_a_matter_of_settings(
    testnet: Testnet, author: Author, labeler: str
) -> None:
    did = author.did if labeler == "the author" else labeler
    with (
        OzoneClient(replace(account(testnet), labeler_did=did)) as client,
        pytest.raises(OzoneMisconfiguredError, match="LABELER_DID"),
    ):
        client.emit(on_account(author.did, Event.LABEL))


def test_an_ozone_that_cannot_be_reached_is_unavailable(testnet: Testnet, author: Author) -> None:
    unreachable = replace(account(testnet), labeler_did=testnet.unreachable_labeler_did)
    with OzoneClient(unreachable) as client, pytest.raises(OzoneUnavailableError, match="502"):
        client.emit(on_account(author.did, Event.LABEL))


@pytest.mark.parametrize("token", ["expired", "garbage"])
def test_a_token_that_is_no_longer_accepted_is_replaced_and_the_event_arrives_once(
    testnet: Testnet, author: Author, token: str
) -> None:
    stale: list[str] = ["one request"]

    def spoil_once(request: httpx.Request) -> None:
        if request.url.path.endswith("emitEvent") and stale:
            stale.clear()
            _, _, fresh = request.headers["authorization"].partition(" ")
            old = expired(fresh, testnet.pds_secrets.jwt_secret)
            request.headers["authorization"] = f"Bearer {old if token == 'expired' else token}"

    with OzoneClient(account(testnet), transport=EditedRequests(spoil_once)) as client:
        client.emit(on_account(author.did, Event.LABEL))
    assert not stale
    assert len(testnet.query_events(subject=author.did, types=event_type(Event.LABEL))) == 1


def test_too_many_logins_are_answered_with_the_seconds_to_wait(
    testnet: Testnet, author: Author
) -> None:
    elsewhere = {"x-forwarded-for": "203.0.113.7"}  # the PDS limits nobody on loopback
    body = {"identifier": "stranger.test", "password": "guess"}
    login = f"{testnet.pds_url}/xrpc/com.atproto.server.createSession"
    with ThreadPoolExecutor(max_workers=30) as pool:  # the PDS refuses a login slowly
        requests = [
            pool.submit(testnet.http.post, login, json=body, headers=elsewhere) for _ in range(30)
        ]
    assert {request.result().status_code for request in requests} == {401}

    stranger = replace(account(testnet), handle="stranger.test")
    transport = EditedRequests(lambda request: request.headers.update(elsewhere))
    with (
        OzoneClient(stranger, transport=transport) as client,
        pytest.raises(OzoneUnavailableError, match="429") as caught,
    ):
        client.emit(on_account(author.did, Event.LABEL))
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 300
