"""One process that ticks `jetstream_sensor` to the end of a stream, as Dagster would.

It kills itself at the n-th step that changes something on disk, if told to.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from phash_dagster.defs.jetstream_sensor import jetstream_sensor
from phash_dagster.ingest import IngestRecords
from phash_dagster.jetstream import Cursor
from phash_dagster.settings import settings_from
from phash_dagster.warehouse import ImagePosts
from tests.steps import Steps, watch_the_disk

NOW = datetime(2026, 11, 23, 19, 0, 30, tzinfo=UTC)


def main(folder: Path, url: str, until_us: int, kill_at: int) -> None:
    """Tick until the cursor has come to `until_us`."""
    settings = settings_from(
        {
            "DATA_DIR": str(folder),
            "JETSTREAM_URL": url,
            "JETSTREAM_FALLBACK_URLS": url,
            "MICROBATCH_SECONDS": "0.5",
            "MICROBATCH_MAX_ROWS": "5",
        }
    )
    stored = folder / "cursor"
    steps = Steps(kill_at)
    if kill_at >= 0:
        watch_the_disk(steps)
    with dg.DagsterInstance.ephemeral() as instance:
        while Cursor.from_json(stored.read_text()).time_us < until_us:
            result = jetstream_sensor(
                dg.build_sensor_context(instance=instance, cursor=stored.read_text()),
                settings=settings,
                posts=ImagePosts(settings.image_posts_dir),
                ingest=IngestRecords.under(settings.data_dir),
                clock=lambda: NOW,
            )
            assert isinstance(result, dg.SensorResult)
            if kill_at >= 0:
                steps.pass_one()  # the tick has ended, and its cursor is not stored
            temporary = stored.with_suffix(".new")
            temporary.write_text(str(result.cursor))
            temporary.replace(stored)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
