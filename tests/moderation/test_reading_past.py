"""What planning reads of the past: right whatever the files hold, and in nobody's way."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.moderation.draft import matches_of
from phash_dagster.warehouse import Connection, ImagePost, Warehouse
from phash_dagster.warehouse.image_posts import hour_key
from tests.moderation.bench import Bench, a_rule, post
from tests.moderation.builders import NOW

pytestmark = pytest.mark.slow

START = NOW.replace(minute=0, second=0, microsecond=0)
HOURS = [hour_key(START + timedelta(hours=number)) for number in range(3)]
MATCHED = ("blob", "other")

EVENTS = st.builds(
    lambda second, rkey, cid, blob_cid, operation, position: post(
        rkey,
        at=START + timedelta(seconds=second),
        cid=None if operation == "delete" else cid,
        blob_cid=None if operation == "delete" else blob_cid,
        operation=operation,
        position=position,
    ),
    second=st.integers(0, 3 * 3600 - 1),
    rkey=st.sampled_from(["one", "two"]),
    cid=st.sampled_from(["first", "second"]),
    blob_cid=st.sampled_from([*MATCHED, "unmatched", None]),
    operation=st.sampled_from(["create", "create", "update", "delete"]),
    position=st.integers(0, 3),
)


Image = tuple[str, str, str, float]
"""AT URI, record CID, blob CID, time."""


def current_images(rows: list[ImagePost]) -> set[Image]:
    """Each image of each record as it stands now, by its latest row."""
    records = [row for row in rows if row.operation in ("create", "update")]
    records.sort(key=lambda row: row.time_us)
    cids = {row.uri: row.cid for row in records}
    images = {(row.uri, row.blob_cid): row for row in records if row.cid == cids[row.uri]}
    return {
        (row.uri, str(row.cid), str(row.blob_cid), row.time_us / 1e6)
        for row in images.values()
        if row.blob_cid in MATCHED
    }


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(EVENTS, max_size=12, unique_by=lambda row: row.time_us),
    again=st.lists(st.integers(0, 11), max_size=4),
)
def test_matches_are_those_of_the_images_that_posts_have_now(
    rows: list[ImagePost], again: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.load(a_rule())
        for blob_cid in MATCHED:
            bench.match(blob_cid)
        bench.write(*rows)
        # As after a fail-over, or in the midst of compaction.
        bench.write(*(rows[number] for number in again if number < len(rows)))
        with bench.warehouse.read() as connection:
            found = matches_of(connection, bench.posts, HOURS)
    images: list[Image] = [
        (one.uri, one.cid, one.blob_cid, one.posted_at.timestamp())
        for one in found
        if one.posted_at is not None
    ]
    assert len(set(images)) == len(found), "a match is read twice"
    assert set(images) == current_images(rows)


def test_the_warehouse_can_be_written_to_while_subjects_are_looked_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = bench.posts.in_memory
    impatient = Warehouse(bench.warehouse.path, lock_wait_seconds=0.1)

    @contextmanager
    def in_memory(keys: list[str]) -> Iterator[Connection]:
        with impatient.write(), looked_up(keys) as connection:
            yield connection

    monkeypatch.setattr(bench.posts, "in_memory", in_memory)
    bench.write(post())
    assert bench.plan().recorded == 1
    bench.plan()  # looks at what waits, too
    assert bench.states() == ["planned"]
