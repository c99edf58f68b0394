"""A database in memory with the schema."""

from collections.abc import Iterator

import duckdb
import pytest

from phash_dagster.sql import statements
from phash_dagster.warehouse import Connection


@pytest.fixture
def connection() -> Iterator[Connection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for text in statements("schema").values():
            connection.execute(text)
        yield connection
