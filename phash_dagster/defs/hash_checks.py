"""The golden images as a check of `image_hashes`: did a library upgrade move a hash?

The check runs once a day, and at once when the version of a library changed, in a run of its own.
Not in every run of `moderate_hour`: there it would tell the same every few seconds.
"""

import json
from datetime import datetime, timedelta

import dagster as dg

from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.resources import ClockParam
from phash_dagster.images.golden import GoldenReport, check_golden, library_versions

CHECK_EVERY = timedelta(days=1)

WHAT_TO_DO = (
    "Images hashed from now on are not comparable with those hashed before, nor with the hashes in "
    "rules: matches at small distances will be missed. Go back to the recorded versions "
    "(`uv sync --frozen` installs those of uv.lock). Where the move is by one bit and thresholds "
    "are 2 or more, going on is possible."
)

MOST_SHOWN = 20


@dg.asset_check(
    asset="image_hashes",
    name="golden_hashes",
    description=(
        "Small images of every format still have the hashes that they had when this release was "
        "made, by every algorithm. Fails if a library upgrade moved one."
    ),
)
def golden_hashes() -> dg.AssetCheckResult:
    """Hash the golden images and compare."""
    report = check_golden()
    return dg.AssetCheckResult(
        passed=not report.moved,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_description(report),
        metadata={
            "compared": report.compared,
            "moved": len(report.moved),
            "moved_hashes": [str(moved) for moved in report.moved],
            "versions_now": dict(report.current),
            "versions_recorded": dict(report.recorded),
            "skipped": list(report.skipped),
        },
    )


def _description(report: GoldenReport) -> str:
    changed = ", ".join(report.changed_versions) or "none, as far as is known"
    if not report.moved:
        skipped = f" Left out: {'; '.join(report.skipped)}." if report.skipped else ""
        as_recorded = f"All {report.compared} hashes are as recorded."
        return f"{as_recorded} Changed versions: {changed}.{skipped}"
    moved = "; ".join(str(each) for each in report.moved[:MOST_SHOWN])
    more = len(report.moved) - MOST_SHOWN
    return (
        f"{len(report.moved)} of {report.compared} hashes moved. Changed versions: {changed}. "
        f"{WHAT_TO_DO} {moved}{f'; and {more} more' if more > 0 else ''}."
    )


check_hashes = dg.define_asset_job(
    "check_hashes",
    selection=dg.AssetSelection.checks(golden_hashes),
    description=(
        "Hash the golden images and compare. Requested by `golden_sensor` once a day and when the "
        "version of a library changed."
    ),
    executor_def=IN_PROCESS,
)


@dg.sensor(
    job=check_hashes,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests `check_hashes` when the version of a decoder or hash library changed, and once a "
        "day."
    ),
)
def golden_sensor(context: dg.SensorEvaluationContext, clock: ClockParam) -> dg.SensorResult:
    """The cursor is the versions last checked, and when."""
    now, versions = clock(), library_versions()
    last = json.loads(context.cursor) if context.cursor else {}
    if last.get("versions") == versions and now < _due(last):
        return dg.SensorResult(skip_reason="The hashes were checked with these library versions.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"golden/{now.isoformat()}")],
        cursor=json.dumps({"versions": versions, "checked_at": now.isoformat()}),
    )


def _due(last: dict[str, str]) -> datetime:
    return datetime.fromisoformat(last["checked_at"]) + CHECK_EVERY
