"""The DuckDB file gets as small as its content, and nobody loses a row by it."""

import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from phash_dagster.maintenance import reclaim as module
from phash_dagster.maintenance.reclaim import (
    ReclaimError,
    Space,
    reclaim,
    replace_by_copy,
    space,
)
from phash_dagster.warehouse import Connection, Warehouse, WarehouseBusyError

pytestmark = pytest.mark.slow

ROWS = """
    INSERT INTO image_hashes BY NAME
    SELECT
        'c' || i AS blob_cid, 'average' AS algorithm, i AS hash, 1 AS quality, 1 AS width,
        1 AS height, 'jpeg' AS format, 'cdn' AS source, 'v' AS hasher_version, now() AS hashed_at,
        nextval('image_hash_numbers') AS hash_number
    FROM range($first, $after) AS numbers (i)
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """With 100,000 rows, of which 80,000 were deleted."""
    found = Warehouse(tmp_path / "warehouse.duckdb")
    with found.write() as connection:
        connection.execute(ROWS, {"first": 0, "after": 100_000})
    for least in (50_000, 20_000):
        with found.write() as connection:
            connection.execute("DELETE FROM image_hashes WHERE hash >= $1", [least])
    return found


def content(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.read() as connection:
        return connection.execute("FROM image_hashes SELECT * ORDER BY hash").fetchall()


FILES = [".warehouse.duckdb.lock", "warehouse.duckdb"]


def names(warehouse: Warehouse) -> list[str]:
    return sorted(path.name for path in warehouse.path.parent.iterdir())


def next_number(connection: Connection) -> int:
    [(number,)] = connection.execute("SELECT nextval('image_hash_numbers')").fetchall()
    return int(number)


def test_deleted_rows_leave_space_that_is_reused_and_not_given_back(warehouse: Warehouse) -> None:
    before = space(warehouse)
    assert before.free > before.used
    with warehouse.write() as connection:
        connection.execute(ROWS, {"first": 100_000, "after": 120_000})
    assert space(warehouse).total <= before.total


def test_a_copy_is_smaller_and_has_every_row(warehouse: Warehouse) -> None:
    before, rows = space(warehouse), content(warehouse)
    assert replace_by_copy(warehouse)
    assert content(warehouse) == rows
    assert space(warehouse).total < before.total / 2
    assert space(warehouse).free == 0


def test_numbers_go_on_where_they_stood_and_keys_are_kept(warehouse: Warehouse) -> None:
    replace_by_copy(warehouse)
    with warehouse.write() as connection:
        assert next_number(connection) == 100_001
    with pytest.raises(duckdb.ConstraintException), warehouse.write() as connection:
        connection.execute(ROWS, {"first": 0, "after": 1})


def test_little_free_space_is_left_alone(warehouse: Warehouse) -> None:
    number = warehouse.path.stat().st_ino
    assert reclaim(warehouse, others_wait=False).note.startswith("free blocks are reused")
    assert warehouse.path.stat().st_ino == number


@pytest.mark.parametrize("others_wait", [True, False])
def test_a_large_file_is_copied_only_while_nobody_waits(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, *, others_wait: bool
) -> None:
    monkeypatch.setattr(module, "MIN_FREE_BYTES", 1)
    monkeypatch.setattr(module, "MAX_BYTES_ONLINE", 1)
    done = reclaim(warehouse, others_wait=others_wait)
    assert ("stop the pipeline" in done.note) is others_wait
    assert (done.after == done.before) is others_wait


def test_what_is_worth_a_copy() -> None:
    assert Space(600_000_000, 300_000_000).is_worth_a_copy
    assert not Space(601_000_000, 300_000_000).is_worth_a_copy
    assert not Space(200_000_000, 199_000_000).is_worth_a_copy


def test_without_a_file_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert reclaim(Warehouse(tmp_path / "none.duckdb"), others_wait=True).before == Space()


def test_a_copy_that_lacks_something_is_thrown_away(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, rows = module._content, content(warehouse)

    def lossy(connection: Connection, database: str) -> list[tuple[object, ...]]:
        return found(connection, database)[database == "new" :]

    monkeypatch.setattr(module, "_content", lossy)
    with pytest.raises(ReclaimError, match="thrown away"):
        replace_by_copy(warehouse)
    assert content(warehouse) == rows
    assert names(warehouse) == FILES


def write_numbers(path: Path, writer: int, count: int) -> None:
    """Add rows one by one, each in a transaction of its own."""
    for number in range(count):
        with Warehouse(path).write() as connection:
            first = 1_000_000 + writer * 1_000 + number
            connection.execute(ROWS, {"first": first, "after": first + 1})


def test_nothing_is_lost_that_others_write_while_the_file_is_replaced(
    warehouse: Warehouse,
) -> None:
    before = {row[0] for row in content(warehouse)}
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=write_numbers, args=(warehouse.path, writer, 25))
        for writer in range(3)
    ]
    for writer in writers:
        writer.start()
    replaced = 0
    while any(writer.is_alive() for writer in writers):
        replaced += replace_by_copy(warehouse)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert replaced > 1
    added = {
        f"c{1_000_000 + writer * 1_000 + number}" for writer in range(3) for number in range(25)
    }
    assert {row[0] for row in content(warehouse)} == before | added


def test_nobody_opens_the_file_while_it_is_replaced(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = Warehouse(warehouse.path, lock_wait_seconds=0.05)
    opened: list[str] = []
    copy = module._copy

    def copy_while_others_try(connection: Connection, target: Path) -> None:
        copy(connection, target)
        for use in (impatient.read, impatient.write):
            with pytest.raises(WarehouseBusyError), use():
                opened.append(use.__name__)

    monkeypatch.setattr(module, "_copy", copy_while_others_try)
    assert replace_by_copy(warehouse)
    assert opened == []
    assert len(content(warehouse)) == 20_000


def test_who_reads_the_file_is_waited_for(warehouse: Warehouse) -> None:
    impatient = Warehouse(warehouse.path, lock_wait_seconds=0.05)
    inode = warehouse.path.stat().st_ino
    with warehouse.read(), pytest.raises(WarehouseBusyError):
        replace_by_copy(impatient)
    assert warehouse.path.stat().st_ino == inode
    assert replace_by_copy(impatient)


def test_killed_at_any_step_the_file_is_the_old_one_or_the_new(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    rows, original = content(warehouse), warehouse.path.read_bytes()
    step = 0
    while True:
        killed = Warehouse(tmp_path / str(step) / "warehouse.duckdb")
        killed.path.parent.mkdir()
        killed.path.write_bytes(original)
        process = subprocess.run(
            [sys.executable, "-m", "tests.maintenance.copied_at", str(killed.path), str(step)],
            check=False,
        )
        assert content(killed) == rows
        with killed.write() as connection:
            assert next_number(connection) == 100_001
        assert replace_by_copy(killed)
        assert names(killed) == FILES
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        step += 1
    assert step >= 5, "copied, synced, renamed, two folders"
