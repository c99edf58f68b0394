"""Accounts that nothing is done to, whatever their images match: by name, or since a list has them.

A list names accounts that somebody trusts, on the network; `exempt_lists` reads its members.
Here is what the pipeline goes by: the settings, and the members as they were last read.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import pyarrow as pa

from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

BY_NAME: Final = "account is exempt (EXEMPT_DIDS)"
"""The reason where the settings name the account."""

_TIME = pa.timestamp("us", tz="UTC")
_LISTS = pa.schema(
    {
        "list_uri": pa.string(),
        "read_at": _TIME,
        "members": pa.int32(),
        "tried_at": _TIME,
        "problem": pa.string(),
    }
)


class ListState(NamedTuple):
    """What is known of a list in `EXEMPT_LISTS`."""

    list_uri: str
    read_at: datetime | None
    """When its members were last read, all of them; None: never."""
    members: int | None
    """How many it had then; they are the ones that are exempt."""
    tried_at: datetime
    """When it was last asked for."""
    problem: str | None
    """Why the last attempt changed nothing; None: it succeeded."""


def by_list(list_uri: str) -> str:
    """The reason where a list has the account."""
    return f"account is exempt (list {list_uri})"


def exempt_accounts(
    connection: Connection, settings: Settings, dids: Collection[str]
) -> Mapping[str, str]:
    """Which of these accounts are exempt, each with the reason.

    A list that is no longer in `EXEMPT_LISTS` exempts nobody, whatever was read of it.
    """
    wanted = {"dids": sorted(dids), "lists": list(settings.exempt_lists)}
    listed = connection.execute(statement("moderation/exempt_accounts"), wanted).fetchall()
    named = {did: BY_NAME for did in settings.exempt_dids if did in dids}
    return {did: by_list(list_uri) for did, list_uri in listed} | named


def list_states(connection: Connection, settings: Settings) -> list[ListState]:
    """What is known of the lists in `EXEMPT_LISTS`; never asked for: left out."""
    rows = connection.execute(
        statement("moderation/exempt_lists"), {"lists": list(settings.exempt_lists)}
    ).fetchall()
    return [ListState(*row) for row in rows]


def never_read(connection: Connection, settings: Settings) -> tuple[str, ...]:
    """The lists in `EXEMPT_LISTS` whose members are not known: nothing may be sent meanwhile."""
    read = {state.list_uri for state in list_states(connection, settings) if state.read_at}
    return tuple(uri for uri in settings.exempt_lists if uri not in read)


def save_lists(
    connection: Connection,
    states: Iterable[ListState],
    members: Mapping[str, Collection[str]],
    settings: Settings,
) -> None:
    """Keep what was read. Runs within the caller's transaction.

    Args:
        connection: A connection to the warehouse.
        states: Of all lists that were asked for.
        members: The DIDs on those that were read.
        settings: What is known of lists that they no longer name is forgotten.
    """
    connection.register(
        "read_lists", pa.Table.from_pylist([state._asdict() for state in states], schema=_LISTS)
    )
    connection.execute(statement("moderation/save_exempt_lists"))
    connection.unregister("read_lists")
    rows = [(uri, did) for uri, dids in members.items() for did in sorted(dids)]
    connection.register("read_members", _members_table(rows))
    replaced = {"read": sorted(members), "lists": list(settings.exempt_lists)}
    connection.execute(statement("moderation/forget_exempt_accounts"), replaced)
    connection.execute(statement("moderation/save_exempt_accounts"))
    connection.execute(
        statement("moderation/forget_exempt_lists"), {"lists": list(settings.exempt_lists)}
    )
    connection.unregister("read_members")


def _members_table(rows: Iterable[tuple[str, str]]) -> pa.Table:
    lists, dids = zip(*rows, strict=True) if rows else ((), ())
    return pa.table({"list_uri": pa.array(lists, pa.string()), "did": pa.array(dids, pa.string())})
