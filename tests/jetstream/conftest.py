"""Fixtures of the tests of reading."""

from pathlib import Path

import pytest

from tests.jetstream.readers import Reader


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Reads a batch; dictionaries are kept in the test's folder."""
    return Reader(tmp_path / "jetstream")
