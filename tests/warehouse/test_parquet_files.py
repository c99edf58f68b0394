"""Files that are whole or not there."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phash_dagster.warehouse.parquet_files import remove_abandoned, write_durably, write_table

ONE = pa.table({"x": [1]})
TWO = pa.table({"x": [1, 2]})


def dead_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    return int(process.stdout)


def test_a_table_reads_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = write_table(ONE, tmp_path / "folder" / "one.parquet")
    assert pq.read_table(path).equals(ONE)
    assert list(path.parent.iterdir()) == [path]


def test_the_content_is_durable_before_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append(f"rename {self.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_table(ONE, tmp_path / "root" / "folder" / "one.parquet")
    temporary = f".one.parquet.{os.getpid()}.tmp"
    assert steps == [f"fsync {temporary}", f"rename {temporary}", "fsync folder", "fsync root"]


def test_a_file_has_the_time_it_is_given(tmp_path: Path) -> None:
    path = write_table(ONE, tmp_path / "one.parquet", time_us=1_700_000_000_123_456)
    assert path.stat().st_mtime_ns == 1_700_000_000_123_456_000


def test_a_full_disk_is_named_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_table(ONE, tmp_path / "one.parquet")

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match=r"No space left on device: .*one\.parquet") as raised:
        write_table(TWO, path)
    assert raised.value.errno == errno.ENOSPC
    assert pq.read_table(path).equals(ONE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_fails_its_own_test_is_not_put_in_place(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise ValueError("not what it should be")

    with pytest.raises(ValueError, match="not what"):
        write_durably(tmp_path / "one", write)
    assert list(tmp_path.iterdir()) == []


def test_half_written_files_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / f".1.parquet.{dead_process()}.tmp"
    mine = tmp_path / f".2.parquet.{os.getpid()}.tmp"
    complete = tmp_path / "3.parquet"
    foreign = tmp_path / ".other.tmp"
    for path in (abandoned, mine, complete, foreign):
        path.touch()
    assert remove_abandoned(tmp_path) == [abandoned]
    assert set(tmp_path.iterdir()) == {mine, complete, foreign}


def test_a_folder_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path / "none") == []
