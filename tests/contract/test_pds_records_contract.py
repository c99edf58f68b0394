"""What a PDS answers about the records of an account: one of them, and a collection in pages."""

from collections.abc import Iterator

import pytest

from tests.contract.network import Json, Network

GET_RECORD = "com.atproto.repo.getRecord"
LIST_RECORDS = "com.atproto.repo.listRecords"
LIST = "app.bsky.graph.list"
ITEM = "app.bsky.graph.listitem"
CREATED_AT = "2026-01-01T00:00:00.000Z"


def _create(network: Network, collection: str, **fields: str) -> str:
    """Write a record as the stranger; returns its AT URI."""
    did = network.addresses.members["stranger"].did
    record = {"$type": collection, "createdAt": CREATED_AT, **fields}
    answer = network.post(
        "com.atproto.repo.createRecord",
        {"repo": did, "collection": collection, "record": record},
        token=network.token("stranger"),
    )
    return str(answer.body["uri"])


def _new_list(network: Network) -> str:
    return _create(network, LIST, name="a list", purpose="app.bsky.graph.defs#curatelist")


def _read_list_items(network: Network, did: str, **parameters: str | int) -> Iterator[Json]:
    """All pages of the listed accounts of an account, one after the other."""
    asked: Json = {"repo": did, "collection": ITEM, **parameters}
    while (page := network.get(LIST_RECORDS, asked).body)["records"]:
        yield page
        asked["cursor"] = page["cursor"]


def test_a_record_is_read_as_it_was_written(network: Network) -> None:
    uri = _new_list(network)
    did, collection, rkey = uri.removeprefix("at://").split("/")

    answer = network.get(GET_RECORD, {"repo": did, "collection": collection, "rkey": rkey})

    assert answer.status == 200
    assert answer.body["uri"] == uri
    assert answer.body["value"] == {
        "$type": LIST,
        "createdAt": CREATED_AT,
        "name": "a list",
        "purpose": "app.bsky.graph.defs#curatelist",
    }


def test_a_record_that_does_not_exist_is_not_found(network: Network) -> None:
    did = network.addresses.members["stranger"].did

    answer = network.get(GET_RECORD, {"repo": did, "collection": LIST, "rkey": "nothing"})

    assert (answer.status, answer.error) == (400, "RecordNotFound")


@pytest.mark.parametrize("method", [GET_RECORD, LIST_RECORDS])
def test_an_account_without_a_repository_has_no_records(network: Network, method: str) -> None:
    parameters = {"repo": network.new_author(), "collection": LIST, "rkey": "nothing"}

    answer = network.get(method, parameters)

    assert (answer.status, answer.error) == (400, "InvalidRequest")


def test_records_are_listed_newest_first_each_once_with_a_cursor_on_every_page(
    network: Network,
) -> None:
    did, uri = network.addresses.members["stranger"].did, _new_list(network)
    listed = [network.new_author() for _ in range(3)]
    for author in listed:
        _create(network, ITEM, list=uri, subject=author)

    pages = list(_read_list_items(network, did, limit=2))

    values = [record["value"] for page in pages for record in page["records"]]
    assert [value["subject"] for value in values if value["list"] == uri] == listed[::-1]
    assert len({record["uri"] for page in pages for record in page["records"]}) == len(values)
    assert all(len(page["records"]) <= 2 for page in pages)


def test_records_are_listed_oldest_first_if_asked_for(network: Network) -> None:
    member, uri = network.addresses.members["stranger"], _new_list(network)
    listed = [network.new_author() for _ in range(3)]
    for author in listed:
        _create(network, ITEM, list=uri, subject=author)

    pages = _read_list_items(network, member.handle, limit=2, reverse="true")

    values = [record["value"] for page in pages for record in page["records"]]
    assert [value["subject"] for value in values if value["list"] == uri] == listed


def test_a_collection_without_records_is_an_empty_page(network: Network) -> None:
    did = network.addresses.members["stranger"].did

    answer = network.get(LIST_RECORDS, {"repo": did, "collection": "com.example.nothing"})

    assert (answer.status, answer.body) == (200, {"records": []})


@pytest.mark.parametrize(
    ("name", "value"),
    [("repo", "nobody"), ("collection", "x"), ("limit", 0), ("limit", 101), ("reverse", "maybe")],
)
def test_a_listing_with_a_bad_parameter_is_refused(
    network: Network, name: str, value: str | int
) -> None:
    did = network.addresses.members["stranger"].did

    answer = network.get(LIST_RECORDS, {"repo": did, "collection": ITEM, name: value})

    assert (answer.status, answer.error) == (400, "InvalidRequest")
    assert f'got "{value}"' in answer.message or f"got {value}" in answer.message
