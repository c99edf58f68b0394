"""What is kept: the data folder, the warehouse, the ledger, and the rule files."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
from sqlalchemy import Connection, inspect

from phash_dagster.doctor.machine import existing_parent
from phash_dagster.doctor.model import Finding, Patient, ok, problem, skipped, warning
from phash_dagster.moderation.ledger_database import LedgerError
from phash_dagster.moderation.ledger_reading import read_ledger
from phash_dagster.moderation.ledger_schema import metadata, moderation_actions
from phash_dagster.rules import RulesError, load_folder
from phash_dagster.warehouse import Warehouse, WarehouseBusyError

WAIT_SECONDS: Final = 10.0
"""How long the warehouse is waited for; the pipeline's own transactions take less."""


def look_at_data_dir(patient: Patient) -> Iterator[Finding]:
    """Whether the data folder can be written, which is tried without leaving a trace."""
    folder = patient.settings.data_dir
    parent = existing_parent(folder)
    advice = "Give the folder to the user that runs the pipeline, or name another in DATA_DIR."
    if not parent.is_dir():
        yield problem("storage", f"{parent} is not a folder", "Name another folder in DATA_DIR.")
    elif error := why_not_writable(parent):
        yield problem("storage", f"{parent} cannot be written ({error})", advice)
    elif parent == folder:
        yield ok("storage", f"{folder} can be written")
    else:
        yield ok("storage", f"{folder} does not exist yet and can be made")


def why_not_writable(folder: Path) -> str:
    """Why nothing can be written into a folder; empty: it can."""
    try:
        # On Linux a file that never has a name.
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def look_at_warehouse(patient: Patient) -> Iterator[Finding]:
    """Whether the DuckDB file can be opened, and is of this release."""
    warehouse = Warehouse(patient.settings.warehouse_path, lock_wait_seconds=WAIT_SECONDS)
    about, path = "warehouse", warehouse.path
    if not path.exists():
        yield skipped(about, f"{path} does not exist yet: the pipeline makes it")
        return
    try:
        schema = warehouse.schema_state()
    except WarehouseBusyError:
        yield problem(
            about,
            f"{path} is in use by another process and stays so: the pipeline waits too",
            "Close programs that have the file open (a DuckDB shell, a notebook), and query a "
            "copy instead.",
        )
        return
    except duckdb.Error as error:
        yield problem(
            about,
            f"{path} cannot be opened ({_first_line(error)})",
            "If the file is damaged, stop the pipeline and put a backup in its place; if a later "
            "release wrote it, install that release again.",
        )
        return
    if schema.unknown:
        yield problem(
            about,
            f"{path} was written by a later release: {', '.join(schema.unknown)} is not known",
            "Install that release again, or go back to a backup from before.",
        )
    elif schema.pending:
        yield warning(
            about,
            f"{path} is of an earlier release: {len(schema.pending)} changes are to be made",
            "Make a backup; the pipeline makes the changes when it starts.",
        )
    else:
        yield ok(about, f"{path.name}, {path.stat().st_size / 1e6:.0f} MB, of this release")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def look_at_ledger(patient: Patient) -> Iterator[Finding]:
    """Whether the ledger can be read, and is of this release."""
    about, advice = "ledger", "Check LEDGER_URL, and whether its database is up."
    settings = patient.settings
    if not settings.ledger_url and (reason := unusable_file(settings.data_dir / "ledger.sqlite")):
        yield problem(about, reason, "Let the user that runs the pipeline write it.")
        return
    try:
        missing = read_ledger(settings.effective_ledger_url, _missing_columns, nothing=None)
    except LedgerError as error:
        yield problem(about, str(error), advice)
        return
    where = "PostgreSQL" if settings.effective_ledger_url.startswith("postgresql") else "SQLite"
    if missing is None:
        yield skipped(about, f"there is none yet: the pipeline makes it ({where})")
    elif missing:
        yield warning(
            about,
            f"the ledger ({where}) is of an earlier release: {', '.join(missing)} is to be added",
            "Make a backup; the pipeline makes the changes when it starts.",
        )
    else:
        yield ok(about, f"{where}, of this release")


def unusable_file(path: Path) -> str:
    """What is wrong with a file that is to be written; empty: nothing, or it is not there yet."""
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"{path} cannot be written"
    return ""


def _missing_columns(connection: Connection) -> list[str] | None:
    found = inspect(connection)
    if not found.has_table(moderation_actions.name):
        return None
    missing = []
    for table in metadata.sorted_tables:
        if not found.has_table(table.name):
            missing.append(table.name)
            continue
        present = {column["name"] for column in found.get_columns(table.name)}
        missing += [
            f"{table.name}.{column.name}" for column in table.columns if column.name not in present
        ]
    return missing


def look_at_rules(patient: Patient) -> Iterator[Finding]:
    """Whether the rule files can be used, and nothing in them is dangerous."""
    about, settings = "rules", patient.settings
    if not settings.rules_dir.is_dir():
        yield warning(
            about,
            f"there is no folder {settings.rules_dir}: nothing can match",
            "Make it and put a rule file in it, or name another in RULES_DIR.",
        )
        return
    try:
        loaded = load_folder(
            settings.rules_dir, settings.phash_hamming_threshold, patient.around.clock()
        )
    except RulesError as error:
        more = len(error.problems) - 1
        yield problem(
            about,
            f"{error.problems[0]}{f'; and {more} more' if more > 0 else ''}",
            "Mend it (`phash-dagster rules lint` says everything). The last good rules stay in "
            "force.",
        )
        return
    if loaded.dangers:
        yield warning(
            about, loaded.summary, "`phash-dagster rules lint` says which hashes, and what to do."
        )
    elif not loaded.ruleset.rules:
        yield warning(
            about, "there are no rules: nothing can match", "Write some: rules/README.md."
        )
    else:
        yield ok(about, loaded.summary)
