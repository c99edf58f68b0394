"""A ledger of every earlier version is brought up to date, on SQLite and on PostgreSQL.

Whoever changes the schema adds the version that it makes to `ledger_versions/`.
"""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitSummary
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_database import open_engine
from phash_dagster.moderation.ledger_limits import Batch
from phash_dagster.moderation.ledger_reviews import Reviewed
from phash_dagster.moderation.ledger_schema import metadata
from tests.moderation.builders import NOW, TTL, ManualClock, action_on_post
from tests.moderation.scripted_ozone import AT_ONCE, ScriptedOzone

pytestmark = pytest.mark.slow

VERSIONS = sorted(Path(__file__).with_name("ledger_versions").glob("*.sql"))

KEYS = {
    "sqlite": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL NOT NULL PRIMARY KEY",
}
TIMES = {"sqlite": "DATETIME", "postgresql": "TIMESTAMP WITH TIME ZONE"}

SENT, PLANNED, HELD = 1, 2, 3
"""Numbers of the rows that every version has."""

Rows = dict[str, list[dict[str, Any]]]
Schema = dict[str, dict[str, Any]]


def create(url: str, version: Path) -> Rows:
    """A ledger as this version left it; its rows as they are stored."""
    engine = create_engine(url)
    kind = engine.dialect.name
    script = version.read_text().replace("{key}", KEYS[kind]).replace("{time}", TIMES[kind])
    with engine.begin() as connection:
        if kind == "postgresql":
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")  # as the times are written
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    found = rows(engine)
    engine.dispose()
    return found


def rows(engine: Engine) -> Rows:
    """Every row of every table, as the driver gives it."""
    with engine.connect() as connection:
        return {
            table: [
                dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()
            ]
            for table in inspect(connection).get_table_names()
        }


def schema(engine: Engine) -> Schema:
    """What a database says of its tables, whatever the order."""
    found = inspect(engine)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(table)
            },
            "key": found.get_pk_constraint(table),
            "indexes": sorted(found.get_indexes(table), key=lambda index: str(index["name"])),
            "unique": found.get_unique_constraints(table),
            "foreign": found.get_foreign_keys(table),
            "checks": found.get_check_constraints(table),
        }
        for table in found.get_table_names()
    }


def schema_of_today(engine: Engine) -> Schema:
    """The schema of a new ledger, made in the place of the one that is there."""
    metadata.drop_all(engine)
    engine.dispose()
    new = open_engine(engine.url.render_as_string(hide_password=False))
    found = schema(new)
    new.dispose()
    return found


@pytest.fixture(params=VERSIONS, ids=lambda path: path.stem)
def version(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def old_url(ledger_url: str, version: Path) -> str:
    """A ledger of an earlier version that nobody has opened since."""
    create(ledger_url, version)
    return ledger_url


def get(ledger: Ledger, action_id: int) -> Action:
    found = ledger.get(action_id)
    assert found is not None
    return found


def test_the_newest_version_here_is_that_of_today(ledger_url: str) -> None:
    create(ledger_url, VERSIONS[-1])
    engine = create_engine(ledger_url)
    assert schema(engine) == schema_of_today(engine)


def test_its_schema_becomes_that_of_a_new_ledger(old_url: str) -> None:
    engine = open_engine(old_url)
    assert schema(engine) == schema_of_today(engine)


def test_its_rows_stay_as_they_were(ledger_url: str, version: Path) -> None:
    before = create(ledger_url, version)
    assert all(before.values()), "a table without a row tells nothing"
    engine = open_engine(ledger_url)
    after = rows(engine)
    engine.dispose()
    assert before == {
        table: [
            {name: row[name] for name in old} for old, row in zip(kept, after[table], strict=True)
        ]
        for table, kept in before.items()
    }


def test_what_it_did_is_not_done_again(old_url: str) -> None:
    with Ledger(old_url, ManualClock()) as ledger:
        again = [action_on_post(rkey) for rkey in ("sent", "planned", "held")]
        assert ledger.record(again, claim_ttl=TTL) == 0
        assert ledger.record([action_on_post("new")], claim_ttl=TTL) == 1


def test_what_it_planned_is_sent(old_url: str) -> None:
    with Ledger(old_url, ManualClock()) as ledger:
        ozone = ScriptedOzone()
        assert emit_actions(ledger, ozone, AT_ONCE) == EmitSummary(sent=1)
        assert [action.subject_cid for action in ozone.asked] == ["bafyreiplanned"]
        assert get(ledger, PLANNED).state is State.SENT


def test_what_it_held_can_be_released_and_is_sent(old_url: str) -> None:
    with Ledger(old_url, ManualClock()) as ledger:
        assert ledger.reviews.release([HELD], "ana") == Reviewed((HELD,))
        assert emit_actions(ledger, ScriptedOzone(), AT_ONCE) == EmitSummary(sent=2)
        assert get(ledger, HELD).state is State.SENT


def test_what_it_planned_can_be_held(old_url: str) -> None:
    batch = Batch(batch_id="batch-1", state="held", posts=9, accounts=9, images=9, evaluated_at=NOW)
    with Ledger(old_url, ManualClock()) as ledger:
        ledger.limits.judge_batch(batch)
        assert get(ledger, PLANNED).state is State.HELD
        assert get(ledger, SENT).state is State.SENT
