"""What a PDS and a PLC directory answer: sessions, the way to Ozone, blobs, DID documents."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from phash_dagster.clock import utc_now
from phash_dagster.moderation.rate_limit import RateLimit
from tests.contract.network import (
    GET_BLOB,
    MODERATION,
    Answer,
    Json,
    Network,
    label,
    picture,
    reverse_takedown,
    takedown,
)
from tests.testnet.tokens import expired

pytestmark = pytest.mark.slow

SESSION = "com.atproto.server."


def _session(network: Network) -> Json:
    member = network.addresses.members["moderator"]
    return network.sign_in(member.handle, member.password).body


# Sessions


def test_an_app_password_opens_a_session(network: Network) -> None:
    member = network.addresses.members["moderator"]

    session = _session(network)

    assert (session["did"], session["handle"]) == (member.did, member.handle)
    view = network.get(SESSION + "getSession", {}, token=session["accessJwt"])
    assert view.body["did"] == member.did


def test_a_did_signs_in_as_its_handle_does(network: Network) -> None:
    member = network.addresses.members["moderator"]

    assert network.sign_in(member.did, member.password).status == 200


@pytest.mark.parametrize("identifier", ["moderator", "nobody.test"])
def test_a_wrong_password_and_an_unknown_handle_look_the_same(
    network: Network, identifier: str
) -> None:
    handle = network.addresses.members["moderator"].handle
    answer = network.sign_in(handle if identifier == "moderator" else identifier, "wrong")

    assert (answer.status, answer.error) == (401, "AuthenticationRequired")
    assert answer.message == "Invalid identifier or password"


def test_a_refresh_token_opens_another_session(network: Network) -> None:
    session = _session(network)

    answer = network.post(SESSION + "refreshSession", None, token=session["refreshJwt"])

    assert answer.status == 200
    assert network.get(SESSION + "getSession", {}, token=answer.body["accessJwt"]).status == 200


def test_a_closed_session_cannot_be_refreshed(network: Network) -> None:
    token = _session(network)["refreshJwt"]
    assert network.post(SESSION + "deleteSession", None, token=token).status == 200

    answer = network.post(SESSION + "refreshSession", None, token=token)

    assert (answer.status, answer.error) == (400, "ExpiredToken")


@pytest.mark.parametrize(
    ("method", "token"), [("refreshSession", "accessJwt"), ("deleteSession", "accessJwt")]
)
def test_an_access_token_is_no_refresh_token(network: Network, method: str, token: str) -> None:
    answer = network.post(SESSION + method, None, token=_session(network)[token])

    assert (answer.status, answer.error) == (400, "InvalidToken")


def test_a_token_that_is_none_is_refused(network: Network) -> None:
    answer = network.get(SESSION + "getSession", {}, token="garbage")

    assert (answer.status, answer.error) == (400, "InvalidToken")


def test_no_token_at_all_is_refused(network: Network) -> None:
    answer = network.get(SESSION + "getSession", {})

    assert (answer.status, answer.error) == (401, "AuthMissing")


# The way to Ozone


def _emit(network: Network, *, token: str | None = None, proxy: str | None = None) -> Answer:
    body = {
        "event": label("spam"),
        "subject": network.new_post(),
        "createdBy": network.new_author(),
    }
    return network.post(MODERATION + "emitEvent", body, token=token, proxy=proxy)


def test_a_garbage_token_does_not_reach_ozone(network: Network) -> None:
    answer = _emit(network, token="garbage", proxy=network.labeler)

    assert (answer.status, answer.error) == (400, "InvalidToken")


def test_a_labeler_that_does_not_exist_cannot_be_resolved(network: Network) -> None:
    proxy = f"{network.new_author()}#atproto_labeler"

    answer = _emit(network, token=network.token("moderator"), proxy=proxy)

    assert (answer.status, answer.message) == (400, "could not resolve proxy did")


def test_a_service_that_does_not_exist_cannot_be_resolved(network: Network) -> None:
    proxy = f"{network.addresses.labeler_did}#nothing"

    answer = _emit(network, token=network.token("moderator"), proxy=proxy)

    assert (answer.status, answer.message) == (400, "could not resolve proxy did service url")


@pytest.mark.parametrize("proxy", ["{did}", "{did}#", "#atproto_labeler"])
def test_a_proxy_header_that_is_not_complete_is_refused(network: Network, proxy: str) -> None:
    proxy = proxy.format(did=network.addresses.labeler_did)

    answer = _emit(network, token=network.token("moderator"), proxy=proxy)

    assert (answer.status, answer.error) == (400, "InvalidRequest")


def test_a_proxy_header_that_names_no_did_breaks_the_pds(network: Network) -> None:
    answer = _emit(network, token=network.token("moderator"), proxy="labeler#atproto_labeler")

    assert (answer.status, answer.error) == (500, "InternalServerError")


def test_without_a_proxy_header_ozones_methods_reach_the_pdss_own_labeler(
    network: Network,
) -> None:
    assert _emit(network, token=network.token("moderator")).status == 200


def test_a_session_needs_a_password(network: Network) -> None:
    answer = network.post(SESSION + "createSession", {"identifier": "a.test"}, token=None)

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert "password" in answer.message


def test_a_pds_describes_itself(network: Network) -> None:
    answer = network.get(SESSION + "describeServer", {})

    assert answer.status == 200
    assert answer.body["availableUserDomains"] == [".test"]


def test_a_method_of_no_service_is_refused(network: Network) -> None:
    answer = network.get("com.example.unknown", {})

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert "com.example.unknown" in answer.message


def test_an_access_token_that_expired_is_a_bad_request_and_does_not_reach_ozone(
    network: Network,
) -> None:
    token = expired(_session(network)["accessJwt"], network.addresses.jwt_secret)

    answer = _emit(network, token=token, proxy=network.labeler)

    assert (answer.status, answer.error) == (400, "ExpiredToken")
    assert network.get(SESSION + "getSession", {}, token=token).error == "ExpiredToken"


def test_a_session_whose_access_token_expired_can_be_refreshed(network: Network) -> None:
    session = _session(network)

    answer = network.post(SESSION + "refreshSession", None, token=session["refreshJwt"])

    assert _emit(network, token=answer.body["accessJwt"], proxy=network.labeler).status == 200


def test_two_processes_may_refresh_one_session_at_about_the_same_time(network: Network) -> None:
    token = _session(network)["refreshJwt"]

    answers = [network.post(SESSION + "refreshSession", None, token=token) for _ in range(2)]

    for answer in answers:
        assert answer.status == 200
        view = network.get(SESSION + "getSession", {}, token=answer.body["accessJwt"])
        assert view.status == 200


def test_a_refresh_token_that_expired_is_a_bad_request(network: Network) -> None:
    token = expired(_session(network)["refreshJwt"], network.addresses.jwt_secret, days=91)

    answer = network.post(SESSION + "refreshSession", None, token=token)

    assert (answer.status, answer.error) == (400, "ExpiredToken")


# Limits: nobody on loopback is limited, only who claims another address


def test_the_thirty_first_login_in_five_minutes_is_one_too_many(network: Network) -> None:
    address, handle = "203.0.113.31", f"{network.new_author()[-12:]}.test"
    with ThreadPoolExecutor(30) as pool:  # a PDS refuses a login slowly
        logins = [pool.submit(network.sign_in, handle, "x", address=address) for _ in range(30)]
    assert {login.result().status for login in logins} == {401}

    answer = network.sign_in(handle, "x", address=address)

    assert (answer.status, answer.error) == (429, "RateLimitExceeded")
    assert 0 < int(answer.headers["retry-after"]) <= 300
    limit = RateLimit.of(httpx.Headers(answer.headers), utc_now())
    assert limit is not None
    assert (limit.limit, limit.remaining) == (30, 0)
    assert 0 < limit.seconds <= 300
    assert network.sign_in(handle, "x", address="203.0.113.32").status == 401
    assert network.sign_in(f"a{handle}", "x", address=address).status == 401


def test_an_event_that_is_passed_on_says_how_many_requests_are_left(network: Network) -> None:
    body = {"event": label("spam"), "subject": network.new_post(), "createdBy": network.labeler}
    body["createdBy"] = network.addresses.members["moderator"].did

    def emit() -> Answer:
        return network.post(
            MODERATION + "emitEvent",
            body,
            token=network.token("moderator"),
            proxy=network.labeler,
            address="203.0.113.33",
        )

    limits = [RateLimit.of(httpx.Headers(emit().headers), utc_now()) for _ in range(2)]

    assert [limit and (limit.limit, limit.remaining) for limit in limits] == [
        (3000, 2999),
        (3000, 2998),
    ]


def test_all_calls_of_an_address_are_limited_too(network: Network) -> None:
    address, token = "203.0.113.34", network.token("moderator")

    def call() -> Answer:
        # The cheapest: a method that no service is configured for.
        return network.post("com.example.unknown", {}, token=token, address=address)

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call) for _ in range(3000)]
    assert 429 not in {made.result().status for made in calls}

    answer = call()

    assert (answer.status, answer.error) == (429, "RateLimitExceeded")
    assert answer.headers["ratelimit-limit"] == "3000"
    assert answer.headers["ratelimit-policy"] == "3000;w=300"


def test_nobody_on_loopback_is_limited(network: Network) -> None:
    answer = network.get(SESSION + "describeServer", {})

    assert not [name for name in answer.headers if name.lower().startswith("ratelimit")]


# Blobs


def test_a_blob_that_does_not_exist_is_a_bad_request(network: Network) -> None:
    did = network.addresses.members["moderator"].did

    answer = network.get(GET_BLOB, {"did": did, "cid": network.new_blob()})

    assert (answer.status, answer.message) == (400, "Blob not found")


def test_a_blob_of_an_unknown_account_is_a_bad_request(network: Network) -> None:
    answer = network.get(GET_BLOB, {"did": network.new_author(), "cid": network.new_blob()})

    assert (answer.status, answer.error) == (400, "RepoNotFound")


@pytest.mark.parametrize("name", ["did", "cid"])
def test_a_blob_without_a_proper_address_is_a_bad_request(network: Network, name: str) -> None:
    did = network.addresses.members["moderator"].did
    parameters = {"did": did, "cid": network.new_blob(), name: "x"}

    answer = network.get(GET_BLOB, parameters)

    assert (answer.status, answer.error) == (400, "InvalidRequest")


def test_a_blob_is_served_once_a_record_names_it(network: Network) -> None:
    blob = network.upload(picture(10), "image/jpeg", by="stranger")
    cid, did = blob["ref"]["$link"], network.addresses.members["stranger"].did

    before = network.get(GET_BLOB, {"did": did, "cid": cid}).status
    network.publish(blob)

    assert (before, network.wait_for_blob(cid, 200)) == (400, 200)


def test_a_takedown_withholds_the_blobs_it_names_until_it_is_reversed(network: Network) -> None:
    blob = network.upload(picture(20), "image/jpeg", by="stranger")
    cid, post = blob["ref"]["$link"], network.publish(blob)

    network.emit(takedown(), post, subjectBlobCids=[cid])
    during = network.wait_for_blob(cid, 400)
    network.emit(reverse_takedown(), post)

    assert (during, network.wait_for_blob(cid, 200)) == (400, 200)


# DID documents


def test_an_accounts_did_document_names_its_pds(network: Network) -> None:
    member = network.addresses.members["moderator"]

    document = network.did_document(member.did).body

    assert document["id"] == member.did
    assert f"at://{member.handle}" in document["alsoKnownAs"]
    assert document["service"] == [
        {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": network.addresses.pds_url,
        }
    ]


def test_the_labelers_did_document_names_its_ozone(network: Network) -> None:
    document = network.did_document(network.addresses.labeler_did).body

    (service,) = document["service"]
    assert (service["id"], service["type"]) == ("#atproto_labeler", "AtprotoLabeler")


def test_a_did_that_nobody_registered_is_not_found(network: Network) -> None:
    assert network.did_document(network.new_author()).status == 404
