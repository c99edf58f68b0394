"""OzoneClient against the real PDS and Ozone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from phash_dagster.moderation.actions import Action, Event
from phash_dagster.moderation.events import event_type
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.ozone_errors import (
    OzoneLoginRefusedError,
    OzoneMisconfiguredError,
    OzoneRefusedError,
    OzoneUnavailableError,
)
from tests.testnet.actions import NOW, EditedRequests, account, on_account, on_post
from tests.testnet.testnet import Author, Post, Testnet
from tests.testnet.tokens import expired
from tests.testnet.waiting import wait_until

pytestmark = pytest.mark.testnet

DEFS = "tools.ozone.moderation.defs"


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


CONTENT: dict[Event, dict[str, object]] = {
    Event.LABEL: {"createLabelVals": ["spam"], "negateLabelVals": []},
    Event.REPORT: {"reportType": "com.atproto.moderation.defs#reasonSpam"},
    Event.COMMENT: {},
    Event.TAKEDOWN: {},
    Event.NEGATE_LABEL: {"createLabelVals": [], "negateLabelVals": ["spam"]},
    Event.REVERSE_TAKEDOWN: {},
}


def make_possible(client: OzoneClient, action: Action) -> None:
    """Take down what is to be put back."""
    if action.event is Event.REVERSE_TAKEDOWN:
        identifier = f"{action.external_id}-before"
        client.emit(replace(action, event=Event.TAKEDOWN, external_id=identifier))


@pytest.mark.parametrize("event", Event)
def test_an_event_on_a_post_arrives_once_with_all_its_fields(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post, event: Event
) -> None:
    action = on_post(author, post, event)
    make_possible(client, action)
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
    make_possible(client, action)
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
    make_possible(client, action)
    first = client.emit(action)
    second = client.emit(action)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.event_id == first.event_id
    assert len(testnet.query_events(subject=post.uri, types=event_type(event))) == 1


@pytest.mark.parametrize("subject", ["post", "account"])
def test_a_takedown_of_what_somebody_took_down_is_settled(
    client: OzoneClient, author: Author, post: Post, subject: str
) -> None:
    def takedown() -> Action:
        if subject == "post":
            return on_post(author, post, Event.TAKEDOWN)
        return on_account(author.did, Event.TAKEDOWN)

    assert not client.emit(takedown()).by_others
    second = client.emit(takedown())
    assert (second.duplicate, second.by_others) == (True, True)
    assert second.note is not None
    assert "Subject is already taken down" in second.note


def test_the_reversal_of_what_is_not_taken_down_is_settled(
    client: OzoneClient, author: Author
) -> None:
    result = client.emit(on_account(author.did, Event.REVERSE_TAKEDOWN))
    assert (result.duplicate, result.by_others) == (True, True)
    assert "Subject is not taken down" in str(result.note)


def test_labels_of_many_subjects_are_read_those_taken_back_included(
    testnet: Testnet, client: OzoneClient, author: Author, post: Post
) -> None:
    uris = [f"at://{author.did}/app.bsky.feed.post/3n2yxbzslw{number:03}" for number in range(49)]
    client.emit(on_post(author, post, Event.LABEL))
    client.emit(on_account(author.did, Event.LABEL))
    client.emit(on_account(author.did, Event.NEGATE_LABEL))
    found = {label.subject: label for label in client.labels_on([post.uri, author.did, *uris])}
    assert found.keys() == {post.uri, author.did}
    assert (found[post.uri].value, found[post.uri].cid) == ("spam", post.cid)
    assert found[post.uri].is_in_force(NOW)
    assert not found[author.did].is_in_force(NOW)


def test_labels_by_others_are_not_taken_for_the_labelers(
    testnet: Testnet, author: Author, post: Post
) -> None:
    other = replace(account(testnet), labeler_did=testnet.unreachable_labeler_did)
    with OzoneClient(other) as elsewhere, pytest.raises(OzoneUnavailableError):
        elsewhere.labels_on([post.uri])


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
