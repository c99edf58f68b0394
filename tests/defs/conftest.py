"""What the tests of the Dagster shell share."""

from collections.abc import Iterator

import dagster as dg
import pytest


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's storage in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral
