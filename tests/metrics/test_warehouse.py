"""What the warehouse tells: counted once, whatever is repeated, killed or deleted."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from phash_dagster.images.breaker import BreakerEvent, CircuitBreakers
from phash_dagster.images.counts import count_references, count_results, image_references
from phash_dagster.images.hosts import operators_host, strangers_host
from phash_dagster.images.model import ImageHash, ImageResult, Outcome
from phash_dagster.images.store import pending_images, save_results
from phash_dagster.maintenance.forget import forget_hours
from phash_dagster.metrics.sources import NothingYetError, read_warehouse
from phash_dagster.moderation.actions import Event
from phash_dagster.rules import save_version
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from phash_dagster.warehouse.compaction import compact_files
from phash_dagster.warehouse.image_posts import SCHEMA, hour_key
from phash_dagster.warehouse.totals import Total, add_totals, count_hours, read_totals
from tests.matching.builders import make_rule, make_rules
from tests.metrics.scraped import Scraped, scraped

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
HOUR = "2026-11-23-19:00"
ALGORITHM = "average"


def post(blob_cid: str, rkey: str, *, at: datetime = NOW, did: str = "did:plc:a") -> ImagePost:
    return ImagePost(
        time_us=int(at.timestamp() * 1_000_000),
        seq=None,
        host="h",
        did=did,
        collection="app.bsky.feed.post",
        rkey=rkey,
        uri=f"at://{did}/app.bsky.feed.post/{rkey}",
        cid=f"record-{rkey}",
        operation="create",
        blob_cid=blob_cid,
        position=0,
        embed_type="images",
    )


class World:
    """Posts and a warehouse, and runs that hash every image but those that are said to fail."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.posts = ImagePosts(folder / "image_posts")
        self.failing: dict[str, Outcome] = {}
        self.now = NOW
        self._batches = 0
        with self.warehouse.write():
            pass

    def write(self, *rows: ImagePost) -> None:
        self._batches += 1
        self.posts.write_batch(rows, start=f"{self._batches:03}", now=NOW + timedelta(days=9))

    def run(self, *hours: str, killed: bool = False) -> None:
        """One run over these hours; a killed one has looked at its images and ends there."""
        with self.warehouse.read() as connection:
            self.posts.attach(connection, list(hours or (HOUR,)))
            references = image_references(connection)
            pending = pending_images(connection, algorithms=[ALGORITHM], now=self.now)
        self.now += timedelta(seconds=5)
        results = [
            ImageResult(one, self.failing[one.blob_cid], "because")
            if one.blob_cid in self.failing
            else ImageResult(
                one,
                Outcome.hashed,
                source="cdn",
                width=640,
                height=480,
                format="jpeg",
                hashes=(ImageHash(ALGORITHM, hash(one.blob_cid) % 2**64, 50, "average-1"),),
            )
            for one in pending
        ]
        with self.warehouse.write() as connection:
            save_results(connection, results, now=self.now)
            count_results(connection, results, Counter())
        if not killed:
            with self.warehouse.write() as connection:
                count_references(connection, references)

    def scrape(self) -> Scraped:
        return scraped(read_warehouse(self.warehouse, self.now))

    def cache(self) -> tuple[float | None, ...]:
        """References, hits, misses."""
        found = self.scrape()
        names = ("image_references_total", "image_cache_hits_total", "image_cache_misses_total")
        return tuple(found.value(name) for name in names)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_without_a_warehouse_that_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(NothingYetError, match="does not exist yet"):
        read_warehouse(Warehouse(tmp_path / "warehouse.duckdb"), NOW)
    assert list(tmp_path.iterdir()) == []


def test_what_never_happened_is_zero(world: World) -> None:
    found = world.scrape()
    assert found.value("ingest_events_total") == 0
    assert found.value("image_attempts_total", outcome="hashed") == 0
    assert found.value("circuit_transitions_total", service="other_host", to="open") == 0
    assert found.value("images", outcome="gave_up") == 0
    assert found.value("rules") == 0


