"""What is said of Dagster's own storage, in SQLite and in PostgreSQL."""

import itertools
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, inspect, text

from phash_dagster.defs.storage_schema import known_revisions
from phash_dagster.doctor import Finding, Status, Surroundings
from phash_dagster.doctor.dagster_storage import look_at_dagster
from phash_dagster.doctor.model import Patient
from phash_dagster.settings import Settings, settings_from
from phash_dagster.stack import dagster_instance, prepare_home
from tests.doctor.conftest import Practice
from tests.doctor.test_examine import fingerprints
from tests.testnet.postgres import Postgres

pytestmark = pytest.mark.slow

WELL = "its schema is that of this Dagster"
_names = (f"dagster_{number}" for number in itertools.count())


@dataclass
class Machine:
    """A pipeline's settings, and the environment of its processes."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return settings_from({"DATA_DIR": str(self.folder / "data"), **self.variables})

    @property
    def home(self) -> Path:
        return self.folder / "data" / "dagster"

    def start(self) -> None:
        """What the services do first: make the storage."""
        with dagster_instance(prepare_home(self.settings, {**os.environ, **self.environment})):
            pass

    def look(self) -> Finding:
        around = Surroundings(environment=self.environment)
        [found] = look_at_dagster(Patient(self.settings, around))
        assert found.advice or found.status in (Status.OK, Status.SKIPPED)
        return found

    def set_revision(self, revision: str) -> None:
        """Let the runs be of another schema."""
        with sqlite3.connect(self.home / "history" / "runs.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Machine(tmp_path)


@pytest.fixture
def started(machine: Machine) -> Machine:
    machine.start()
    return machine


# SQLite


def test_before_the_first_start_there_is_none_and_none_is_made(machine: Machine) -> None:
    found = machine.look()
    assert found.status == Status.SKIPPED
    assert "the pipeline makes it (SQLite in " in found.found
    assert list(machine.folder.iterdir()) == []


def test_a_storage_of_this_dagster_is_well(started: Machine) -> None:
    found = started.look()
    assert (found.status, found.found) == (Status.OK, f"SQLite in {started.home}, {WELL}")


def test_the_doctor_looks_at_it_too(practice: Practice) -> None:
    machine = Machine(practice.folder)
    machine.start()
    assert practice.about("dagster").status == Status.OK


@pytest.mark.parametrize("is_open", [False, True])
def test_looking_leaves_no_trace(started: Machine, is_open: bool) -> None:
    environment = prepare_home(started.settings, dict(os.environ))
    with dagster_instance(environment) as instance:
        if not is_open:
            instance.dispose()
        before = fingerprints(started.folder)
        assert started.look().status == Status.OK
        after = fingerprints(started.folder)
    # What SQLite keeps for those who have it open is no content.
    assert {name: found for name, found in after.items() if "-shm" not in name} == {
        name: found for name, found in before.items() if "-shm" not in name
    }


def test_a_storage_of_an_earlier_dagster_is_a_problem_with_the_command(started: Machine) -> None:
    started.set_revision(known_revisions()[1])
    found = started.look()
    assert found.status == Status.PROBLEM
    assert "of an earlier Dagster, 1 of its parts" in found.found
    assert "`dagster instance migrate`" in found.advice


def test_what_a_running_dagster_has_just_written_is_seen(started: Machine) -> None:
    with closing(sqlite3.connect(started.home / "history" / "runs.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE alembic_version SET version_num = 'just-written'")
        connection.commit()
        assert "schema just-written is not known" in started.look().found


@pytest.mark.parametrize("revision", ["later1234567", ""])
def test_a_storage_of_a_schema_that_is_not_known_is_a_problem(
    started: Machine, revision: str
) -> None:
    started.set_revision(revision)
    found = started.look()
    assert found.status == Status.PROBLEM
    assert f"schema {revision or 'without a number'} is not known" in found.found


@pytest.mark.parametrize(
    "name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"]
)
def test_a_damaged_file_is_a_problem_that_names_it(started: Machine, name: str) -> None:
    for path in started.home.rglob("*.db-*"):
        path.unlink()
    (started.home / name).write_bytes(b"not a database" * 1000)
    found = started.look()
    assert found.status == Status.PROBLEM
    assert name in found.found
    assert "restore a backup" in found.advice


def test_a_file_that_cannot_be_written_is_a_problem(
    started: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "phash_dagster.doctor.storage.os.access", lambda path, _: path.name != "schedules.db"
    )
    found = started.look()
    assert found.status == Status.PROBLEM
    assert "schedules.db cannot be written" in found.found


@pytest.mark.parametrize(
    ("home", "reason"), [("/proc/dagster", "/proc cannot be written"), ("file", "is not a folder")]
)
def test_a_home_of_its_own_that_cannot_be_made_is_a_problem(
    machine: Machine, home: str, reason: str
) -> None:
    (machine.folder / "file").write_text("")
    machine.environment["DAGSTER_HOME"] = str(machine.folder / home)
    found = machine.look()
    assert found.status == Status.PROBLEM
    assert reason in found.found
    assert "DAGSTER_HOME" in found.advice


def test_a_data_folder_that_cannot_be_made_is_not_reported_twice(machine: Machine) -> None:
    (machine.folder / "data").write_text("")
    assert machine.look().status == Status.SKIPPED


# A dagster.yaml of the operator


@pytest.fixture
def own(machine: Machine) -> Callable[[str], Finding]:
    """Looks at a machine whose DAGSTER_HOME holds this dagster.yaml."""
    home = machine.folder / "home"
    home.mkdir()
    machine.environment["DAGSTER_HOME"] = str(home)

    def look(content: str) -> Finding:
        (home / "dagster.yaml").write_text(content)
        return machine.look()

    return look


BY_URL = "storage: {postgres: {postgres_url: {env: DAGSTER_STORAGE_URL}}}"


def test_a_file_that_wants_the_url_without_one_is_a_problem(own: Callable[[str], Finding]) -> None:
    found = own(BY_URL)
    assert found.status == Status.PROBLEM
    assert "takes the storage from DAGSTER_STORAGE_URL, and that is not set" in found.found


def test_a_url_that_the_file_does_not_use_is_a_warning(
    machine: Machine, own: Callable[[str], Finding]
) -> None:
    machine.variables["DAGSTER_STORAGE_URL"] = "postgresql+psycopg2://me:secretword@127.0.0.1:1/x"
    found = own("telemetry: {enabled: false}")
    assert found.status == Status.WARNING
    assert "DAGSTER_STORAGE_URL is set, and " in found.found
    assert "secretword" not in str(found)


def test_a_url_that_the_file_uses_is_looked_at(
    machine: Machine, own: Callable[[str], Finding]
) -> None:
    machine.variables["DAGSTER_STORAGE_URL"] = "postgresql+psycopg2://me@127.0.0.1:1/x"
    assert "//127.0.0.1/x cannot be used" in own(BY_URL).found


def test_a_storage_that_the_file_names_itself_is_not_looked_at(
    own: Callable[[str], Finding],
) -> None:
    found = own("storage: {sqlite: {base_dir: /somewhere}}")
    assert found.status == Status.SKIPPED
    assert "names a storage of its own" in found.found


def test_without_a_storage_in_the_file_it_is_in_files_beside_it(
    machine: Machine, own: Callable[[str], Finding]
) -> None:
    own("telemetry: {enabled: false}")
    machine.start()
    assert machine.look().found == f"SQLite in {machine.environment['DAGSTER_HOME']}, {WELL}"


@pytest.mark.parametrize("content", ["{", "only words", "storage: words", "[1]"])
def test_a_file_that_makes_no_sense_is_a_problem(
    own: Callable[[str], Finding], content: str
) -> None:
    found = own(content)
    assert found.status == Status.PROBLEM
    assert "dagster.yaml cannot be read" in found.found


# PostgreSQL


class Database:
    """A database of its own, and a machine whose Dagster storage is to be there."""

    def __init__(self, postgres: Postgres, machine: Machine) -> None:
        self.name = next(_names)
        self.machine = machine
        self._postgres = postgres
        postgres.create_database(self.name)
        self.url = postgres.url(self.name, scheme="postgresql+psycopg2")
        machine.variables["DAGSTER_STORAGE_URL"] = self.url

    def execute(self, *statements: str) -> None:
        engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def tables(self) -> list[str]:
        return inspect(create_engine(self.url, poolclass=NullPool)).get_table_names()

    def log_in_as(self, user: str, password: str = "") -> None:
        self.execute(f"DROP ROLE IF EXISTS {user}", f"CREATE ROLE {user} LOGIN")
        given = f"{user}:{password}" if password else user
        self.machine.variables["DAGSTER_STORAGE_URL"] = self.url.replace("postgres@", f"{given}@")

    def want_password_of(self, user: str, password: str) -> None:
        """Let this user in by its password alone; all others need none."""
        access = self._postgres.socket_dir / "data" / "pg_hba.conf"
        line = f"local all {user} scram-sha-256\n"
        access.write_text(line + access.read_text().replace(line, ""))
        self.execute(f"ALTER ROLE {user} PASSWORD '{password}'", "SELECT pg_reload_conf()")


@pytest.fixture
def database(postgres: Postgres, machine: Machine) -> Database:
    return Database(postgres, machine)


def test_in_postgresql_too_none_is_made(database: Database) -> None:
    found = database.machine.look()
    assert found.status == Status.SKIPPED
    assert f"the pipeline makes it (postgresql+psycopg2:{database.name})" in found.found
    assert database.tables() == []


def test_a_storage_in_postgresql_is_well(database: Database) -> None:
    database.machine.start()
    found = database.machine.look()
    assert found.status == Status.OK
    assert found.found == f"postgresql+psycopg2:{database.name}, {WELL}"


def test_one_of_an_earlier_dagster_is_a_problem(database: Database) -> None:
    database.machine.start()
    database.execute(f"UPDATE alembic_version SET version_num = '{known_revisions()[3]}'")
    found = database.machine.look()
    assert found.status == Status.PROBLEM
    assert "`dagster instance migrate`" in found.advice


def test_one_that_takes_no_changes_is_a_problem(database: Database) -> None:
    database.machine.start()
    database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    found = database.machine.look()
    assert found.status == Status.PROBLEM
    assert "takes no changes" in found.found


def test_a_user_that_may_make_no_tables_is_a_problem(database: Database) -> None:
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    database.log_in_as("guest")
    found = database.machine.look()
    assert found.status == Status.PROBLEM
    assert "the user guest may not make tables" in found.found


def test_a_user_that_may_only_read_is_a_problem(database: Database) -> None:
    database.machine.start()
    database.log_in_as("reader")
    database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    found = database.machine.look()
    database.execute("DROP OWNED BY reader")
    assert found.status == Status.PROBLEM
    assert "the user reader may not INSERT in the table runs" in found.found


@pytest.mark.parametrize("password", ["", "secretword"])
def test_a_wrong_password_is_a_problem_that_says_so(database: Database, password: str) -> None:
    database.log_in_as("guarded", password)
    database.want_password_of("guarded", "theright")
    found = database.machine.look()
    assert found.status == Status.PROBLEM
    assert "password" in found.found
    assert found.advice.startswith("Check user and password.")
    assert "secretword" not in str(found)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://me:secretword@127.0.0.1:1/dagster",
        "postgresql+psycopg2://me:a@secretword@127.0.0.1:1/dagster",
        "postgresql+psycopg2://me:a@secretword/b@127.0.0.1:1/dagster",
        "postgresql+psycopg2://me@127.0.0.1:1/dagster?password=secretword",
        "postgresql+psycopg2://me@127.0.0.1:1/dagster?sslmode=secretword",
        "postgresql+psycopg2://me:x@127.0.0.1:secretword/dagster",
    ],
)
def test_a_server_that_is_not_there_is_a_problem_and_the_password_stays_secret(
    machine: Machine, url: str
) -> None:
    machine.variables["DAGSTER_STORAGE_URL"] = url
    found = machine.look()
    assert found.status == Status.PROBLEM
    assert "DAGSTER_STORAGE_URL" in found.advice
    assert "secretword" not in str(found)


def test_the_driver_s_words_are_told(machine: Machine) -> None:
    machine.variables["DAGSTER_STORAGE_URL"] = "postgresql+psycopg2://me@127.0.0.1:1/dagster"
    assert "Connection refused" in machine.look().found
