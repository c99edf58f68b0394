"""Hashing the images of an hour, against the sandbox's CDN and PDS."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.clock import Clock, utc_now
from phash_dagster.hashing import get_algorithm
from phash_dagster.images.hash_images import MAX_ROUNDS, hash_hours
from phash_dagster.jetstream import BatchLimits, Cursor, read_batch
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePosts, Warehouse

PICTURE = pictures.encode(pictures.photo(1, (160, 120)))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as network:
        yield network


class Bench:
    """Takes what the sandbox published and hashes it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.clock: Clock = utc_now
        self.settings: Settings = settings_from(
            {
                **sandbox.settings_environment(),
                "DATA_DIR": str(folder),
                "RETRY_DELAY_MS": "1",
                "RETRY_ATTEMPTS": "2",
            }
        )
        self.warehouse = Warehouse(self.settings.warehouse_path)
        self.posts = ImagePosts(self.settings.image_posts_dir)

    def ingest(self) -> None:
        batch = read_batch(
            [self.sandbox.jetstream_url],
            Cursor.at(utc_now() - timedelta(hours=1)),
            wanted=frozenset({"app.bsky.feed.post"}),
            limits=BatchLimits(seconds=0.5, max_rows=1000),
        )
        self.posts.write_batch(batch.rows, start="1", now=utc_now() + timedelta(hours=1))

    def hash(self) -> dict[str, int]:
        found = hash_hours(
            self.posts.partition_keys(),
            get_algorithm("average"),
            settings=self.settings,
            warehouse=self.warehouse,
            posts=self.posts,
            clock=self.clock,
        )
        return dict(found)

    def outcome(self, blob_cid: str) -> str:
        with self.warehouse.read() as connection:
            [(outcome,)] = connection.execute(
                "FROM image_outcomes SELECT outcome WHERE blob_cid = $1", [blob_cid]
            ).fetchall()
        return str(outcome)


@pytest.fixture
def bench(sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(sandbox, tmp_path)


def test_images_are_hashed_and_done_with(bench: Bench) -> None:
    account = bench.sandbox.world.create_account("a.test")
    bench.sandbox.world.publish_post(account, [PICTURE])
    bench.ingest()
    assert bench.hash() == {"hashed": 1}
    assert bench.hash() == {}


def test_an_image_that_one_author_lost_is_asked_for_from_another_in_the_same_run(
    bench: Bench,
) -> None:
    world = bench.sandbox.world
    accounts = [world.create_account(f"{name}.test") for name in ("one", "two", "three")]
    published = [world.publish_post(account, [PICTURE]) for account in accounts]
    cid = published[0].blob_cids[0]
    for account in (accounts[0], accounts[2]):
        world.repositories.remove_blob(account.did, cid)
    bench.ingest()
    bench.hash()
    assert bench.outcome(cid) == "hashed"


def test_an_image_that_nobody_has_ends_after_each_author_was_asked(bench: Bench) -> None:
    world = bench.sandbox.world
    accounts = [world.create_account(f"{name}.test") for name in ("one", "two")]
    published = [world.publish_post(account, [PICTURE]) for account in accounts]
    cid = published[0].blob_cids[0]
    for account in accounts:
        world.repositories.remove_blob(account.did, cid)
    bench.ingest()
    assert bench.hash() == {"not_found": 2}
    assert bench.hash() == {}
    assert bench.outcome(cid) == "not_found"


def test_more_authors_than_rounds_are_asked_over_several_runs(bench: Bench) -> None:
    """The owner posted first and so is asked last."""
    world = bench.sandbox.world
    accounts = [world.create_account(f"a{number}.test") for number in range(2 * MAX_ROUNDS + 1)]
    published = [world.publish_post(account, [PICTURE]) for account in accounts]
    cid = published[0].blob_cids[0]
    for account in accounts[1:]:
        world.repositories.remove_blob(account.did, cid)
    bench.ingest()
    assert bench.hash() == {"not_found": MAX_ROUNDS}
    assert bench.hash() == {"not_found": MAX_ROUNDS}
    assert bench.hash() == {"hashed": 1}
    assert bench.outcome(cid) == "hashed"


def test_an_author_is_asked_once_a_run_even_if_the_clock_of_the_host_is_ahead(
    bench: Bench,
) -> None:
    world = bench.sandbox.world
    account = world.create_account("a.test")
    post = world.publish_post(account, [PICTURE])
    world.repositories.remove_blob(account.did, post.blob_cids[0])
    bench.ingest()
    bench.clock = lambda: utc_now() - timedelta(minutes=5)
    assert bench.hash() == {"not_found": 1}


def test_the_original_is_hashed_while_the_cdn_answers_with_a_page(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phash_dagster.sandbox.cdn.render", lambda *_: b"<html>busy</html>")
    world = bench.sandbox.world
    post = world.publish_post(world.create_account("a.test"), [PICTURE])
    bench.ingest()
    assert bench.hash() == {"hashed": 1}
    assert bench.outcome(post.blob_cids[0]) == "hashed"


def test_while_nobody_answers_images_wait(bench: Bench) -> None:
    world = bench.sandbox.world
    post = world.publish_post(world.create_account("a.test"), [PICTURE])
    world.fail_next("cdn", 50, Failure(status=503))
    world.fail_next("pds", 50, Failure(status=503))
    bench.ingest()
    assert bench.hash() == {"waiting": 1}
    assert bench.outcome(post.blob_cids[0]) == "waiting"
