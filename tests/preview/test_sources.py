"""What a preview reads, and that it changes nothing and hides nothing from others."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import LedgerError
from phash_dagster.moderation.ledger_schema import moderation_actions
from phash_dagster.preview.ledger_rows import copy_rows, rows_of
from phash_dagster.preview.similar import Wanted, find_similar
from phash_dagster.preview.sources import OldWarehouseError, Period, take_posts
from phash_dagster.warehouse import ImagePosts
from tests.moderation.builders import action_on_post
from tests.preview.past import MEME, NOW, Past, entry, hexadecimal, near, post

pytestmark = pytest.mark.slow

Contents = dict[str, tuple[bytes, int]]


@pytest.fixture
def past(tmp_path: Path) -> Past:
    past = Past(tmp_path)
    past.hash({"x": MEME, "y": near(MEME, 2)})
    past.write(post("1", "x"), post("2", "y"))
    past.put_in_force(entry())
    past.plan()
    return past


def contents(folder: Path) -> Contents:
    """Bytes and time of change of every file; folders with the time alone."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


def test_a_preview_writes_nothing(past: Past, tmp_path: Path) -> None:
    path = past.write_rules(entry(hammingThreshold=1), entry("new", near(MEME, 20)))
    before = contents(tmp_path)
    assert past.preview(path).recorded == ()
    assert contents(tmp_path) == before


def test_a_preview_of_an_empty_folder_creates_nothing(tmp_path: Path) -> None:
    past = Past(tmp_path)
    path = past.write_rules(entry())
    before = contents(tmp_path)
    past.preview(path)
    find_similar(Wanted(hexadecimal(MEME), "average", 3), past.settings)
    assert contents(tmp_path) == before


def test_a_preview_leaves_nothing_behind(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    past.preview(past.write_rules(entry()))
    assert list(scratch.iterdir()) == []


def test_a_search_writes_nothing(past: Past, tmp_path: Path) -> None:
    before = contents(tmp_path)
    assert len(find_similar(Wanted(hexadecimal(MEME), "average", 3), past.settings)) == 2
    assert contents(tmp_path) == before


def test_the_pipeline_may_write_while_a_preview_computes(past: Past) -> None:
    """The DuckDB file is closed whenever the preview says what it does next, and at the end."""
    path = past.write_rules(entry())
    steps: list[str] = []

    def write_meanwhile(step: str) -> None:
        steps.append(step)
        duckdb.connect(past.warehouse.path).close()

    past.preview(path, progress=write_meanwhile)
    assert len(steps) == 5


def test_a_ledger_that_somebody_writes_is_read_as_it_stands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Ledger(url) as ledger:
        ledger.record([action_on_post()], claim_ttl=NOW - NOW)
        assert (tmp_path / "ledger.sqlite-wal").exists()
        [row] = actions_of(url, {"did:plc:author"})
    assert row["subject_did"] == "did:plc:author"


def actions_of(url: str, dids: set[str]) -> list[dict[str, Any]]:
    return rows_of(url, dids).get(moderation_actions, [])


def test_a_ledger_that_nobody_has_open_is_read_without_a_trace(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Ledger(url) as ledger:
        ledger.record([action_on_post()], claim_ttl=NOW - NOW)
    before = contents(tmp_path)
    assert len(actions_of(url, {"did:plc:author", "did:plc:other"})) == 1
    assert actions_of(url, {"did:plc:other"}) == []
    assert contents(tmp_path) == before


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert actions_of(f"sqlite:///{tmp_path / 'none.sqlite'}", {"did:plc:a"}) == []
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    assert actions_of(f"sqlite:///{tmp_path / 'empty.sqlite'}", {"did:plc:a"}) == []


def test_a_ledger_that_cannot_be_read_is_named_without_its_password() -> None:
    url = "postgresql+psycopg2://user:secret@127.0.0.1:9/ledger?connect_timeout=1"
    with pytest.raises(LedgerError, match="LEDGER_URL") as caught:
        rows_of(url, {"did:plc:a"})
    assert "secret" not in f"{caught.value}{caught.value.__context__}"


def test_rows_are_copied_as_they_are(tmp_path: Path) -> None:
    first, second = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "second"))
    with Ledger(first) as ledger:
        ledger.record([action_on_post(), action_on_post("other")], claim_ttl=NOW - NOW)
    copy_rows(rows_of(first, {"did:plc:author"}), second)
    with Ledger(first) as one, Ledger(second) as other:
        assert one.changed_since(NOW.replace(year=2000)) == other.changed_since(
            NOW.replace(year=2000)
        )


def test_a_database_of_an_earlier_release_is_explained(past: Past) -> None:
    with closing(duckdb.connect(past.warehouse.path)) as connection:
        connection.execute("DROP TABLE rule_versions CASCADE")
    with pytest.raises(OldWarehouseError, match="start the pipeline once"):
        past.preview(past.write_rules(entry()))


def test_files_that_go_while_they_are_read_are_looked_for_again(past: Past) -> None:
    """As when an hour is compacted."""
    keys = past.posts.partition_keys()
    images = pa.table({"blob_cid": ["x"]})
    target = ImagePosts(past.settings.data_dir / "copy")
    source = Compacting(past.posts.root)
    assert take_posts(source, Period(keys, keys), images, target) == 2
    assert source.listed > 2


class Compacting(ImagePosts):
    """Files get another name just after they were listed for the first time."""

    listed = 0

    def files(self, partition_keys: object) -> list[Path]:
        found = super().files(self.partition_keys())
        self.listed += 1
        if self.listed == 1:
            for path in found:
                path.rename(path.with_name("compacted.parquet"))
        return found
