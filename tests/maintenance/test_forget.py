"""Expired hours go, with what is known of images that no post has any more; and nothing else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.images.coverage import hour_coverage, judge_coverage
from phash_dagster.maintenance import forget
from phash_dagster.maintenance.forget import Forgotten, forget_hours, set_aside_hours
from phash_dagster.warehouse import ImagePosts
from tests.maintenance.past import NOW, TABLES, Past, days_ago, full_past, hours_of, post

pytestmark = pytest.mark.slow

OLD = hours_of(10, 9.9, 9)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return full_past(tmp_path)


def forget_old(past: Past) -> Forgotten:
    return forget_hours(past.store.posts, past.store.warehouse, OLD)


def assert_old_is_gone(past: Past) -> None:
    assert past.store.posts.partition_keys() == hours_of(1, 0.5)
    assert past.posted() == {"again", "new"}
    assert {table: past.images_in(table) for table in TABLES} == {
        "image_hashes": {"again", "new"},
        "image_outcomes": {"again", "new"},
        "image_attempts": set(),
        "rule_matches": {"again", "new"},
    }


def test_posts_go_with_all_that_is_known_of_images_nobody_posted_again(past: Past) -> None:
    done = forget_old(past)
    assert_old_is_gone(past)
    assert sorted(done.hours) == sorted(OLD)
    assert (done.images, done.kept_images) == (3, 1)
    assert done.bytes > 0


def test_nothing_is_left_of_them_on_disk(past: Past) -> None:
    forget_old(past)
    assert [path for path in past.store.posts.root.rglob("*") if ".expired" in str(path)] == [
        past.store.posts.root / ".expired"
    ]


def test_the_hours_count_as_never_matched(past: Past) -> None:
    forget_old(past)
    with past.store.warehouse.read() as connection:
        rows = connection.execute("FROM partition_matches SELECT partition_key").fetchall()
    assert sorted(key for (key,) in rows) == hours_of(1, 0.5)


def test_every_image_that_is_left_is_accounted_for(past: Past) -> None:
    forget_old(past)
    with past.store.warehouse.read() as connection:
        past.store.posts.attach(connection, past.store.posts.partition_keys())
        hours = hour_coverage(connection)
    assert judge_coverage(hours, NOW).errors == ()
    assert sum(hour.seen for hour in hours) == 2


def test_matches_that_are_left_are_those_that_matching_anew_yields(past: Past) -> None:
    forget_old(past)
    before = past.matches()
    with past.store.warehouse.write() as connection:
        for table in ("rule_matches", "matched_hashes", "partition_matches"):
            connection.execute(f"DELETE FROM {table}")
    past.match()
    assert past.matches() == before


def test_an_image_posted_after_it_was_forgotten_is_hashed_and_matched_anew(past: Past) -> None:
    forget_old(past)
    past.add(post("old"))
    assert past.store.pending_cids() == ["old"]
    past.hash("old")
    past.match()
    assert "old" in {cid for cid, *_ in past.matches()}


def test_images_hashed_after_the_newest_was_forgotten_are_matched(tmp_path: Path) -> None:
    past = Past.under(tmp_path)
    past.add(post("old", at=days_ago(10)))
    past.hash("old")
    past.match()
    forget_hours(past.store.posts, past.store.warehouse, hours_of(10))
    past.add(post("new"))
    past.hash("new")
    past.match()
    assert past.images_in("rule_matches") == {"new"}


def test_without_hours_nothing_happens(past: Past) -> None:
    before = past.store.posts.partition_keys()
    assert forget_hours(past.store.posts, past.store.warehouse, []) == Forgotten()
    assert past.store.posts.partition_keys() == before


def test_many_images_are_forgotten_in_several_transactions(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget, "IMAGES_AT_ONCE", 1)
    monkeypatch.setattr(forget, "HOURS_AT_ONCE", 1)
    assert forget_old(past).images == 3
    assert_old_is_gone(past)


def test_an_image_that_is_posted_while_hours_are_removed_is_kept(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = forget._orphans

    def post_meanwhile(*arguments: object) -> object:
        orphans = found(*arguments)  # type: ignore[arg-type]
        past.add(post("old", did="did:plc:c"))
        return orphans

    monkeypatch.setattr(forget, "_orphans", post_meanwhile)
    forget_old(past)
    assert all("old" in past.images_in(table) for table in ("image_hashes", "rule_matches"))
    assert past.images_in("image_outcomes") == {"old", "again", "new"}


BLOBS = "abcd"


@settings(max_examples=25, deadline=None)
@given(
    placed=st.lists(st.tuples(st.sampled_from(BLOBS), st.integers(0, 3)), max_size=8),
    removed=st.sets(st.integers(0, 3)),
)
def test_whatever_was_posted_when_what_is_known_is_what_posts_have(
    tmp_path_factory: pytest.TempPathFactory,
    placed: list[tuple[str, int]],
    removed: set[int],
) -> None:
    past = Past.under(tmp_path_factory.mktemp("past"))
    for number, (blob, day) in enumerate(placed):
        past.add(post(blob, did=f"did:plc:{number}", at=days_ago(day)))
    past.hash(*{blob for blob, _ in placed})
    past.match()
    keys = set(past.store.posts.partition_keys())
    forget_hours(
        past.store.posts,
        past.store.warehouse,
        sorted(set(hours_of(*removed)) & keys),
    )
    left = {blob for blob, day in placed if day not in removed}
    assert past.posted() == left
    assert past.images_in("image_hashes") == past.images_in("rule_matches") == left
    assert past.images_in("image_outcomes") == left


def test_killed_at_any_step_nothing_that_stays_is_lost_and_the_next_completes_it(
    tmp_path: Path,
) -> None:
    step = 0
    while True:
        past = full_past(tmp_path / str(step))
        process = subprocess.run(
            [
                *(sys.executable, "-m", "tests.maintenance.killed_at"),
                *(str(tmp_path / str(step)), str(step), *OLD),
            ],
            check=False,
        )
        assert past.posted() >= {"again", "new"}
        for table in ("image_hashes", "image_outcomes", "rule_matches"):
            assert past.images_in(table) >= {"again", "new"}, f"killed at step {step}"
        left = [key for key in OLD if key in past.store.posts.partition_keys()]
        for key in set(OLD) - set(left) - set(set_aside_hours(past.store.posts)):
            assert not past.store.posts.folder(key).exists()
        forget_hours(past.store.posts, past.store.warehouse, left)
        assert_old_is_gone(past)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        step += 1
    assert step >= 9, "three hours: renamed, two folders each, the transaction, files removed"


def test_hours_set_aside_are_read_by_nobody(past: Past) -> None:
    forget._set_aside(past.store.posts, OLD[0])
    posts = ImagePosts(past.store.posts.root)
    assert OLD[0] not in posts.partition_keys()
    assert posts.files([OLD[0]]) == []
    assert set_aside_hours(posts) == [OLD[0]]
