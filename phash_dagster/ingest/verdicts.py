"""Is ingestion well? Each verdict is a pure function of what is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from phash_dagster.verdict import MAX_ROWS, Number, Verdict

STILL_READING = timedelta(minutes=2)
"""Without a batch for longer, nothing is being read: a tick takes seconds."""


@dataclass(frozen=True)
class LatestBatch:
    """How the last batch did: a row of `pipeline_lag`."""

    ended_at: datetime
    host: str
    lag_seconds: float | None
    sequence_lag: int | None
    caught_up: bool
    events_per_second: float | None


@dataclass(frozen=True)
class FailingHost:
    """A Jetstream host that could not be read from when it was last tried."""

    host: str
    reason: str
    failures: int
    retry_at: datetime


@dataclass(frozen=True)
class FailedTick:
    """A tick of the sensor that ended with an error."""

    at: datetime
    error: str


@dataclass(frozen=True)
class StreamGap:
    """A row of `stream_gaps`."""

    from_time: datetime
    to_time: datetime
    host: str
    reason: str
    noticed_at: datetime


@dataclass(frozen=True)
class AnomalyType:
    """A row of `ingest_anomalies`."""

    type: str
    count: int
    first_time: datetime
    last_time: datetime
    sample: str


def judge_lag(
    position_us: int | None,
    latest: LatestBatch | None,
    *,
    now: datetime,
    max_lag_seconds: float,
) -> Verdict | None:
    """How old is the newest event?

    Args:
        position_us: Event time of the stored cursor; where reading starts, before the first event.
        latest: The last batch, if one ended lately.
        now: The current time.
        max_lag_seconds: The age from which the check fails.

    Returns:
        None while nothing is known: the sensor has not run yet.
    """
    if position_us is None:
        return None
    lag = (now - datetime.fromtimestamp(position_us / 1_000_000, UTC)).total_seconds()
    numbers: dict[str, Number] = {"lag_seconds": round(max(lag, 0.0), 1)}
    if latest and latest.sequence_lag is not None:
        numbers["sequence_lag"] = latest.sequence_lag
    if latest and latest.events_per_second is not None:
        numbers["events_per_second"] = round(latest.events_per_second, 1)
    if lag <= max_lag_seconds:
        return Verdict(True, f"The newest event is {_age(lag)} old.", numbers)
    return Verdict(
        False, f"The newest event is {_age(lag)} old. {_why_behind(latest, now)}", numbers
    )


def _why_behind(latest: LatestBatch | None, now: datetime) -> str:
    if latest is None or now - latest.ended_at > STILL_READING:
        return (
            "Nothing arrives. Is jetstream_sensor switched on, and do its ticks succeed (check "
            "`ingest_ticks`)? Is JETSTREAM_URL right, and is the network up? Events are kept by "
            "the hosts for about a day and a half; on a network where days pass without a post, "
            "raise MAX_LAG_SECONDS."
        )
    if latest.caught_up:
        return (
            f"{latest.host} has nothing newer: the host itself is behind, or its network is that "
            "quiet. Try another host in JETSTREAM_URL, or raise MAX_LAG_SECONDS."
        )
    return (
        f"The backlog is being read from {latest.host} at {latest.events_per_second or 0:.0f} "
        "events per second; if the lag does not shrink, the machine or the connection is too slow."
    )


def judge_ticks(
    ticks: Sequence[FailedTick],
    hosts: Sequence[FailingHost],
    *,
    configured: int,
    max_failures: int,
) -> Verdict:
    """Do ticks fail, or is no host to be reached?

    Args:
        ticks: The failed ticks of the last minutes.
        hosts: The configured hosts that failed when they were last tried.
        configured: How many hosts there are. While one of them works, the others are spares.
        max_failures: Failures from which the check fails.
    """
    every_host = bool(hosts) and len(hosts) >= configured
    rounds = min(host.failures for host in hosts) if every_host else 0
    failures = len(ticks) + rounds
    numbers: dict[str, Number] = {
        "failed_ticks": len(ticks),
        "failed_rounds": rounds,
        "failing_hosts": len(hosts),
    }
    rows = [
        *((tick.at, "tick", tick.error) for tick in ticks[:20]),
        *((host.retry_at, host.host, f"{host.failures} in a row: {host.reason}") for host in hosts),
    ]
    columns = ("time, or next attempt", "what", "error")
    if failures < max_failures:
        spare = f" {len(hosts)} of {configured} hosts cannot be reached." if hosts else ""
        return Verdict(True, f"Ingestion works.{spare}", numbers, columns, rows)
    if rounds:
        description = (
            f"None of the {configured} Jetstream hosts could be reached {rounds} times in a row. "
            "Nothing is lost while they keep the events. Look at the network of this machine, and "
            "at JETSTREAM_URL and JETSTREAM_FALLBACK_URLS."
        )
    else:
        description = (
            f"{len(ticks)} ticks of jetstream_sensor failed within 10 minutes. Nothing is lost; "
            "they are repeated. The error says what to do; a full disk is the usual reason."
        )
    return Verdict(False, description, numbers, columns, rows, "hosts" if rounds else "ticks")


def judge_gaps(gaps: Sequence[StreamGap]) -> Verdict:
    """Are events missing? The latest gaps come first, and are named."""
    latest = gaps[:MAX_ROWS]
    numbers: dict[str, Number] = {
        "gaps": len(gaps),
        "seconds": round(sum((gap.to_time - gap.from_time).total_seconds() for gap in gaps), 1),
    }
    if not gaps:
        return Verdict(True, "No events are known to be missing in the last 7 days.", numbers)
    return Verdict(
        False,
        "Events may be missing in the times below, because the host no longer had them: images "
        "posted then were not looked at, and deletes were not seen. Ingestion goes on. It happens "
        "when the pipeline was off for longer than a host keeps events. The check passes again "
        "7 days after the last gap was noticed.",
        numbers,
        ("from", "to", "host", "reason", "noticed"),
        [(gap.from_time, gap.to_time, gap.host, gap.reason, gap.noticed_at) for gap in latest],
        state=" ".join(sorted(f"{gap.from_time.isoformat()}@{gap.host}" for gap in latest)),
    )


def judge_anomalies(anomalies: Sequence[AnomalyType]) -> Verdict:
    """Was there something that is not understood?"""
    numbers: dict[str, Number] = {
        "types": len(anomalies),
        "events": sum(anomaly.count for anomaly in anomalies),
    }
    if not anomalies:
        return Verdict(True, "Everything of the last day was understood.", numbers)
    return Verdict(
        False,
        "Parts of events of the last day were not understood, and images in them not looked at. "
        "A few malformed records are normal. A new type of embed with many posts is not: report "
        "it with its sample, so that a later version can read it.",
        numbers,
        ("type", "count", "first", "last", "sample"),
        [(one.type, one.count, one.first_time, one.last_time, one.sample) for one in anomalies],
        state=" ".join(sorted(one.type for one in anomalies)),
    )


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
