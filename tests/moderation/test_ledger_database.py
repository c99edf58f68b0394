"""Opening the ledger's database."""

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import LedgerError, open_engine

_OPEN = """
import sys
from phash_dagster.moderation.ledger import Ledger
Ledger(sys.argv[1]).close()
"""


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path / 'deep' / 'ledger.sqlite'}").close()
    assert (tmp_path / "deep" / "ledger.sqlite").is_file()


def test_a_row_is_on_disk_before_its_request_leaves(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    engine.dispose()
    full = 2
    assert settings == {"journal_mode": "wal", "synchronous": full, "busy_timeout": 30_000}


@pytest.mark.slow
def test_several_processes_may_create_the_ledger_at_once(ledger_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPEN, ledger_url], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    errors = [process.communicate()[1].decode() for process in processes]
    assert errors == [""] * 4


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://me:hush@host/db", r"postgresql\+psycopg2://"),
        ("mysql://me:hush@host/db", "mysql"),
        ("not a url hush", "not a database URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("postgresql+psycopg2://me:hush@127.0.0.1:1/db", "cannot open the ledger"),
        ("sqlite:////proc/nowhere/ledger.sqlite", "cannot open the ledger"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(LedgerError, match=words) as caught:
        Ledger(url)
    assert "LEDGER_URL" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://me@127.0.0.1:1/db?password=hush",
        "postgresql+psycopg2://me@127.0.0.1:1/db?sslmode=hush",
        "postgresql+psycopg2://me:a@hush@127.0.0.1:1/db",
        "postgresql+psycopg2://me:a@hush/b@127.0.0.1:1/db",
        "postgresql+psycopg2://me:a@b:hush@127.0.0.1/db",
        "postgresql+psycopg2://me:b#hush@127.0.0.1:1/db",
        "postgresql+psycopg2://me:hush@127.0.0.1:hush/db",
        "postgresql+psycopg2:/me:hush@127.0.0.1/db",
        "sqlite://me:hush@127.0.0.1/db",
        "sqlite:////tmp/ledger.sqlite?timeout=hush",
    ],
)
def test_no_error_or_its_cause_shows_a_part_of_the_password(url: str) -> None:
    with pytest.raises(LedgerError, match="LEDGER_URL") as caught:
        Ledger(url)
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_ledger_that_cannot_be_opened_is_named_with_what_the_driver_says() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger("postgresql+psycopg2://me:hush@127.0.0.1:1/db")
    assert "postgresql+psycopg2://127.0.0.1/db" in str(caught.value)
    assert "Connection refused" in str(caught.value)