def test_attempts_are_counted_by_how_they_ended(world: World) -> None:
    world.failing = {"b": Outcome.not_found}
    world.write(post("a", "1"), post("b", "2"))
    world.run()
    found = world.scrape()
    assert found.with_labels("image_attempts_total", "outcome") == {"hashed": 1, "not_found": 1}
    assert found.with_labels("images", "outcome") == {"hashed": 1, "not_found": 1}
    assert found.with_labels("images_fetched_total", "source") == {"cdn": 1}
    assert found.with_labels("image_hashes_total", "algorithm") == {"average": 1}


def test_a_run_that_finds_nothing_new_counts_nothing(world: World) -> None:
    world.write(post("a", "1"), post("a", "2"))
    world.run()
    before = world.scrape().counters
    world.run()
    world.run()
    assert world.scrape().counters == before


def test_a_reference_to_a_known_image_is_a_cache_hit(world: World) -> None:
    world.write(post("a", "1"))
    world.run()
    assert world.cache() == (1, 0, 1)
    world.write(post("a", "2"), post("a", "3"), post("b", "4"))
    world.run()
    assert world.cache() == (4, 2, 2)


def test_an_image_that_waits_and_is_tried_again_is_one_miss(world: World) -> None:
    world.failing = {"a": Outcome.waiting}
    world.write(post("a", "1"))
    world.run()
    world.now += timedelta(hours=1)
    world.failing = {}
    world.run()
    assert world.cache() == (1, 0, 1)
    attempts = world.scrape().with_labels("image_attempts_total", "outcome")
    assert attempts == {"waiting": 1, "hashed": 1}


def test_another_algorithm_makes_no_misses(world: World) -> None:
    world.write(post("a", "1"))
    world.run()
    with world.warehouse.read() as connection:
        world.posts.attach(connection, [HOUR])
        [again] = pending_images(connection, algorithms=["average", "pdq"], now=world.now)
    assert again.missing == ("pdq",)
    assert not again.is_new


def test_a_killed_run_and_its_successor_count_as_one(world: World) -> None:
    world.write(post("a", "1"), post("a", "2"))
    world.run(killed=True)
    assert world.cache() == (0, 0, 1)
    world.run()
    assert world.cache() == (2, 1, 1)


def test_what_a_transaction_that_fails_would_count_is_not_counted(world: World) -> None:
    def fail() -> None:
        with world.warehouse.write() as connection:
            add_totals(connection, {Total.of("image_cache_misses"): 3})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert world.scrape().value("image_cache_misses_total") == 0


def test_two_runs_over_an_hour_at_once_count_it_once(world: World) -> None:
    count = {(HOUR, Total.of("image_references")): 3}
    for _ in range(2):
        with world.warehouse.write() as connection:
            count_hours(connection, count)
    with world.warehouse.read() as connection:
        assert read_totals(connection) == {Total.of("image_references"): 3}


def test_hours_that_share_a_total_add_up(world: World) -> None:
    total = Total.of("repeated_actions", event=Event.LABEL.value, subject="account")
    with world.warehouse.write() as connection:
        count_hours(connection, {("1", total): 3, ("2", total): 2})
        count_hours(connection, {("1", total): 4, ("2", total): 1})
    found = world.scrape()
    labels = {"event": "label", "subject": "account", "reason": "claimed"}
    assert found.value("actions_skipped_total", **labels) == 6


def counters_never_shrink(stages: Sequence[Scraped]) -> bool:
    return all(
        later.counters.get(key, -1.0) >= value
        for earlier, later in pairwise(stages)
        for key, value in earlier.counters.items()
    )


def test_counters_do_not_shrink_when_hours_are_compacted_and_expire(world: World) -> None:
    earlier = NOW - timedelta(hours=1)
    world.write(post("a", "1", at=earlier), post("b", "2", at=earlier))
    world.write(post("a", "3", at=earlier))
    hours = (hour_key(earlier), HOUR)
    world.run(*hours)
    stages = [world.scrape()]
    assert compact_files(world.posts.files(hours[:1]), SCHEMA) is not None
    world.run(*hours)
    stages.append(world.scrape())
    forget_hours(world.posts, world.warehouse, hours[:1])
    stages.append(world.scrape())
    assert stages[-1].with_labels("images", "outcome") == {}
    world.write(post("a", "4"))
    world.run(*hours)
    stages.append(world.scrape())
    assert counters_never_shrink(stages)
    # The forgotten image had to be fetched again.
    assert world.cache() == (4, 1, 3)


