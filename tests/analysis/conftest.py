"""A past and its snapshot."""

from pathlib import Path

import pytest

from phash_dagster.analysis import Snapshot, Sources, make_snapshot
from phash_dagster.ingest import IngestRecords
from phash_dagster.warehouse import Connection
from tests.analysis.reading import opened
from tests.preview.past import NOW, Past


class Snapped(Past):
    """A past of which snapshots are taken."""

    rows_per_part = 3

    @property
    def sources(self) -> Sources:
        return Sources(self.warehouse, self.posts, IngestRecords.under(self.settings.data_dir))

    @property
    def path(self) -> Path:
        return self.settings.analytics_path

    def take(self) -> Snapshot:
        return make_snapshot(self.sources, self.path, lambda: NOW, rows_per_part=self.rows_per_part)

    def open(self) -> Connection:
        return opened(self.path)


@pytest.fixture
def past(tmp_path: Path) -> Snapped:
    return Snapped(tmp_path)
