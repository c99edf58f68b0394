"""Hashing the images of an hour, against the sandbox's CDN and PDS."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from PIL.Image import Image

from phash_dagster.clock import Clock, utc_now
from phash_dagster.hashing import HashAlgorithm, HashValue, get_algorithm
from phash_dagster.images.hash_images import MAX_ROUNDS, hash_hours, wanted_algorithms
from phash_dagster.images.model import ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.jetstream import BatchLimits, Cursor, read_batch
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from tests.images.test_store import rule_load

pytestmark = pytest.mark.slow

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
            dictionaries=self.settings.data_dir / "jetstream",
        )
        self.posts.write_batch(batch.rows, start="1", now=utc_now() + timedelta(hours=1))

    def hash(
        self, *algorithms: HashAlgorithm, retry_given_up: bool = False, **changed: object
    ) -> dict[str, int]:
        found = hash_hours(
            self.posts.partition_keys(),
            algorithms or [get_algorithm("average")],
            settings=self.settings.model_copy(update=changed),
            warehouse=self.warehouse,
            posts=self.posts,
            clock=self.clock,
            retry_given_up=retry_given_up,
        )
        return dict(found)

    def query(self, text: str) -> list[tuple[object, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(text).fetchall()

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


class Other:
    """Another algorithm; `fails` makes it raise."""

    bits = 64
    version = "1"

    def __init__(self, *, fails: bool = False) -> None:
        self.name = "other"
        self._fails = fails

    def hash(self, image: Image) -> HashValue:
        if self._fails:
            raise ZeroDivisionError("in the hash")
        return HashValue(image.width, 100)


def cdn_requests(sandbox: Sandbox) -> int:
    return sum(sandbox.world.traffic.requests("cdn").values())


def test_one_fetch_makes_all_the_hashes_that_are_wanted(bench: Bench) -> None:
    world = bench.sandbox.world
    world.publish_post(world.create_account("a.test"), [PICTURE])
    bench.ingest()
    assert bench.hash(get_algorithm("average"), Other()) == {"hashed": 1}
    assert bench.query("FROM image_hashes SELECT algorithm ORDER BY ALL") == [
        ("average",),
        ("other",),
    ]
    assert cdn_requests(bench.sandbox) == 1


def test_an_algorithm_that_is_added_hashes_the_past_again_by_that_one_only(bench: Bench) -> None:
    world = bench.sandbox.world
    world.publish_post(world.create_account("a.test"), [PICTURE])
    bench.ingest()
    bench.hash()
    before = bench.query("FROM image_hashes")
    assert bench.hash(get_algorithm("average"), Other()) == {"hashed": 1}
    assert bench.query("FROM image_hashes WHERE algorithm = 'average'") == before
    assert bench.hash(get_algorithm("average"), Other()) == {}


def test_a_hash_stays_while_another_algorithm_fails(bench: Bench) -> None:
    world = bench.sandbox.world
    world.publish_post(world.create_account("a.test"), [PICTURE])
    bench.ingest()
    assert bench.hash(get_algorithm("average"), Other(fails=True)) == {"waiting": 1}
    assert bench.query("FROM image_hashes SELECT algorithm") == [("average",)]
    bench.clock = lambda: utc_now() + timedelta(minutes=2)
    assert bench.hash(get_algorithm("average"), Other()) == {"hashed": 1}


def test_the_same_blob_in_a_thousand_posts_is_fetched_once(bench: Bench) -> None:
    world = bench.sandbox.world
    account = world.create_account("a.test")
    cid = world.publish_post(account, [PICTURE]).blob_cids[0]
    bench.ingest()
    now = utc_now()
    posts = [
        ImagePost(
            time_us=int(now.timestamp() * 1_000_000) + number,
            seq=None,
            host="h",
            did=account.did,
            collection="app.bsky.feed.post",
            rkey=str(number),
            uri=f"at://{account.did}/app.bsky.feed.post/{number}",
            cid=f"record-{number}",
            operation="create",
            blob_cid=cid,
        )
        for number in range(1000)
    ]
    bench.posts.write_batch(posts, start="2", now=now + timedelta(hours=1))
    assert bench.hash() == {"hashed": 1}
    assert bench.hash() == {}
    assert cdn_requests(bench.sandbox) == 1


def test_an_image_that_was_given_up_can_be_tried_again(bench: Bench) -> None:
    world = bench.sandbox.world
    post = world.publish_post(world.create_account("a.test"), [PICTURE])
    bench.ingest()
    result = ImageResult(
        ImageReference(post.blob_cids[0], post.did, None), Outcome.gave_up, "for long"
    )
    with bench.warehouse.write() as connection:
        save_results(connection, [result], now=utc_now())
    assert bench.hash() == {}
    assert bench.hash(retry_given_up=True) == {"hashed": 1}


def test_an_unknown_algorithm_is_named_with_those_that_are_known(bench: Bench) -> None:
    settings = bench.settings.model_copy(update={"hash_algorithms": ("average", "phash")})
    with pytest.raises(
        ValueError, match=r"HASH_ALGORITHMS: no hash algorithm is named 'phash'; known: average"
    ):
        wanted_algorithms(settings, bench.warehouse)


def test_the_algorithms_that_rules_need_are_added_to_those_of_the_settings(bench: Bench) -> None:
    with bench.warehouse.write() as connection:
        rule_load(connection, "v", "average-integer")
    found = wanted_algorithms(bench.settings, bench.warehouse)
    assert [algorithm.name for algorithm in found] == ["average", "average-integer"]


def test_an_error_in_saving_is_the_one_that_is_raised(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = bench.sandbox.world.create_account("a.test")
    for seed in range(8):
        bench.sandbox.world.publish_post(account, [pictures.encode(pictures.photo(seed))])
    bench.ingest()

    def fail(*_args: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    # Each is saved while the next is under way.
    monkeypatch.setattr("phash_dagster.images.hash_images.SAVE_AFTER_SECONDS", 0.0001)
    monkeypatch.setattr("phash_dagster.images.hash_images.save_results", fail)
    with pytest.raises(OSError, match="No space left"):
        bench.hash(processing_concurrency=1)