def test_nothing_is_kept_of_hours_that_are_gone_but_the_totals(world: World) -> None:
    world.write(post("a", "1"))
    world.run()
    forget_hours(world.posts, world.warehouse, [HOUR])
    with world.warehouse.read() as connection:
        assert connection.execute("FROM counted_hours").fetchall() == []
    assert world.cache() == (1, 0, 1)


def test_matches_are_counted_by_rule_and_reach_and_survive_their_images(world: World) -> None:
    from tests.matching.builders import add_images, match

    rules = make_rules(make_rule("near", [0], 3))
    with world.warehouse.write() as connection:
        add_images(connection, {"exact": 0, "margin": 0b11111, "far": 2**63 - 1})
        for _ in range(2):
            match(connection, rules, ["exact", "margin", "far"], margin=2)
    found = world.scrape()
    assert found.value("matches_total", rule="near", within="threshold") == 1
    assert found.value("matches_total", rule="near", within="margin") == 1
    with world.warehouse.write() as connection:
        connection.execute("DELETE FROM rule_matches")
    assert counters_never_shrink([found, world.scrape()])


def test_rules_in_force_are_told(world: World) -> None:
    with world.warehouse.write() as connection:
        ruleset = make_rules(make_rule("r1", [1, 2], 3), make_rule("r2", [5], 3))
        save_version(connection, ruleset, loaded_at=NOW)
    found = world.scrape()
    assert found.value("rules") == 2
    hashes = found.with_labels("rule_hashes", "state")
    assert sum(hashes.values()) == 3
    assert found.value("rule_loads_total") == 1
    assert found.value("rules_loaded_timestamp_seconds") == NOW.timestamp()


def test_overdue_images_are_told(world: World) -> None:
    world.failing = {"a": Outcome.waiting}
    world.write(post("a", "1"))
    world.run()
    assert world.scrape().value("images_overdue") == 0
    world.now += timedelta(hours=2)
    assert world.scrape().value("images_overdue") == 1


def test_what_circuits_do_is_counted_by_whose_hosts_they_are(world: World) -> None:
    import httpx

    times = [NOW]
    breakers = CircuitBreakers(lambda: times[0])
    mine = operators_host("https://pds.test")
    theirs = strangers_host(httpx.URL("https://far.test"))
    for _ in range(3):
        breakers.failed(mine)
    for _ in range(2):
        with pytest.raises(Exception, match="not asked before"):
            breakers.admit(mine)
    times[0] += timedelta(seconds=301)
    assert breakers.admit(mine)
    breakers.succeeded(mine)
    breakers.failed(theirs)
    breakers.succeeded(theirs)
    events = breakers.take_events()
    assert events == {
        (True, BreakerEvent.OPENED): 1,
        (True, BreakerEvent.REJECTED): 2,
        (True, BreakerEvent.HALF_OPENED): 1,
        (True, BreakerEvent.CLOSED): 1,
    }
    assert not breakers.take_events()
    with world.warehouse.write() as connection:
        count_results(connection, [], events)
    found = world.scrape()
    assert found.with_labels("circuit_rejections_total", "service") == {"configured_host": 2}
    assert found.with_labels("circuit_transitions_total", "to") == {
        "open": 1,
        "half_open": 1,
        "closed": 1,
    }


def test_a_probe_that_fails_opens_the_circuit_once_more() -> None:
    times = [NOW]
    breakers, host = CircuitBreakers(lambda: times[0]), operators_host("https://pds.test")
    for _ in range(3):
        breakers.failed(host)
    breakers.failed(host)  # a late one changes nothing
    times[0] += timedelta(seconds=301)
    breakers.admit(host)
    breakers.failed(host)
    assert breakers.take_events()[True, BreakerEvent.OPENED] == 2


def test_open_circuits_are_told(world: World) -> None:
    with world.warehouse.write() as connection:
        connection.execute(
            "INSERT INTO host_circuits VALUES "
            "('https://cdn.test', 9, $1, $1), ('far.test', 3, $1, $1), ('was.test', 3, $2, $2)",
            [NOW + timedelta(minutes=1), NOW - timedelta(minutes=1)],
        )
    found = world.scrape().with_labels("circuits_open", "service")
    assert found == {"configured_host": 1, "other_host": 1}
