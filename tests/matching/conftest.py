"""A database in memory with the schema."""

from collections.abc import Iterator

import duckdb
import pytest

from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.database import _migrate


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _migrate(connection)
        yield connection
