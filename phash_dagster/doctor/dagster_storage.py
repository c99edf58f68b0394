"""Dagster's own storage: runs, events, positions of sensors, in SQLite or PostgreSQL.

It is read without Dagster, which would make what is missing.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import Connection, NullPool, create_engine, func, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from phash_dagster.database_url import is_ambiguous, place_of, words_of
from phash_dagster.doctor.machine import existing_parent
from phash_dagster.doctor.model import Finding, Patient, ok, problem, skipped, warning
from phash_dagster.doctor.storage import unusable_file, why_not_writable
from phash_dagster.stack import home_of, is_instance_file_ours, storage_is_named_by_url

ABOUT: Final = "dagster"
CONNECT_SECONDS: Final = 10

_FILES: Final = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_TABLES: Final = ("runs", "event_logs", "job_ticks")
"""One of each part of the storage. In SQLite each part is a file."""

_WRITE: Final = (
    "Write DAGSTER_STORAGE_URL as postgresql+psycopg2://user:password@host/database, "
    "with @ : / # ? in a password written as %40 %3A %2F %23 %3F."
)

_ELSEWHERE: Final = frozenset({"storage", "run_storage", "schedule_storage"})
"""What in `dagster.yaml` names another storage than the usual files."""


def look_at_dagster(patient: Patient) -> Iterator[Finding]:
    """Whether the services can use the storage that they would, and its schema is of today."""
    settings = patient.settings
    home, url = home_of(settings, patient.around.environment), settings.dagster_storage_url
    file = home / "dagster.yaml"
    if is_instance_file_ours(settings, home):
        yield _look_at_server(url) if url else _look_at_files(home, patient)
        return
    try:
        named = _ELSEWHERE & _content(file).keys()
        by_url = storage_is_named_by_url(file)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        yield problem(
            ABOUT,
            f"{file} cannot be read ({_first_line(error)})",
            "Mend it. Without it the next start puts the shipped one in its place.",
        )
        return
    if by_url:
        yield _look_at_server(url) if url else _nameless(file)
    elif named:
        yield skipped(ABOUT, f"{file} names a storage of its own, which is not looked at")
    elif url:
        yield warning(
            ABOUT,
            f"DAGSTER_STORAGE_URL is set, and {file} does not use it: the storage is in {home}",
            "Put the end of deploy/dagster.yaml into that file, or unset DAGSTER_STORAGE_URL.",
        )
    else:
        yield _look_at_files(home, patient)


def _content(file: Path) -> Mapping[str, Any]:
    content = yaml.safe_load(file.read_text("utf-8")) or {}
    if not isinstance(content, Mapping):
        raise TypeError("no settings, but one value")
    return content


def _nameless(file: Path) -> Finding:
    return problem(
        ABOUT,
        f"{file} takes the storage from DAGSTER_STORAGE_URL, and that is not set",
        "Set it as the services have it.",
    )


# SQLite


def _look_at_files(home: Path, patient: Patient) -> Finding:
    files = [path for name in _FILES if (path := home / name).exists()]
    if reason := _why_unusable(home, files, patient):
        advice = "Give it to the user that runs the pipeline, or name another in DAGSTER_HOME."
        return problem(ABOUT, reason, advice)
    if not files:
        return skipped(ABOUT, f"there is none yet: the pipeline makes it (SQLite in {home})")
    revisions = set()
    for file in files:
        try:
            revisions.add(_revision_in(file))
        except sqlite3.Error as error:
            return problem(
                ABOUT,
                f"{file} cannot be read ({_first_line(error)})",
                "If the file is damaged, stop the pipeline and restore a backup: "
                "docs/production.md.",
            )
    return _judged(revisions, f"SQLite in {home}")


def _why_unusable(home: Path, files: list[Path], patient: Patient) -> str:
    """Why Dagster could not write there; empty: it can."""
    if not home.exists() and home.is_relative_to(patient.settings.data_dir):
        return ""  # the check of DATA_DIR says it
    parent = existing_parent(home)
    if not parent.is_dir():
        return f"{parent} is not a folder"
    for folder in dict.fromkeys((parent, *(file.parent for file in files))):
        if error := why_not_writable(folder):
            return f"{folder} cannot be written ({error})"
    return next(filter(None, map(unusable_file, files)), "")


def _revision_in(file: Path) -> str:
    # As the ledger is read: who opens a file that nobody has open would leave files beside it.
    in_use = file.with_name(f"{file.name}-wal").exists()
    address = f"{file.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


# PostgreSQL


def _look_at_server(url: str) -> Finding:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # its text may hold a part of the password
        return problem(ABOUT, "DAGSTER_STORAGE_URL is not the URL of a database", _WRITE)
    unclear = is_ambiguous(url, parsed)
    place = parsed.drivername if unclear else place_of(parsed)
    timeout = {"connect_timeout": CONNECT_SECONDS}
    try:
        engine = create_engine(parsed, poolclass=NullPool, connect_args=timeout)
        with engine.connect() as connection:
            return _judged_server(connection, place)
    except (SQLAlchemyError, OSError, ValueError, TypeError) as error:
        # The last two: options in the URL that the driver does not know.
        words = type(error).__name__ if unclear else _first_line(words_of(error, parsed))
    advice = "Check DAGSTER_STORAGE_URL, and whether its database is up."
    if "password" in words:
        advice = f"Check user and password. {_WRITE}"
    return problem(ABOUT, f"{place} cannot be used ({words})", advice)


def _judged_server(connection: Connection, place: str) -> Finding:
    if connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
        return problem(
            ABOUT,
            f"{place} takes no changes: it is a standby, or set to be read only",
            "Name the server that takes changes in DAGSTER_STORAGE_URL.",
        )
    found = inspect(connection)
    tables = [name for name in _TABLES if found.has_table(name)]
    if lacking := _lacking_rights(connection, tables):
        user = connection.scalar(text("SELECT current_user"))
        return problem(
            ABOUT,
            f"{place}: the user {user} may not {lacking}",
            "Let the user that runs the pipeline own the database or its tables.",
        )
    if not tables:
        return skipped(ABOUT, f"there is none yet: the pipeline makes it ({place})")
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return _judged({str(revision or "")}, place)


def _lacking_rights(connection: Connection, tables: list[str]) -> str:
    """What the user may not do and has to; empty: nothing."""
    if not tables:
        may = func.has_schema_privilege(func.current_schema(), "CREATE")
        return "" if connection.scalar(select(may)) else "make tables"
    for table in tables:
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            if not connection.scalar(select(func.has_table_privilege(table, right))):
                return f"{right} in the table {table}"
    return ""


# Both


def _judged(revisions: set[str], place: str) -> Finding:
    # Imported here: it brings Dagster.
    from phash_dagster.defs.storage_schema import known_revisions

    known = known_revisions()
    if unknown := sorted(revisions - set(known)):
        return problem(
            ABOUT,
            f"{place}: its schema {unknown[0] or 'without a number'} is not known to this Dagster",
            "Install the release again that wrote it, or restore a backup from before.",
        )
    if revisions != {known[0]}:
        return problem(
            ABOUT,
            f"{place}: its schema is of an earlier Dagster, {len(revisions - {known[0]})} of its "
            "parts are to be brought up to date",
            "Stop the pipeline, make a backup, and run `dagster instance migrate` with the "
            "services' environment; Dagster does not do it by itself.",
        )
    return ok(ABOUT, f"{place}, its schema is that of this Dagster")


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0][:200]
