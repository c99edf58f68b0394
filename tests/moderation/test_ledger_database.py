"""Opening the ledger's database."""

import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, inspect

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import LedgerError, open_engine
from phash_dagster.moderation.ledger_schema import moderation_actions, to_row
from tests.moderation.builders import NOW, TTL, action_on_post

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


FIRST_RELEASE = """
CREATE TABLE moderation_actions (
    action_id {key}, external_id VARCHAR NOT NULL UNIQUE, subject_uri VARCHAR,
    subject_did VARCHAR NOT NULL, subject_cid VARCHAR, source_uri VARCHAR NOT NULL,
    blob_cids JSON NOT NULL, event VARCHAR NOT NULL, value VARCHAR NOT NULL,
    rule_id VARCHAR NOT NULL, rule_version VARCHAR NOT NULL, rule_hash VARCHAR NOT NULL,
    distance INTEGER NOT NULL, comment VARCHAR NOT NULL, report_reason VARCHAR,
    lane VARCHAR NOT NULL, mode VARCHAR NOT NULL, state VARCHAR NOT NULL, reason VARCHAR,
    attempts INTEGER NOT NULL, ozone_event_id BIGINT, batch_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL, planned_at {time} NOT NULL, sent_at {time}, updated_at {time} NOT NULL
)
"""
"""The table as the first release made it."""

KEYS = {
    "sqlite": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL PRIMARY KEY",
}
TIMES = {"sqlite": "DATETIME", "postgresql": "TIMESTAMP WITH TIME ZONE"}


def test_a_ledger_of_the_first_release_is_brought_up_to_date(ledger_url: str) -> None:
    sent = replace(action_on_post(), state=State.SENT, sent_at=NOW, attempts=1)
    engine = create_engine(ledger_url)
    kind = engine.dialect.name
    with engine.begin() as connection:
        connection.exec_driver_sql(FIRST_RELEASE.format(key=KEYS[kind], time=TIMES[kind]))
        old = {
            column["name"] for column in inspect(connection).get_columns("moderation_actions")
        } - {"action_id"}
        row = {name: value for name, value in to_row(sent, NOW).items() if name in old}
        connection.execute(insert(moderation_actions).values(row))
    engine.dispose()
    with Ledger(ledger_url) as ledger:
        assert ledger.get(1) == replace(sent, action_id=1, updated_at=NOW)
        assert ledger.claims([sent.claim], NOW).live == {sent.claim}
        assert ledger.record([action_on_post("another")], claim_ttl=TTL) == 1


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
