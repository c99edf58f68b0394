"""The checks on `image_posts`: is ingestion well? And the sensor that evaluates them.

People can run a check in the UI at any time. The sensor reports an evaluation only when the
verdict changes, or once an hour: evaluations outside of a run can never be deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec

from phash_dagster.defs.image_posts import image_posts
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.resources import ClockParam, IngestRecordsParam, SettingsParam
from phash_dagster.defs.sensor_state import failed_ticks, stored_cursor
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.verdicts import (
    STILL_READING,
    FailedTick,
    FailingHost,
    Verdict,
    judge_anomalies,
    judge_gaps,
    judge_lag,
    judge_ticks,
)
from phash_dagster.settings import Settings

TICKS_WITHIN = timedelta(minutes=10)
GAPS_WITHIN = timedelta(days=7)
ANOMALIES_WITHIN = timedelta(days=1)

REPEAT_AFTER = timedelta(hours=1)
"""An unchanged verdict is reported again after this, so that people see it is still looked at."""

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


@dataclass(frozen=True)
class Check:
    """A check: how it is judged, what it says, and how often the sensor looks."""

    name: str
    judge: Callable[[Sources], Verdict | None]
    severity: dg.AssetCheckSeverity
    description: str
    every: timedelta = timedelta(0)

    def result(self, verdict: Verdict) -> dg.AssetCheckResult:
        """The verdict as the UI shows it."""
        return dg.AssetCheckResult(
            check_name=self.name,
            asset_key=image_posts.key,
            passed=verdict.passed,
            severity=self.severity,
            description=verdict.description,
            metadata=_metadata(verdict),
        )

    def evaluation(self, verdict: Verdict) -> dg.AssetCheckEvaluation:
        """The same as an event that belongs to no run."""
        return dg.AssetCheckEvaluation(
            check_name=self.name,
            asset_key=image_posts.key,
            passed=verdict.passed,
            severity=self.severity,
            description=verdict.description,
            metadata=_metadata(verdict),
        )


def _metadata(verdict: Verdict) -> dict[str, dg.MetadataValue]:
    numbers = {name: _number(value) for name, value in verdict.numbers.items()}
    if not verdict.rows:
        return numbers
    return {**numbers, "details": markdown_table(verdict.columns, verdict.rows)}


def _number(value: float) -> dg.MetadataValue:
    whole = isinstance(value, int)
    return dg.MetadataValue.int(int(value)) if whole else dg.MetadataValue.float(value)


CHECKS = (
    Check(
        "ingest_lag",
        _lag,
        dg.AssetCheckSeverity.ERROR,
        "The newest event read from Jetstream is at most MAX_LAG_SECONDS old. If this fails, "
        "posts are moderated late or not at all: see whether jetstream_sensor is on and succeeds.",
    ),
    Check(
        "ingest_ticks",
        _ticks,
        dg.AssetCheckSeverity.ERROR,
        "Fewer than MAX_FAILED_TICKS ticks of jetstream_sensor failed within 10 minutes, and a "
        "Jetstream host can be reached. Failed ticks are repeated and lose nothing; their errors "
        "stand in the details.",
    ),
    Check(
        "stream_gaps",
        _gaps,
        dg.AssetCheckSeverity.ERROR,
        "No events are missing in the last 7 days. If this fails, a host no longer had what was "
        "to be read next; the times between which events may be missing stand in the details.",
        every=RECORDS_EVERY,
    ),
    Check(
        "ingest_anomalies",
        _anomalies,
        dg.AssetCheckSeverity.WARN,
        "Everything in the events of the last day was understood. If this warns, look at the "
        "sample of each type: a few malformed records are normal, a new type of embed is not.",
        every=RECORDS_EVERY,
    ),
)


def _asset_check(check: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=image_posts.key, name=check.name, description=check.description)
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


class _Seen(msgspec.Struct):
    """What the sensor remembers of a check."""

    state: str = ""
    judged_at: float = 0.0
    reported_at: float = 0.0


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
    now = clock()
    seen = msgspec.json.decode(context.cursor or "{}", type=dict[str, _Seen])
    sources = Sources(context.instance, settings, ingest, now)
    events = []
    for check in CHECKS:
        before = seen.get(check.name, _Seen())
        if now.timestamp() < before.judged_at + check.every.total_seconds():
            continue
        verdict = check.judge(sources)
        if verdict is None:
            continue
        state = f"{'passed' if verdict.passed else 'failed'} {verdict.state}".strip()
        due = now.timestamp() >= before.reported_at + REPEAT_AFTER.total_seconds()
        if due or state != before.state:
            events.append(check.evaluation(verdict))
            before.reported_at = now.timestamp()
        seen[check.name] = _Seen(state, now.timestamp(), before.reported_at)
    return dg.SensorResult(
        asset_events=events,
        cursor=msgspec.json.encode(seen).decode(),
        skip_reason=None if events else dg.SkipReason("The verdicts are as reported."),
    )
