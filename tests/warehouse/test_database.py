"""The DuckDB access path."""

import multiprocessing
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb
import pytest

from phash_dagster.sql import statements
from phash_dagster.warehouse import Warehouse, WarehouseBusyError

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def partitions(warehouse: Warehouse) -> list[tuple[str]]:
    with warehouse.read() as connection:
        return connection.execute(
            "SELECT partition_key FROM partition_matches ORDER BY ALL"
        ).fetchall()


def insert(warehouse: Warehouse, key: str) -> None:
    with warehouse.write() as connection:
        connection.execute(
            "INSERT INTO partition_matches VALUES ($1, 'v', current_timestamp)", [key]
        )


def test_the_first_use_creates_the_tables(warehouse: Warehouse) -> None:
    assert partitions(warehouse) == []


def test_every_migration_is_applied_once(warehouse: Warehouse) -> None:
    for key in ("a", "b"):
        insert(warehouse, key)
    with warehouse.read() as connection:
        applied = connection.execute("SELECT name FROM schema_migrations ORDER BY ALL").fetchall()
    assert [name for (name,) in applied] == list(statements("schema"))


def test_a_file_of_an_earlier_release_is_brought_up_to_date_before_it_is_read(
    warehouse: Warehouse,
) -> None:
    first, *_ = statements("schema").items()
    warehouse.path.parent.mkdir(parents=True)
    with duckdb.connect(warehouse.path) as connection:
        connection.execute(
            "CREATE TABLE schema_migrations (name VARCHAR PRIMARY KEY, "
            "applied_at TIMESTAMPTZ NOT NULL DEFAULT current_timestamp)"
        )
        connection.execute(first[1])
        connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", [first[0]])
    assert partitions(warehouse) == []


def test_a_block_that_raises_changes_nothing(warehouse: Warehouse) -> None:
    def fail() -> None:
        with warehouse.write() as connection:
            connection.execute("INSERT INTO partition_matches VALUES ('a', 'v', now())")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert partitions(warehouse) == []


def test_times_are_read_in_utc(warehouse: Warehouse) -> None:
    with warehouse.read() as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)


def hold(path: Path, holding: Event, seconds: float) -> None:
    connection = duckdb.connect(path)
    holding.set()
    time.sleep(seconds)
    connection.close()


def test_a_file_in_use_is_waited_for(warehouse: Warehouse) -> None:
    insert(warehouse, "before")
    holding = SPAWN.Event()
    other = SPAWN.Process(target=hold, args=(warehouse.path, holding, 1.0))
    other.start()
    assert holding.wait(30)
    insert(warehouse, "after")
    other.join()
    assert partitions(warehouse) == [("after",), ("before",)]


def test_a_file_that_stays_in_use_is_an_error_that_says_what_to_do(warehouse: Warehouse) -> None:
    insert(warehouse, "before")
    impatient = Warehouse(warehouse.path, lock_wait_seconds=0.3)
    holding = SPAWN.Event()
    other = SPAWN.Process(target=hold, args=(warehouse.path, holding, 60))
    other.start()
    assert holding.wait(30)
    with pytest.raises(WarehouseBusyError, match="Close programs that have this file open"):
        insert(impatient, "never")
    other.kill()
    other.join()


@pytest.mark.parametrize("use", ["read", "write"])
def test_nobody_looks_at_the_file_before_who_writes_has_closed_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    """DuckDB reads the file's headers before it locks it, and would take old ones for current."""
    insert(warehouse, "before")
    impatient = Warehouse(warehouse.path, lock_wait_seconds=0.1)
    looks: list[object] = []
    with duckdb.connect() as connection, warehouse.write():
        monkeypatch.setattr(duckdb, "connect", lambda *given, **_: looks.append(given))
        with (
            pytest.raises(WarehouseBusyError, match="pipeline itself"),
            getattr(impatient, use)(),
        ):
            pass
        # DuckDB itself lets the same process in.
        with (
            pytest.raises(WarehouseBusyError, match="pipeline itself"),
            impatient.attached(connection, "old"),
        ):
            pass
    assert looks == []


def test_who_reads_keeps_writers_out_and_no_readers(warehouse: Warehouse) -> None:
    insert(warehouse, "before")
    impatient = Warehouse(warehouse.path, lock_wait_seconds=0.1)
    with warehouse.read():
        assert partitions(impatient) == [("before",)]
        with pytest.raises(WarehouseBusyError):
            insert(impatient, "never")
    insert(impatient, "after")
    assert partitions(warehouse) == [("after",), ("before",)]


def insert_many(path: Path, name: str, count: int) -> None:
    for number in range(count):
        insert(Warehouse(path), f"{name}-{number}")


@pytest.mark.slow
def test_what_many_processes_write_in_turn_is_all_there(warehouse: Warehouse) -> None:
    insert(warehouse, "before")
    names, count = "abcd", 40
    writers = [
        SPAWN.Process(target=insert_many, args=(warehouse.path, name, count)) for name in names
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = {key for (key,) in partitions(warehouse)}
    assert found == {"before", *(f"{name}-{number}" for name in names for number in range(count))}


def test_a_fault_that_is_no_lock_is_not_retried(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(b"this is no database, but long enough to be looked at" * 400)
    started = time.monotonic()
    with pytest.raises(duckdb.Error), Warehouse(path).read():
        pass
    assert time.monotonic() - started < 10
