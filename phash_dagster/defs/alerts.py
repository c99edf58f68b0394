"""Tells a webhook what fails: asset checks, runs, ticks of sensors.

One sensor that looks at what Dagster has stored, instead of one that Dagster calls for each failed
run: of a job that fails every five seconds one look tells once, with a count; what could not be
told, since the webhook or this process was down, is still there at the next look; and it sees the
checks that every later release adds.
"""

from datetime import datetime, timedelta

import dagster as dg
import msgspec

from phash_dagster.alerts import (
    Look,
    Memory,
    Notice,
    Policy,
    Trouble,
    after_delivery,
    due,
    observe,
    undelivered,
)
from phash_dagster.alerts.runs import OpenRuns, with_failures
from phash_dagster.defs.failing import (
    check_keys_of,
    failing_checks,
    failing_jobs,
    failing_ticks,
    new_failures,
    still_open,
)
from phash_dagster.defs.resources import ClockParam, SettingsParam
from phash_dagster.settings import Settings

LOOK_BACK = timedelta(days=1)
"""Failed runs that the first look takes into account."""


class _Seen(msgspec.Struct, frozen=True):
    """The cursor: what was seen and told."""

    memory: Memory = Memory()
    open_runs: OpenRuns = {}
    looked_at: datetime | None = None


@dg.sensor(
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Tells ALERT_WEBHOOK_URL which asset checks, jobs and sensors begin to fail, which still "
        "do after ALERT_REPEAT_HOURS, and which are well again. Sends nothing while that is not "
        "set. What cannot be delivered is tried again later."
    ),
)
def alert_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsParam, clock: ClockParam
) -> dg.SensorResult | dg.SkipReason:
    """One look. The cursor is what was seen and told; it moves on after the message is out."""
    if not settings.alert_webhook_url.get_secret_value():
        return dg.SkipReason("ALERT_WEBHOOK_URL is not set: nothing is told.")
    now = clock()
    before = _read(context)
    new = new_failures(context.instance, since=before.looked_at or now - LOOK_BACK)
    repository = context.repository_def
    if repository is None:
        raise LookupError("Dagster has not said which checks and jobs there are")
    open_runs = still_open(
        context.instance, with_failures(before.open_runs, new), repository.job_names
    )
    since = {
        key: episode.trouble.since
        for key, episode in before.memory.episodes.items()
        if episode.over_at is None
    }
    checks = failing_checks(context.instance, check_keys_of(repository))
    troubles = [
        *checks.troubles,
        *failing_jobs(context.instance, open_runs, new, since),
        *failing_ticks(
            context.instance,
            (sensor.name for sensor in repository.sensor_defs),
            (schedule.name for schedule in repository.schedule_defs),
            now,
        ),
    ]
    memory = observe(before.memory, _look(troubles, checks.unknown, settings, now))
    notices = due(memory, before.memory, now, _policy(settings))
    memory, said = _tell(memory, notices, settings, now)
    cursor = _Seen(memory, open_runs, now)
    return dg.SensorResult(
        cursor=msgspec.json.encode(cursor).decode(), skip_reason=dg.SkipReason(said)
    )


def _read(context: dg.SensorEvaluationContext) -> _Seen:
    try:
        return msgspec.json.decode(context.cursor or "{}", type=_Seen)
    except msgspec.MsgspecError as error:
        # Alarms that are told twice are better than none.
        context.log.warning("The cursor cannot be read (%s): beginning anew.", error)
        return _Seen()


def _look(
    troubles: list[Trouble], unknown: frozenset[str], settings: Settings, now: datetime
) -> Look:
    told = [
        trouble
        for trouble in troubles
        if trouble.severity == "error" or settings.alert_severity == "warning"
    ]
    return Look(now, {trouble.key: trouble for trouble in told}, unknown)


def _policy(settings: Settings) -> Policy:
    return Policy(repeat_after=timedelta(hours=settings.alert_repeat_hours))


def _tell(
    memory: Memory, notices: list[Notice], settings: Settings, now: datetime
) -> tuple[Memory, str]:
    """Deliver what is due; returns what became of it. A webhook that is down fails no tick."""
    # Imported here: an HTTP client is of no use to the processes that only list the sensors.
    from phash_dagster.alerts.send import DeliveryError, tell

    if not notices:
        return memory, _summary(memory)
    if not memory.may_deliver(now):
        return memory, _waiting(notices, "the webhook did not take the last message")
    try:
        delivered = tell(settings, notices, now)
    except DeliveryError as error:
        return undelivered(memory, now, error.retry_after), _waiting(notices, str(error))
    return after_delivery(memory, delivered, now), f"Told: {len(delivered)}."


def _summary(memory: Memory) -> str:
    failing = [one for one in memory.episodes.values() if one.over_at is None]
    return f"Nothing new to tell; known to fail: {len(failing)}." if failing else "All is well."


def _waiting(notices: list[Notice], why: str) -> str:
    return f"To be told later: {len(notices)}; {why}."
