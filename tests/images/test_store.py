"""Which images need work, and what is recorded of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import (
    LONGEST_RETRY,
    MAX_WAITS,
    Wait,
    given_up_preview,
    hash_preview,
    pending_images,
    rule_algorithms,
    save_results,
    settle,
)
from phash_dagster.warehouse import Connection, ImagePost, ImagePosts, Warehouse

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
HOUR = "2026-11-23-19:00"


def post(
    blob_cid: str, *, did: str = "did:plc:a", at: datetime = NOW, embed: str = "images"
) -> ImagePost:
    return ImagePost(
        time_us=int(at.timestamp() * 1_000_000),
        seq=None,
        host="h",
        did=did,
        collection="app.bsky.feed.post",
        rkey=blob_cid,
        uri=f"at://{did}/app.bsky.feed.post/{blob_cid}",
        cid=f"record-{blob_cid}",
        operation="create",
        blob_cid=blob_cid,
        mime_type="image/jpeg",
        position=0,
        embed_type=embed,
    )


def hashed(blob_cid: str, value: int = 7) -> ImageResult:
    return ImageResult(
        ImageReference(blob_cid, "did:plc:a", None),
        Outcome.hashed,
        source="cdn",
        width=640,
        height=480,
        format="jpeg",
        hashes=(ImageHash("average", value, 50, "average-1"),),
    )


def ended(blob_cid: str, outcome: Outcome, did: str = "did:plc:a") -> ImageResult:
    return ImageResult(ImageReference(blob_cid, did, None), outcome, f"because of {did[-1]}")


FAILURES = [outcome for outcome in Outcome if outcome not in (Outcome.hashed, Outcome.waiting)]


class Store:
    """A warehouse with posts, for short tests."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.posts = ImagePosts(folder / "image_posts")
        self._batches = 0

    def add(self, *rows: ImagePost) -> None:
        self._batches += 1
        self.posts.write_batch(rows, start=str(self._batches), now=NOW + timedelta(days=2))

    def save(self, *results: ImageResult, at: datetime = NOW) -> None:
        with self.warehouse.write() as connection:
            save_results(connection, results, now=at)

    def pending(
        self,
        at: datetime = NOW,
        algorithms: Sequence[str] = ("average",),
        *,
        retry_given_up: bool = False,
    ) -> list[ImageReference]:
        with self.warehouse.read() as connection:
            self.posts.attach(connection, self.posts.partition_keys())
            return pending_images(
                connection, algorithms=algorithms, now=at, retry_given_up=retry_given_up
            )

    def pending_cids(self, at: datetime = NOW) -> list[str]:
        return [reference.blob_cid for reference in self.pending(at)]

    def pending_dids(self, at: datetime = NOW) -> list[str]:
        return [reference.did for reference in self.pending(at)]

    def outcome(self, columns: str) -> tuple[object, ...]:
        with self.warehouse.read() as connection:
            [row] = connection.execute(f"FROM image_outcomes SELECT {columns}").fetchall()
        return tuple(row)

    def attempts(self) -> list[tuple[object, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(
                "FROM image_attempts SELECT blob_cid, did, outcome ORDER BY ALL"
            ).fetchall()

    def counts(self) -> dict[str, int]:
        with self.warehouse.read() as connection:
            self.posts.attach(connection, self.posts.partition_keys())
            rows = connection.execute(
                "FROM (FROM image_posts SELECT DISTINCT blob_cid) LEFT JOIN image_outcomes "
                "USING (blob_cid) SELECT coalesce(outcome, 'untried'), count(*) GROUP BY ALL"
            ).fetchall()
        return dict(rows)


def rule_load(connection: Connection, version: str, algorithm: str) -> None:
    """Put a version of one rule hash in force."""
    connection.execute(
        "INSERT INTO rule_loads BY NAME SELECT count(*) AS load_number, $1 AS version, "
        "now() AS loaded_at FROM rule_loads",
        [version],
    )
    connection.execute(
        "INSERT INTO rule_hashes BY NAME SELECT $1 AS version, 'r' AS rule_id, "
        "'0' AS rule_hash, 0 AS hash, $2 AS algorithm, 3 AS threshold, 0 AS rule_order, "
        "0 AS hash_order, 'live' AS mode",
        [version, algorithm],
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_an_image_that_many_posts_carry_is_pending_once(store: Store) -> None:
    store.add(post("x"), post("x", did="did:plc:b"), post("y", at=NOW + timedelta(seconds=1)))
    assert store.pending_cids() == ["x", "y"]


def test_avatars_and_banners_are_fetched_as_such(store: Store) -> None:
    store.add(post("x", embed="avatar"), post("y", embed="app.bsky.embed.images"))
    assert {image.blob_cid: image.preset for image in store.pending()} == {
        "x": "avatar",
        "y": "feed_fullsize",
    }


def test_a_hashed_image_is_not_pending_again(store: Store) -> None:
    store.add(post("x"))
    store.save(hashed("x"))
    assert store.pending_cids() == []
    assert store.counts() == {"hashed": 1}


def test_a_new_algorithm_makes_hashed_images_pending(store: Store) -> None:
    store.add(post("x"))
    store.save(hashed("x"))
    assert [image.blob_cid for image in store.pending(algorithms=["pdq"])] == ["x"]


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_final_outcome_ends_the_image(store: Store, outcome: Outcome) -> None:
    store.add(post("x"))
    store.save(ended("x", outcome))
    assert store.pending_cids(NOW + timedelta(days=1)) == []


def test_an_image_not_found_is_tried_again_when_it_is_posted_again_later(store: Store) -> None:
    store.add(post("x"))
    store.save(ended("x", Outcome.not_found))
    store.add(post("x", did="did:plc:b", at=NOW + timedelta(minutes=5)))
    [again] = store.pending(NOW + timedelta(minutes=6))
    assert again.did == "did:plc:b"
    store.save(ended("x", Outcome.not_found, again.did), at=NOW + timedelta(minutes=7))
    assert store.pending_cids(NOW + timedelta(minutes=8)) == []
    other_post = post("x", did="did:plc:b", at=NOW + timedelta(minutes=9))._replace(uri="at://b/2")
    store.add(other_post)
    assert store.pending_dids(NOW + timedelta(minutes=10)) == ["did:plc:b"]


@pytest.mark.parametrize("outcome", [*FAILURES, Outcome.waiting])
def test_every_author_is_tried_the_latest_first(store: Store, outcome: Outcome) -> None:
    for seconds, name in enumerate("abcd"):
        store.add(post("x", did=f"did:plc:{name}", at=NOW + timedelta(seconds=seconds)))
    tried = []
    for seconds in range(10, 20):
        for image in store.pending(NOW + timedelta(seconds=seconds)):
            tried.append(image.did[-1])
            store.save(ended("x", outcome, image.did), at=NOW + timedelta(seconds=seconds))
    assert tried == ["d", "c", "b", "a"]


def test_an_author_is_asked_whose_post_of_the_next_hour_came_before_the_try_with_another(
    store: Store,
) -> None:
    eight = NOW.replace(hour=20, minute=0)
    store.add(post("x", did="did:plc:thief", at=eight - timedelta(seconds=2)))
    store.save(ended("x", Outcome.not_found, "did:plc:thief"), at=eight + timedelta(seconds=10))
    store.add(post("x", did="did:plc:owner", at=eight + timedelta(seconds=3)))
    with store.warehouse.read() as connection:
        store.posts.attach(connection, ["2026-11-23-20:00"])
        [image] = pending_images(
            connection, algorithms=["average"], now=eight + timedelta(minutes=1)
        )
    assert image.did == "did:plc:owner"


def test_the_image_and_its_claims_are_those_of_the_same_author(store: Store) -> None:
    store.add(post("x", did="did:plc:a", embed="avatar"))
    store.add(post("x", did="did:plc:b", at=NOW - timedelta(seconds=1), embed="images"))
    store.save(ended("x", Outcome.not_found, "did:plc:a"))
    [image] = store.pending()
    assert (image.did, image.preset) == ("did:plc:b", "feed_fullsize")


def test_a_waiting_image_is_pending_when_its_time_has_come(store: Store) -> None:
    store.add(post("x"))
    store.save(ended("x", Outcome.waiting))
    assert store.pending_cids(NOW + timedelta(seconds=30)) == []
    assert store.pending_cids(NOW + timedelta(seconds=61)) == ["x"]


def test_an_image_waits_on_when_it_fails_with_another_author(store: Store) -> None:
    store.add(post("x", did="did:plc:a"), post("x", did="did:plc:b"))
    store.save(ended("x", Outcome.waiting, "did:plc:a"))
    store.save(ended("x", Outcome.not_found, "did:plc:b"), at=NOW + timedelta(seconds=5))
    assert store.outcome("outcome, reason, attempts") == ("waiting", "because of a", 2)
    assert store.pending_dids(NOW + timedelta(seconds=61)) == ["did:plc:a"]


def test_of_the_authors_an_image_waits_with_the_one_tried_longest_ago_is_next(
    store: Store,
) -> None:
    store.add(post("x", did="did:plc:a"), post("x", did="did:plc:b"))
    store.save(ended("x", Outcome.waiting, "did:plc:b"))
    store.save(ended("x", Outcome.waiting, "did:plc:a"), at=NOW + timedelta(seconds=5))
    assert store.pending_dids(NOW + timedelta(seconds=70)) == ["did:plc:b"]
    store.save(ended("x", Outcome.waiting, "did:plc:b"), at=NOW + timedelta(seconds=70))
    assert store.pending_dids(NOW + timedelta(seconds=71)) == ["did:plc:a"]


def test_an_image_is_given_up_after_more_than_a_day_of_waiting(store: Store) -> None:
    store.add(post("x"))
    store.save(ended("x", Outcome.waiting))
    at, tries = NOW, 1
    while store.outcome("outcome") == ("waiting",):
        [due] = store.outcome("next_retry_at")
        assert isinstance(due, datetime)
        assert store.pending(due - timedelta(seconds=1)) == []
        assert store.pending_cids(due) == ["x"]
        store.save(ended("x", Outcome.waiting), at=due)
        at, tries = due, tries + 1
    assert (store.outcome("outcome"), tries) == (("gave_up",), MAX_WAITS)
    assert timedelta(days=1) < at - NOW < timedelta(days=2)
    assert store.pending(at + timedelta(days=9)) == []


def test_many_authors_or_posts_do_not_make_an_image_be_given_up_sooner(store: Store) -> None:
    names = [f"did:plc:{number}" for number in range(MAX_WAITS + 1)]
    store.add(*(post("x", did=name) for name in names))
    for seconds, name in enumerate(names):
        store.save(ended("x", Outcome.waiting, name), at=NOW + timedelta(seconds=seconds))
        store.save(ended("x", Outcome.waiting, names[0]), at=NOW + timedelta(seconds=seconds))
    assert store.counts() == {"waiting": 1}
    assert store.outcome("next_retry_at") == (NOW + timedelta(minutes=1),)


@pytest.mark.parametrize("outcome", [*FAILURES, Outcome.waiting])
def test_a_later_failure_takes_nothing_from_a_hashed_image(store: Store, outcome: Outcome) -> None:
    store.add(post("x"))
    store.save(hashed("x"))
    before = store.outcome("*")
    store.save(ended("x", outcome), at=NOW + timedelta(seconds=1))
    assert store.outcome("*") == before
    assert store.pending(NOW + timedelta(days=2)) == []


def test_another_hash_replaces_the_outcome_of_the_earlier(store: Store) -> None:
    store.save(hashed("x"))
    store.save(hashed("x"), at=NOW + timedelta(hours=1))
    assert store.outcome("outcome, updated_at") == ("hashed", NOW + timedelta(hours=1))


def test_an_image_that_fails_for_a_new_algorithm_is_not_tried_for_ever(store: Store) -> None:
    store.add(post("x"))
    store.save(hashed("x"))
    store.save(ended("x", Outcome.not_found), at=NOW + timedelta(seconds=1))
    assert store.pending(NOW + timedelta(days=2), algorithms=["pdq"]) == []


def test_attempts_are_kept_until_the_image_is_hashed(store: Store) -> None:
    store.save(ended("x", Outcome.not_found, "did:plc:a"), ended("y", Outcome.blocked))
    store.save(ended("x", Outcome.waiting, "did:plc:b"))
    assert store.attempts() == [
        ("x", "did:plc:a", "not_found"),
        ("x", "did:plc:b", "waiting"),
        ("y", "did:plc:a", "blocked"),
    ]
    store.save(hashed("x"))
    assert store.attempts() == [("y", "did:plc:a", "blocked")]


def test_every_image_is_counted_once(store: Store) -> None:
    store.add(post("a"), post("b"), post("c"), post("a", did="did:plc:b"))
    store.save(hashed("a"), ended("b", Outcome.corrupt))
    assert store.counts() == {"hashed": 1, "corrupt": 1, "untried": 1}


@pytest.mark.parametrize("value", [0, 1, 2**63, 2**64 - 1])
def test_every_hash_value_fits(store: Store, value: int) -> None:
    store.add(post("x"))
    store.save(hashed("x", value))
    with store.warehouse.read() as connection:
        store.posts.attach(connection, [HOUR])
        [row] = hash_preview(connection)
    assert row == ("x", f"{value:016x}", 50, "640x480", "cdn")


def test_a_later_hash_replaces_the_earlier(store: Store) -> None:
    store.add(post("x"))
    store.save(hashed("x", 1))
    store.save(replace(hashed("x", 2)))
    with store.warehouse.read() as connection:
        assert connection.execute("SELECT hash FROM image_hashes").fetchall() == [(2,)]


@given(number=st.integers(0, 200))
def test_waits_grow_and_end(number: int) -> None:
    earlier = Wait(number, NOW) if number else None
    outcome, wait = settle(ended("x", Outcome.waiting), earlier, now=NOW)
    if number + 1 >= MAX_WAITS:
        assert (outcome, wait) == (Outcome.gave_up, None)
    else:
        assert outcome is Outcome.waiting
        assert wait is not None
        assert wait.number == number + 1
        assert NOW < wait.until <= NOW + LONGEST_RETRY


def test_no_wait_ends_before_its_host_is_asked_again() -> None:
    later = NOW + timedelta(minutes=5)
    result = replace(ended("x", Outcome.waiting), not_before=later)
    assert settle(result, None, now=NOW) == (Outcome.waiting, Wait(1, later))
    assert settle(result, Wait(3, NOW + timedelta(minutes=1)), now=NOW) == (
        Outcome.waiting,
        Wait(3, later),
    )


def test_a_host_that_is_asked_again_soon_does_not_shorten_a_wait() -> None:
    result = replace(ended("x", Outcome.waiting), not_before=NOW + timedelta(seconds=30))
    assert settle(result, Wait(4, NOW), now=NOW) == (
        Outcome.waiting,
        Wait(5, NOW + timedelta(minutes=16)),
    )


def test_no_image_is_given_up_while_a_host_of_the_operator_is_down(store: Store) -> None:
    store.add(post("x"))
    excused = replace(ended("x", Outcome.waiting), excused=True)
    at = NOW
    for _ in range(3 * MAX_WAITS):
        store.save(excused, at=at)
        [due] = store.outcome("next_retry_at")
        assert isinstance(due, datetime)
        at = due
    assert store.counts() == {"waiting": 1}
    store.save(ended("x", Outcome.waiting), at=at)
    assert store.counts() == {"gave_up": 1}


def test_an_image_is_pending_while_one_of_several_hashes_is_missing(store: Store) -> None:
    store.add(post("x"), post("y", at=NOW + timedelta(seconds=1)))
    store.save(hashed("x"))
    found = store.pending(algorithms=["average", "pdq"])
    assert {image.blob_cid: image.missing for image in found} == {
        "x": ("pdq",),
        "y": ("average", "pdq"),
    }
    assert store.pending_cids() == ["y"]


def test_the_hashes_of_an_image_that_waits_for_another_algorithm_are_kept(store: Store) -> None:
    store.add(post("x"))
    partly = replace(hashed("x"), outcome=Outcome.waiting, reason="pdq failed")
    store.save(partly)
    assert store.counts() == {"waiting": 1}
    due = NOW + timedelta(minutes=1)
    [image] = store.pending(due, algorithms=["average", "pdq"])
    assert image.missing == ("pdq",)
    assert store.pending(due) == []


def test_an_image_that_was_given_up_is_pending_only_when_a_person_asks(store: Store) -> None:
    store.add(post("x"), post("y"))
    store.save(ended("x", Outcome.gave_up), ended("y", Outcome.not_found))
    later = NOW + timedelta(days=3)
    assert store.pending(later) == []
    assert [image.blob_cid for image in store.pending(later, retry_given_up=True)] == ["x"]
    store.save(ended("x", Outcome.waiting), at=later)
    assert store.counts() == {"waiting": 1, "not_found": 1}
    assert store.pending(later, retry_given_up=True) == []


def test_images_that_were_given_up_are_listed_with_the_reason(store: Store) -> None:
    store.add(post("x"), post("y"))
    store.save(ended("x", Outcome.gave_up), hashed("y"))
    with store.warehouse.read() as connection:
        store.posts.attach(connection, [HOUR])
        [(cid, did, attempts, _, reason)] = given_up_preview(connection)
    assert (cid, did, attempts, reason) == ("x", "did:plc:a", 1, "because of a")


def test_the_rules_in_force_say_which_algorithms_they_need(store: Store) -> None:
    with store.warehouse.write() as connection:
        for version, algorithm in (("v1", "pdq"), ("v2", "average")):
            rule_load(connection, version, algorithm)
        assert rule_algorithms(connection) == ["average"]
