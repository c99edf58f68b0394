"""The script's handle on the network."""

from datetime import UTC, datetime

import pytest

from phash_dagster.sandbox import World
from phash_dagster.sandbox.identifiers import authority, is_did, record_cid
from phash_dagster.sandbox.moderation_input import Subject
from phash_dagster.sandbox.records import POST
from phash_dagster.sandbox.world import Post


def test_accounts_are_decided_by_seed_and_handle() -> None:
    first, again = (World(seed=3).create_account("author.test") for _ in range(2))

    assert first == again
    assert first != World(seed=4).create_account("author.test")
    assert is_did(first.did)


def test_a_handle_is_given_once() -> None:
    world = World()
    world.create_account("author.test")

    with pytest.raises(ValueError, match=r"'author\.test' is taken"):
        world.create_account("author.test")


def test_a_post_names_its_record_by_content() -> None:
    world = World()
    post = world.publish_post(world.create_account("author.test"), [b"\xff\xd8\xff"])
    record = world.repositories.record(post.uri)

    assert record is not None
    assert post.cid == record_cid(record)
    assert authority(post.uri) == post.did


def test_records_keys_never_collide() -> None:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    world = World(clock=lambda: moment)
    author = world.create_account("author.test")

    assert len({world.publish_post(author).uri for _ in range(100)}) == 100


def test_what_does_not_exist_cannot_be_deleted() -> None:
    world = World()

    with pytest.raises(KeyError):
        world.delete_post(f"at://{world.automod.did}/{POST}/3k")


def test_a_post_of_another_network_cannot_be_updated() -> None:
    foreign = Post(f"at://did:plc:elsewhere/{POST}/3k", "bafy", ())

    with pytest.raises(ValueError, match="not of this network"):
        World().update_post(foreign)


def test_a_takedown_of_an_account_in_ozone_is_announced() -> None:
    world = World()
    author = world.create_account("author.test")

    world._take_down(Subject(author.did), (), True)
    event = world.events.since(world.events.newest_us, 1)[0].event

    assert event is not None
    assert (event["account"]["active"], event["account"]["status"]) == (False, "takendown")
    assert world.repositories.status(author.did) == (False, "takendown")
