"""What fails now, as Dagster has stored it: asset checks, runs of jobs, ticks of sensors."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, TickStatus

from phash_dagster.alerts import Trouble
from phash_dagster.alerts.runs import FailedRun, OpenRuns, RunFailure, after_look, to_look_at
from phash_dagster.defs.tags import PARTITION

OVERLAP = timedelta(minutes=1)
"""By how much looks overlap: the clocks of two machines differ."""

MOST_FAILURES = 1000
"""Failed runs read in one look, the latest; more of one job tell no more than their number."""

MOST_SUBJECTS = 100
"""Hours of one job that are looked at in one look; the others wait for the next."""

FAILED_TICKS = 3
"""Ticks of a sensor in a row that have to fail: one may just have found a database busy."""

TICKS_WITHIN = timedelta(days=2)
"""Older ticks are those of a sensor that is switched off or gone."""

_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class CheckStates:
    """The checks that fail, and those that were never evaluated."""

    troubles: tuple[Trouble, ...]
    unknown: frozenset[str]


def failing_checks(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> CheckStates:
    """The asset checks whose latest evaluation fails.

    A run that is about to evaluate a check says nothing yet, nor does one that did not get to it.
    """
    troubles, unknown = [], []
    records = instance.event_log_storage.get_asset_check_summary_records(list(keys))
    for key, summary in records.items():
        record = summary.last_completed_check_execution_record
        evaluation = record.evaluation if record else None
        if record is None or evaluation is None:
            unknown.append(_check_key(key))
        elif not evaluation.passed:
            troubles.append(_failing_check(key, evaluation, record.create_timestamp))
    return CheckStates(tuple(troubles), frozenset(unknown))


def _check_key(key: dg.AssetCheckKey) -> str:
    return f"check:{key.asset_key.to_user_string()}/{key.name}"


def _failing_check(
    key: dg.AssetCheckKey, evaluation: dg.AssetCheckEvaluation, at: float
) -> Trouble:
    asset = key.asset_key.to_user_string()
    warns = evaluation.severity is dg.AssetCheckSeverity.WARN
    return Trouble(
        key=_check_key(key),
        name=f"The check {key.name} on {asset}",
        detail=evaluation.description or "",
        severity="warning" if warns else "error",
        since=datetime.fromtimestamp(at, UTC),
        path=f"assets/{asset}?view=checks&checkDetail={key.name}",
    )


def new_failures(instance: dg.DagsterInstance, *, since: datetime) -> list[RunFailure]:
    """The runs that failed since then."""
    since -= OVERLAP
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since),
        limit=MOST_FAILURES,
    )
    failures = [_failure(record) for record in records]
    # One that failed before was only touched since: a retry was noted on it.
    return [failure for failure in failures if failure.failed_at >= since]


def _failure(record: dg.RunRecord) -> RunFailure:
    run = record.dagster_run
    ended = record.end_time
    return RunFailure(
        job=run.job_name,
        subject=run.tags.get(PARTITION, ""),
        run_id=run.run_id,
        failed_at=datetime.fromtimestamp(ended, UTC) if ended else record.update_timestamp,
    )


def still_open(
    instance: dg.DagsterInstance, open_runs: OpenRuns, jobs: Collection[str]
) -> OpenRuns:
    """The failed runs of these jobs, which are all there are, that no later run has made good."""
    open_runs = {job: subjects for job, subjects in open_runs.items() if job in jobs}
    for job in list(open_runs):
        subjects = to_look_at(open_runs, job, MOST_SUBJECTS)
        found = {subject: _last_failed(instance, job, subject) for subject in subjects}
        open_runs = after_look(open_runs, job, found)
    return open_runs


def _last_failed(instance: dg.DagsterInstance, job: str, subject: str) -> bool:
    """Whether the last run over a subject failed; not so if a person has deleted it."""
    tags = {PARTITION: subject} if subject else {}
    wanted = dg.RunsFilter(job_name=job, tags=tags, statuses=list(_FINISHED))
    runs = instance.get_runs(wanted, limit=1)
    return bool(runs) and runs[0].status is dg.DagsterRunStatus.FAILURE


def failing_jobs(
    instance: dg.DagsterInstance,
    open_runs: OpenRuns,
    new: Sequence[RunFailure],
    since: Mapping[str, datetime],
) -> Iterator[Trouble]:
    """The jobs with a failed run that is not made good, or that was seen for the first time.

    `since`: since when jobs fail that failed before, by the key of the trouble.
    """
    runs: dict[str, list[FailedRun]] = {
        job: list(subjects.values()) for job, subjects in open_runs.items()
    }
    for failure in new:
        runs.setdefault(failure.job, []).append(FailedRun(failure.run_id, failure.failed_at))
    for job, failed in sorted(runs.items()):
        last = max(failed, key=lambda run: run.failed_at)
        first = min(run.failed_at for run in failed)
        yield _failing_job(instance, job, last, min(first, since.get(_job_key(job), first)))


def _job_key(job: str) -> str:
    return f"job:{job}"


def _failing_job(
    instance: dg.DagsterInstance, job: str, last: FailedRun, since: datetime
) -> Trouble:
    count = instance.get_runs_count(
        dg.RunsFilter(
            job_name=job,
            statuses=[dg.DagsterRunStatus.FAILURE],
            # The end of a run is written a moment before the time of the change.
            updated_after=since - timedelta(seconds=1),
        )
    )
    by_hand = job.startswith("__")
    return Trouble(
        key=_job_key(job),
        name="A run launched by hand" if by_hand else f"The job {job}",
        detail=why_it_failed(instance, last.run_id),
        severity="error",
        since=since,
        path=f"runs/{last.run_id}",
        count=max(count, 1),
    )


def why_it_failed(instance: dg.DagsterInstance, run_id: str) -> str:
    """What a failed run says was wrong: the words for people where there are some."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    words = ""
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None:
            continue
        data = event.event_specific_data
        if isinstance(data, StepFailureData):
            return f"{event.step_key}: {_step_words(data) or event.message}"
        words = event.message or words
    return words


