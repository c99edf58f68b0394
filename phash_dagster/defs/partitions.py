"""The one partitioning of the pipeline: the hour in which an event was witnessed, UTC.

Micro-batches are files inside an hour. A partition per micro-batch would pass what Dagster
recommends per asset within two weeks.
"""

import dagster as dg

from phash_dagster.matching.backfill import HOURS_PER_RUN
from phash_dagster.warehouse.image_posts import FIRST_HOUR, PARTITION_FORMAT

HOURLY = dg.HourlyPartitionsDefinition(
    start_date=FIRST_HOUR,
    fmt=PARTITION_FORMAT,
    end_offset=1,  # the current hour is a partition from its first minute
)

WEEK_PER_RUN = dg.BackfillPolicy.multi_run(max_partitions_per_run=HOURS_PER_RUN)
"""Backfills take a week of hours a run: few runs, and a bounded loss when one fails."""
