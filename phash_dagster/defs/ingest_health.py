"""The checks on `image_posts`: is ingestion well? And the sensor that evaluates them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from phash_dagster.defs.health import Check, report_changes
from phash_dagster.defs.image_posts import image_posts
from phash_dagster.defs.resources import ClockParam, IngestRecordsParam, SettingsParam
from phash_dagster.defs.sensor_state import failed_ticks, stored_cursor
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.verdicts import (
    STILL_READING,
    FailedTick,
    FailingHost,
    judge_anomalies,
    judge_gaps,
    judge_lag,
    judge_ticks,
)
from phash_dagster.settings import Settings
from phash_dagster.verdict import Verdict

TICKS_WITHIN = timedelta(minutes=10)
GAPS_WITHIN = timedelta(days=7)
ANOMALIES_WITHIN = timedelta(days=1)

RECORDS_EVERY = timedelta(minutes=10)
"""Between two looks through the records of the last days: some thousand files, and seconds."""


@dataclass(frozen=True)
class Sources:
    """Where verdicts come from."""

    instance: dg.DagsterInstance
    settings: Settings
    ingest: IngestRecords
    now: datetime


def _lag(sources: Sources) -> Verdict | None:
    from phash_dagster.ingest.questions import latest_batch

    cursor = stored_cursor(sources.instance)
    with sources.ingest.query(since=sources.now - STILL_READING) as connection:
        latest = latest_batch(connection)
    return judge_lag(
        cursor.time_us if cursor else None,
        latest,
        now=sources.now,
        max_lag_seconds=sources.settings.max_lag_seconds,
    )


def _ticks(sources: Sources) -> Verdict:
    cursor = stored_cursor(sources.instance)
    ticks = failed_ticks(sources.instance, since=sources.now - TICKS_WITHIN)
    return judge_ticks(
        [
            FailedTick(
                datetime.fromtimestamp(tick.timestamp, UTC),
                tick.error.message.strip() if tick.error else "",
            )
            for tick in ticks
        ],
        [
            FailingHost(
                host,
                state.reason,
                state.failures,
                datetime.fromtimestamp(state.retry_at_us / 1_000_000, UTC),
            )
            for host, state in sorted(cursor.hosts.items() if cursor else ())
            if state.failures
        ],
        configured=1 + len(sources.settings.jetstream_fallback_urls),
        max_failures=sources.settings.max_failed_ticks,
    )


def _gaps(sources: Sources) -> Verdict:
    from phash_dagster.ingest.questions import stream_gaps

    with sources.ingest.query(since=sources.now - GAPS_WITHIN) as connection:
        return judge_gaps(stream_gaps(connection))


def _anomalies(sources: Sources) -> Verdict:
    from phash_dagster.ingest.questions import anomaly_types

    with sources.ingest.query(since=sources.now - ANOMALIES_WITHIN) as connection:
        return judge_anomalies(anomaly_types(connection))


CHECKS: tuple[Check[Sources], ...] = (
    Check(
        image_posts.key,
        "ingest_lag",
        _lag,
        dg.AssetCheckSeverity.ERROR,
        "The newest event read from Jetstream is at most MAX_LAG_SECONDS old. If this fails, "
        "posts are moderated late or not at all: see whether jetstream_sensor is on and succeeds.",
    ),
    Check(
        image_posts.key,
        "ingest_ticks",
        _ticks,
        dg.AssetCheckSeverity.ERROR,
        "Fewer than MAX_FAILED_TICKS ticks of jetstream_sensor failed within 10 minutes, and a "
        "Jetstream host can be reached. Failed ticks are repeated and lose nothing; their errors "
        "stand in the details.",
    ),
    Check(
        image_posts.key,
        "stream_gaps",
        _gaps,
        dg.AssetCheckSeverity.ERROR,
        "No events are missing in the last 7 days. If this fails, a host no longer had what was "
        "to be read next; the times between which events may be missing stand in the details.",
        every=RECORDS_EVERY,
    ),
    Check(
        image_posts.key,
        "ingest_anomalies",
        _anomalies,
        dg.AssetCheckSeverity.WARN,
        "Everything in the events of the last day was understood. If this warns, look at the "
        "sample of each type: a few malformed records are normal, a new type of embed is not.",
        every=RECORDS_EVERY,
    ),
)


def _asset_check(check: Check[Sources]) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=check.asset_key, name=check.name, description=check.description)
    def evaluate(
        context: dg.AssetCheckExecutionContext,
        settings: SettingsParam,
        ingest: IngestRecordsParam,
        clock: ClockParam,
    ) -> dg.AssetCheckResult:
        verdict = check.judge(Sources(context.instance, settings, ingest, clock()))
        return check.result(verdict or Verdict(False, "jetstream_sensor has not run yet."))

    return evaluate


ingest_checks = [_asset_check(check) for check in CHECKS]


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Evaluates the checks on `image_posts`: lag, failed ticks, gaps in the stream, anomalies. "
        "Reports a check when its verdict changes, and once an hour."
    ),
)
def ingest_health_sensor(
    context: dg.SensorEvaluationContext,
    settings: SettingsParam,
    ingest: IngestRecordsParam,
    clock: ClockParam,
) -> dg.SensorResult:
    """One look. The cursor is what was reported last, and when."""
    sources = Sources(context.instance, settings, ingest, clock())
    return report_changes(CHECKS, sources, context.cursor, clock())