def _step_words(failure: StepFailureData) -> str:
    said = failure.user_failure_data
    if said and said.description:
        return said.description
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else ""


def failing_ticks(
    instance: dg.DagsterInstance, sensors: Iterable[str], schedules: Iterable[str], now: datetime
) -> Iterator[Trouble]:
    """The sensors whose last ticks failed, and the schedules whose last one did."""
    wanted = (
        (InstigatorType.SENSOR, "sensor", frozenset(sensors), FAILED_TICKS),
        (InstigatorType.SCHEDULE, "schedule", frozenset(schedules), 1),
    )
    for kind, word, names, number in wanted:
        for state in instance.all_instigator_state(instigator_type=kind):
            if state.instigator_name not in names:
                continue
            if trouble := _failing_instigator(instance, state, word, number, now):
                yield trouble


def _failing_instigator(
    instance: dg.DagsterInstance,
    state: InstigatorState,
    word: str,
    number: int,
    now: datetime,
) -> Trouble | None:
    ticks = instance.get_ticks(
        state.instigator_origin_id,
        state.selector_id,
        after=(now - TICKS_WITHIN).timestamp(),
        limit=number + 1,
    )
    ended = [tick for tick in ticks if tick.status is not TickStatus.STARTED][:number]
    if len(ended) < number or any(tick.status is not TickStatus.FAILURE for tick in ended):
        return None
    error = ended[0].error
    return Trouble(
        key=f"{word}:{state.instigator_name}",
        name=f"The {word} {state.instigator_name}",
        detail=error.message.strip() if error else "",
        severity="error",
        since=datetime.fromtimestamp(ended[-1].timestamp, UTC),
        path="automation",
    )


def check_keys_of(repository: dg.RepositoryDefinition) -> list[dg.AssetCheckKey]:
    """Every check of the code location, those of later releases and of users included."""
    return sorted(repository.asset_graph.asset_check_keys, key=str)
