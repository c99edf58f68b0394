"""The snapshot holds what the warehouse holds, and replaces the one before in one step."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.analysis import snapshot as module
from phash_dagster.analysis.snapshot import OLD_FOLDERS_STAY
from phash_dagster.images.coverage import hour_coverage
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.ingest import IngestRecords
from phash_dagster.maintenance.forget import forget_hours
from phash_dagster.warehouse.compaction import compact_files
from phash_dagster.warehouse.image_posts import SCHEMA, hour_key
from tests.analysis.conftest import Snapped
from tests.analysis.reading import opened, rows, tables, working_rows
from tests.ingest import records
from tests.preview.past import MEME, NOW, OTHER, account, delete, entry, near, post, uri

pytestmark = pytest.mark.slow


def give_up(past: Snapped, blob_cid: str, outcome: Outcome = Outcome.waiting) -> None:
    reference = ImageReference(blob_cid, "did:plc:a", None)
    with past.warehouse.write() as connection:
        save_results(connection, [ImageResult(reference, outcome, "no answer")], now=NOW)


def hash_at(past: Snapped, at: datetime, *blob_cids: str) -> None:
    results = [
        ImageResult(
            ImageReference(blob_cid, "did:plc:a", None),
            Outcome.hashed,
            source="cdn",
            width=1,
            height=1,
            format="jpeg",
            hashes=(ImageHash("average", MEME, 50, "test"),),
        )
        for blob_cid in blob_cids
    ]
    with past.warehouse.write() as connection:
        save_results(connection, results, now=at)


@pytest.fixture
def filled(past: Snapped) -> Snapped:
    """Something in every table that the pipeline fills here, over more than one part."""
    past.hash({name: near(MEME, bits) for bits, name in enumerate("abcdefgh")})
    past.hash({"wide": OTHER << 192 | MEME}, algorithm="pdq")
    give_up(past, "w")
    give_up(past, "x", Outcome.corrupt)
    past.write(
        post("1", "a", hours_ago=30),
        post("2", "b", did="did:plc:b"),
        post("3", "w"),
        post("4", "untried"),
        delete("1"),
        account("deleted", did="did:plc:b"),
    )
    past.put_in_force(entry())
    past.plan()
    IngestRecords.under(past.settings.data_dir).write(
        records.record(gaps=(records.gap(),), seq=5, tip_seq=9)
    )
    return past


def test_every_table_is_as_in_the_warehouse(filled: Snapped) -> None:
    filled.take()
    names = tables(filled.warehouse)
    assert {"image_hashes", "image_outcomes", "image_attempts", "rule_matches"} <= set(names)
    with filled.open() as connection:
        for name in (*names, "version_in_force"):
            assert rows(connection, name) == working_rows(filled.warehouse, name), name
            assert rows(connection, name) or name in NOTHING_HERE, f"nothing is tried with {name}"


NOTHING_HERE = {
    "account_endpoints",
    "action_outcomes",
    "counted_batches",
    "counted_hours",
    "exempt_accounts",
    "exempt_lists",
    "host_circuits",
    "matched_hashes",
    "metric_totals",
    "moderation_actions",
    "ozone_event_cursors",
}
"""Tables that this past leaves empty."""


def test_posts_and_batches_are_there_as_the_pipeline_reads_them(filled: Snapped) -> None:
    filled.take()
    with filled.warehouse.read() as connection:
        filled.posts.attach(connection, filled.posts.partition_keys())
        posts = rows(connection, "image_posts")
        coverage = [(f"{hour.hour:%Y-%m-%d-%H}", hour.seen) for hour in hour_coverage(connection)]
        IngestRecords.under(filled.settings.data_dir).attach(connection)
        expected = {
            name: rows(connection, name)
            for name in ("ingest_batches", "stream_gaps", "ingest_anomalies", "pipeline_lag")
        }
    with filled.open() as connection:
        seen = connection.execute("FROM image_posts SELECT * EXCLUDE (hour, seen_at)").fetchall()
        assert len(posts) == len(seen) == 6
        assert {frozenset(map(str, row)) for row in posts} == {
            frozenset(map(str, row)) for row in seen
        }
        assert {name: rows(connection, name) for name in expected} == expected
        assert connection.execute("FROM coverage SELECT hour, seen ORDER BY hour").fetchall() == (
            coverage
        )


def test_the_coverage_for_people_is_that_of_the_check(filled: Snapped) -> None:
    filled.take()
    with filled.warehouse.read() as connection:
        filled.posts.attach(connection, filled.posts.partition_keys())
        hours = hour_coverage(connection)
    with filled.open() as connection:
        cursor = connection.execute("FROM coverage SELECT * EXCLUDE (hour, seen) ORDER BY hour")
        names = [name for name, *_ in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    assert found == [dict(hour.counts) for hour in hours]
    assert sum(map(sum, (row.values() for row in found))) == 4


def test_events_that_came_twice_are_there_once(past: Snapped) -> None:
    again = post("1", "a", hours_ago=1)
    past.write(post("1", "a", hours_ago=1.001), delete("2"))
    past.write(again, delete("2"))
    past.take()
    with past.open() as connection:
        found = connection.execute("FROM image_posts SELECT uri, time_us ORDER BY uri").fetchall()
        assert connection.execute("FROM image_post_files SELECT count(*)").fetchone() == (4,)
    assert found == [(uri("1"), again.time_us), (uri("2"), delete("2").time_us)]


def test_an_empty_past_has_an_empty_snapshot(past: Snapped) -> None:
    past.take()
    with past.open() as connection:
        names = connection.execute("FROM duckdb_views() SELECT view_name WHERE NOT internal")
        for (name,) in names.fetchall():
            assert rows(connection, name) == []


def test_posts_that_come_later_are_found_where_there_were_some_before(filled: Snapped) -> None:
    filled.take()
    with filled.open() as connection:
        before = len(rows(connection, "image_posts"))
        filled.write(post("late", "a", hours_ago=0))
        assert len(rows(connection, "image_posts")) == before + 1


def test_a_snapshot_that_is_open_stays_as_it_is(filled: Snapped) -> None:
    filled.take()
    names = [*tables(filled.warehouse), "post_matches", "rules_in_force", "coverage"]
    with filled.open() as connection:
        before = {name: rows(connection, name) for name in names}
        give_up(filled, "y")
        filled.hash({"w": MEME, "later": OTHER})  # w waited when the snapshot was taken
        filled.put_in_force(entry("other", OTHER))
        filled.take()
        assert {name: rows(connection, name) for name in names} == before
    with filled.open() as connection:
        assert rows(connection, "image_outcomes") != before["image_outcomes"]
        assert rows(connection, "image_outcomes") == working_rows(
            filled.warehouse, "image_outcomes"
        )


def test_what_is_forgotten_is_gone_from_a_snapshot_that_is_open_too(filled: Snapped) -> None:
    # People who asked for their posts to be kept for so long do not ask for exceptions.
    filled.take()
    [old] = [
        key for key in filled.posts.partition_keys() if key < hour_key(NOW - timedelta(days=1))
    ]
    with filled.open() as connection:
        posts, hashes = rows(connection, "image_posts"), rows(connection, "image_hashes")
        forget_hours(filled.posts, filled.warehouse, [old])
        assert len(rows(connection, "image_posts")) < len(posts)
        assert rows(connection, "image_hashes") == hashes
        filled.take()
        still_there = rows(connection, "image_hashes")
        assert still_there == working_rows(filled.warehouse, "image_hashes")
        assert len(still_there) < len(hashes)


def test_compaction_under_an_open_snapshot_changes_nothing(filled: Snapped) -> None:
    filled.write(post("5", "c", hours_ago=1))
    filled.take()
    with filled.open() as connection:
        before = rows(connection, "image_posts")
        for key in filled.posts.partition_keys():
            compact_files(filled.posts.files([key]), SCHEMA)
        assert rows(connection, "image_posts") == before


def test_only_the_part_that_changed_is_written(filled: Snapped) -> None:
    first = filled.take()
    assert first.parts_written == 6, "nine hashes and as many outcomes in parts of three"
    assert filled.take().parts_written == 0
    filled.hash({"one more": MEME})
    again = filled.take()
    assert again.parts_written == 2
    assert again.parts_bytes < first.parts_bytes


def test_an_image_that_is_hashed_anew_leaves_its_old_part(filled: Snapped) -> None:
    filled.take()
    filled.hash({"a": OTHER})
    assert filled.take().parts_written == 4, "the part it was in, and the last, of both tables"
    with filled.open() as connection:
        for name in ("image_hashes", "image_outcomes"):
            assert rows(connection, name) == working_rows(filled.warehouse, name)


def test_a_warehouse_out_of_a_backup_is_followed(filled: Snapped) -> None:
    backup = filled.warehouse.path.read_bytes()
    hash_at(filled, NOW, "x1", "x2", "x3", "x4")
    filled.take()
    filled.warehouse.path.write_bytes(backup)
    # With the same numbers and hashes, but for the time.
    hash_at(filled, NOW + timedelta(seconds=1), "y1", "y2", "y3", "y4")
    filled.take()
    with filled.open() as connection:
        for name in ("image_hashes", "image_outcomes"):
            assert rows(connection, name) == working_rows(filled.warehouse, name)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hash"), st.sampled_from("abcdefghij"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from("abcdefghij"), st.just(0)),
        st.tuples(st.just("forget"), st.sampled_from("abcdefghij"), st.just(0)),
        st.tuples(st.just("take"), st.just(""), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=8)
@given(steps=STEPS)
def test_whatever_happens_to_images_the_snapshot_follows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    past = Snapped(tmp_path_factory.mktemp("past"))
    for step, name, bits in steps:
        if step == "hash":
            past.hash({name: near(MEME, bits)})
        elif step == "wait":
            give_up(past, name)
        elif step == "forget":
            with past.warehouse.write() as connection:
                for table in ("image_hashes", "image_outcomes", "image_attempts"):
                    connection.execute(f"DELETE FROM {table} WHERE blob_cid = $1", [name])
        else:
            past.take()
    past.take()
    with past.open() as connection:
        for name in ("image_hashes", "image_outcomes", "image_attempts"):
            assert rows(connection, name) == working_rows(past.warehouse, name)


def test_a_release_with_another_column_makes_the_files_anew(filled: Snapped) -> None:
    filled.take()
    with filled.warehouse.write() as connection:
        connection.execute("ALTER TABLE image_hashes ADD COLUMN colour VARCHAR DEFAULT 'red'")
    with filled.open() as old:
        before = rows(old, "image_hashes")
        filled.take()
        assert rows(old, "image_hashes") == before, "who has the old one open keeps it"
    with filled.open() as connection:
        assert rows(connection, "image_hashes") == working_rows(filled.warehouse, "image_hashes")
    store = filled.path.with_suffix("")
    assert len(list(store.glob("image_hashes-*"))) == 2
    long_ago = (NOW - OLD_FOLDERS_STAY - timedelta(hours=1)).timestamp()
    for folder in store.glob("image_hashes-*"):
        os.utime(folder, (long_ago, long_ago))
    filled.take()
    assert len(list(store.glob("image_hashes-*"))) == 1


def test_the_one_before_stays_and_those_before_that_go(filled: Snapped) -> None:
    made = [filled.take().path for _ in range(3)]
    assert filled.path.resolve() == made[2]
    assert sorted(filled.path.with_suffix("").glob("snapshot-*")) == made[1:]


def test_a_failure_leaves_the_one_before(filled: Snapped, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.take()
    before = filled.path.resolve()
    listing = sorted(filled.path.parent.rglob("*"))

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "add_views", fail)
    filled.hash({"later": MEME})
    with pytest.raises(OSError, match="No space left"):
        filled.take()
    monkeypatch.undo()
    assert filled.path.resolve() == before
    assert sorted(filled.path.parent.rglob("*")) in (
        listing,
        sorted([*listing, *set(filled.path.parent.rglob("0*.parquet")) - set(listing)]),
    )
    with filled.warehouse.write():  # it let go of the working file
        pass
    filled.take()


def test_what_is_not_a_link_is_replaced_by_one(filled: Snapped) -> None:
    filled.path.parent.mkdir(parents=True, exist_ok=True)
    filled.path.write_bytes(b"a copy that somebody made")
    filled.take()
    assert filled.path.is_symlink()
    with filled.open() as connection:
        assert rows(connection, "image_hashes")


def test_a_copy_of_the_data_folder_elsewhere_still_answers_of_itself(
    filled: Snapped, tmp_path: Path
) -> None:
    filled.take()
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(filled.path.read_bytes())
    with opened(copy) as connection:
        assert len(rows(connection, "image_posts")) == 6
        assert rows(connection, "image_hashes") == working_rows(filled.warehouse, "image_hashes")


def test_a_folder_with_odd_characters_is_a_folder(tmp_path: Path) -> None:
    past = Snapped(tmp_path / 'it\'s a "folder" of ours')
    past.hash({"a": MEME})
    past.write(post("1", "a"))
    past.take()
    with past.open() as connection:
        assert len(rows(connection, "image_posts")) == len(rows(connection, "image_hashes")) == 1


def test_parts_are_compressed(filled: Snapped) -> None:
    filled.take()
    [path] = filled.path.with_suffix("").glob("image_hashes-*/000000.parquet")
    assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def test_it_says_when_it_was_taken(filled: Snapped) -> None:
    made = filled.take()
    with filled.open() as connection:
        assert connection.execute("FROM about_snapshot SELECT taken_at").fetchall() == [
            (made.taken_at,)
        ]
    assert made.taken_at == NOW
    assert made.bytes == made.path.stat().st_size


@pytest.mark.parametrize("view", ["image_posts", "post_matches", "coverage"])
def test_a_filter_by_hour_reads_only_the_files_of_these_hours(past: Snapped, view: str) -> None:
    past.hash({"a": MEME})
    past.write(*(post(str(number), "a", hours_ago=number) for number in range(20)))
    past.put_in_force(entry())
    past.take()
    with past.open() as connection:
        connection.execute("SET VARIABLE since = $1", [NOW - timedelta(hours=2)])
        for limit in ("'2026-11-23-18'", "hour_of(getvariable('since'))"):
            plan = connection.execute(
                f"EXPLAIN ANALYZE FROM {view} SELECT * WHERE hour >= {limit}"
            ).fetchall()[0][1]
            assert "Scanning Files: 3/21" in plan
            found = connection.execute(f"FROM {view} SELECT count(*) WHERE hour >= {limit}")
            assert found.fetchone() == (3,)


def test_the_file_cannot_be_taken_for_the_working_file(filled: Snapped) -> None:
    filled.take()
    with (
        filled.open() as connection,
        pytest.raises(duckdb.InvalidInputException, match="read-only mode"),
    ):
        connection.execute("DELETE FROM rule_matches")
