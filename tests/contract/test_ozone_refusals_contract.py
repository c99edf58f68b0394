"""What Ozone refuses to take, and in which words: each names the field that is wrong."""

from typing import Any

import pytest

from tests.contract.network import DEFS, MODERATION, Json, Network, account, comment, label


@pytest.mark.parametrize("character", [" ", ",", ";", "'", '"'])
def test_a_label_with_a_separator_is_refused(network: Network, character: str) -> None:
    answer = network.emit(label(f"a{character}b"), network.new_post())

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert f"a{character}b" in answer.message


@pytest.mark.parametrize("name", ["createLabelVals", "negateLabelVals"])
def test_a_label_event_needs_both_lists(network: Network, name: str) -> None:
    event = label("spam")
    del event[name]

    answer = network.emit(event, network.new_post())

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert name in answer.message


@pytest.mark.parametrize("name", ["event", "subject", "createdBy"])
def test_a_missing_field_is_named(network: Network, name: str) -> None:
    body = {
        "event": label("spam"),
        "subject": network.new_post(),
        "createdBy": network.new_author(),
    }
    del body[name]

    answer = network.emit_body(body)

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert name in answer.message


@pytest.mark.parametrize(
    ("field", "value"), [("uri", "https://example.com/"), ("cid", "zzz")], ids=["uri", "cid"]
)
def test_a_subject_that_is_no_record_is_refused(network: Network, field: str, value: str) -> None:
    answer = network.emit(label("spam"), {**network.new_post(), field: value})

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert field in answer.message


def test_an_account_that_is_no_did_is_refused(network: Network) -> None:
    answer = network.emit(label("spam"), account("alice.test"))

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert "did" in answer.message


def test_a_blob_cid_that_is_none_is_refused(network: Network) -> None:
    answer = network.emit(label("spam"), network.new_post(), subjectBlobCids=["zz"])

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert "subjectBlobCids" in answer.message


def test_blobs_do_not_apply_to_accounts(network: Network) -> None:
    subject = account(network.new_author())

    answer = network.emit(label("spam"), subject, subjectBlobCids=[network.new_blob()])

    assert (answer.status, answer.error) == (400, "InvalidRequest")


def test_a_fraction_in_the_tools_notes_is_refused(network: Network) -> None:
    tool = {"name": "phash-dagster", "meta": {"distance": 1.5}}

    answer = network.emit(label("spam"), network.new_post(), modTool=tool)

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert "distance" in answer.message


def test_a_report_needs_a_reason(network: Network) -> None:
    answer = network.emit({"$type": DEFS + "modEventReport"}, network.new_post())

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert "reportType" in answer.message


def test_a_body_above_100_kilobytes_is_refused(network: Network) -> None:
    answer = network.emit(comment("x" * 110_000), network.new_post())

    assert answer.status == 413


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"event": "label"}, "$.event"),
        ({"event": {"createLabelVals": []}}, "$type"),
        ({"event": {**label("x"), "createLabelVals": "x"}}, "createLabelVals"),
        ({"event": {**label("x"), "createLabelVals": [3]}}, "createLabelVals[0]"),
        ({"event": {**comment("x"), "comment": 4}}, "$.event.comment"),
        ({"event": {"$type": DEFS + "modEventTag", "add": []}}, "remove"),
        ({"subject": {"did": "did:plc:a"}}, "$type"),
        ({"subject": {"$type": "com.example.thing"}}, "Invalid subject"),
        ({"subject": {"$type": "com.atproto.repo.strongRef", "uri": "at://did:plc:a"}}, "cid"),
        ({"createdBy": "alice.test"}, "$.createdBy"),
        ({"externalId": 5}, "$.externalId"),
        ({"modTool": {"meta": {}}}, "name"),
        ({"modTool": {"name": 5}}, "$.modTool.name"),
        ({"modTool": {"name": "x", "meta": [1]}}, "$.modTool.meta"),
        ({"modTool": {"name": "x", "meta": {"list": [{"at": 0.5}]}}}, "$.modTool.meta.list[0].at"),
        ({"subjectBlobCids": "bafy"}, "$.subjectBlobCids"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_of_another_kind_is_named(network: Network, changes: Json, named: str) -> None:
    body: dict[str, Any] = {
        "event": label("spam"),
        "subject": network.new_post(),
        "createdBy": network.new_author(),
        **changes,
    }

    answer = network.emit_body(body)

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert named in answer.message


def test_a_whole_number_written_as_a_fraction_is_a_whole_number(network: Network) -> None:
    tool = {"name": "x", "meta": {"distance": 3.0}}

    assert network.emit(label("spam"), network.new_post(), modTool=tool).status == 200


def test_a_record_addressed_by_handle_breaks_ozone(network: Network) -> None:
    subject = {**network.new_post(), "uri": "at://alice.test/app.bsky.feed.post/3k"}

    answer = network.emit(label("spam"), subject)

    assert (answer.status, answer.error) == (502, "InternalServerError")


def test_a_label_given_twice_at_once_breaks_ozone(network: Network) -> None:
    answer = network.emit(label("spam", negate=("spam",)), network.new_post())

    assert (answer.status, answer.error) == (502, "InternalServerError")


def test_a_procedure_is_no_query(network: Network) -> None:
    answer = network.get(
        MODERATION + "emitEvent", {}, token=network.token("moderator"), proxy=network.labeler
    )

    assert (answer.status, answer.error) == (400, "InvalidRequest")


def test_no_body_at_all_is_refused(network: Network) -> None:
    answer = network.post(
        MODERATION + "emitEvent", None, token=network.token("moderator"), proxy=network.labeler
    )

    assert (answer.status, answer.error) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    ("content", "mime_type", "error"),
    [(b"{bad", "application/json", "SyntaxError"), (b"x", "text/plain", "InvalidRequest")],
    ids=["bad JSON", "no JSON"],
)
def test_a_body_that_is_no_json_is_refused(
    network: Network, content: bytes, mime_type: str, error: str
) -> None:
    answer = network.post_bytes(MODERATION + "emitEvent", content, mime_type)

    assert (answer.status, answer.error) == (400, error)
