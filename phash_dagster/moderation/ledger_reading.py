"""Reads the ledger as a stranger does: without creating, changing or locking anything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import stamina
from sqlalchemy import Connection, Engine, create_engine, func, inspect, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.ledger_database import LedgerError, chunks
from phash_dagster.moderation.ledger_schema import (
    backfill_batches,
    metadata,
    moderation_actions,
    quarantined_hashes,
    to_action,
)
from phash_dagster.moderation.row_filter import RowFilter

_T = moderation_actions.c
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCount:
    """How many rows are alike."""

    state: State
    event: str
    value: str
    rule_id: str
    reason: str | None
    rows: int
    accounts: int
    """How many accounts they concern."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Some actions, and how many there are."""

    actions: tuple[Action, ...] = ()
    """Those planned last first; no more than were asked for."""
    counts: tuple[RowCount, ...] = ()
    """All of them, counted."""
    held_as_a_whole: tuple[str, ...] = ()
    """Held backfills and quarantined hashes, in words."""

    @property
    def total(self) -> int:
        """How many actions there are."""
        return sum(each.rows for each in self.counts)


@dataclass(frozen=True, slots=True)
class Shown:
    """One action, and the rows that undo it."""

    action: Action
    undone_by: tuple[Action, ...] = ()


def list_actions(url: str, which: RowFilter, limit: int) -> Listing:
    """The actions that are meant, and figures about all of them.

    Raises:
        LedgerError: The ledger cannot be read.
    """

    def look(connection: Connection) -> Listing:
        return Listing(
            tuple(rows_in(connection, which, limit)),
            tuple(counts_in(connection, which)),
            tuple(_held_as_a_whole(connection)),
        )

    return read_ledger(url, look, nothing=Listing())


def show_actions(url: str, which: RowFilter, limit: int) -> tuple[Shown, ...]:
    """The actions that are meant, those planned last first, with what undoes them.

    Raises:
        LedgerError: The ledger cannot be read.
    """

    def look(connection: Connection) -> tuple[Shown, ...]:
        rows = rows_in(connection, which, limit)
        undos = undos_of(connection, [row.action_id for row in rows])
        return tuple(
            Shown(row, tuple(undo for undo in undos if undo.undoes == row.action_id))
            for row in rows
        )

    nothing: tuple[Shown, ...] = ()
    return read_ledger(url, look, nothing=nothing)


def read_ledger(url: str, look: Callable[[Connection], _Found], *, nothing: _Found) -> _Found:
    """What `look` finds; `nothing` if there is no ledger yet.

    Args:
        url: As `LEDGER_URL`.
        look: Is given a connection for reading, and may be called again.
        nothing: The answer where there is no ledger.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    try:
        return _look_at(make_url(url), look, nothing)
    except (SQLAlchemyError, OSError) as error:
        cause = type(error).__name__
    # Raised out here: the driver's own error may quote the URL, and with it the password.
    raise LedgerError(f"cannot read the ledger ({cause}); check LEDGER_URL")


def rows_in(connection: Connection, which: RowFilter, limit: int | None = None) -> list[Action]:
    """The rows that are meant, those recorded last first.

    Raises:
        LedgerError: The ledger is of an earlier release.
    """
    require_current(connection)
    statement = (
        select(moderation_actions)
        .where(which.condition())
        .order_by(_T.action_id.desc())
        .limit(limit)
    )
    return [to_action(row) for row in connection.execute(statement).mappings()]


def counts_in(connection: Connection, which: RowFilter) -> list[RowCount]:
    """How many rows are meant, by state, event, value, rule and reason; the most first."""
    alike = (_T.state, _T.event, _T.value, _T.rule_id, _T.reason)
    rows = func.count().label("rows")
    statement = (
        select(*alike, rows, func.count(_T.subject_did.distinct()).label("accounts"))
        .where(which.condition())
        .group_by(*alike)
        .order_by(rows.desc(), *alike)
    )
    return [
        RowCount(**{**row, "state": State(row["state"])})
        for row in connection.execute(statement).mappings()
    ]


def undos_of(connection: Connection, action_ids: list[int]) -> list[Action]:
    """The rows that take these actions back."""
    return [
        to_action(row)
        for chunk in chunks(action_ids)
        for row in connection.execute(
            select(moderation_actions).where(_T.undoes.in_(chunk)).order_by(_T.action_id)
        ).mappings()
    ]


def _held_as_a_whole(connection: Connection) -> list[str]:
    """The backfills that are held and the hashes that are quarantined, in words."""
    backfills = select(backfill_batches).where(backfill_batches.c.state == "held")
    quarantined = select(quarantined_hashes).where(quarantined_hashes.c.lifted_at.is_(None))
    return [
        *(
            f"Held as a whole: {row['batch_id']}: {row['reason']}"
            for row in connection.execute(backfills).mappings()
        ),
        *(
            f"Quarantined: {row['rule_hash']} of rule {row['rule_id']}: {row['reason']}"
            for row in connection.execute(quarantined).mappings()
        ),
    ]


def require_current(connection: Connection) -> None:
    """Make sure that the ledger has the tables and columns of this release.

    Raises:
        LedgerError: It does not.
    """
    found = inspect(connection)
    for table in metadata.sorted_tables:
        present = found.has_table(table.name) and found.get_columns(table.name)
        names = {column["name"] for column in present or ()}
        if missing := [column.name for column in table.columns if column.name not in names]:
            raise LedgerError(
                f"the ledger is of an earlier release (no {missing[0]} in {table.name}); start the "
                "pipeline once, which brings it up to date"
            )


def _look_at(url: URL, look: Callable[[Connection], _Found], nothing: _Found) -> _Found:
    if url.drivername != "sqlite":
        engine = create_engine(url, execution_options={"postgresql_readonly": True})
        return _look(engine, look, nothing)
    path = Path(str(url.database))
    return _look_at_file(path, look, nothing) if path.exists() else nothing


# A checkpoint may write to the file just while it is read as one that nobody writes to.
@stamina.retry(on=DatabaseError, attempts=3, wait_initial=0.1)
def _look_at_file(path: Path, look: Callable[[Connection], _Found], nothing: _Found) -> _Found:
    # A reader of a ledger that nobody has open would leave files beside it, unless it takes the
    # ledger for one that cannot change. Where somebody writes, what they wrote lies in `-wal`.
    in_use = path.with_name(f"{path.name}-wal").exists()
    option = "mode=ro" if in_use else "immutable=1"
    return _look(create_engine(f"sqlite:///file:{path}?{option}&uri=true"), look, nothing)


def _look(engine: Engine, look: Callable[[Connection], _Found], nothing: _Found) -> _Found:
    with _connected(engine) as connection:
        if not inspect(connection).has_table(moderation_actions.name):
            return nothing
        return look(connection)


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
