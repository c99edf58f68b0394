"""Which jobs fail: what is remembered of their runs from one look to the next. Pure.

A job that works hour by hour fails while any of its hours does: the run over the next hour says
nothing about the one that failed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

MOST_OPEN: Final = 1000
"""Subjects of a job that are remembered; more hours than a month has."""


class FailedRun(msgspec.Struct, frozen=True):
    """The last failed run of a job over a subject: an hour, or empty for all others."""

    run_id: str
    failed_at: datetime


OpenRuns = dict[str, dict[str, FailedRun]]
"""By job and subject, those looked at longest ago first."""


@dataclass(frozen=True, slots=True)
class RunFailure:
    """A failed run as Dagster has it."""

    job: str
    subject: str
    run_id: str
    failed_at: datetime


def with_failures(
    open_runs: Mapping[str, Mapping[str, FailedRun]], new: Iterable[RunFailure]
) -> OpenRuns:
    """What is open once these failures, in any order, are known."""
    jobs: OpenRuns = {job: dict(subjects) for job, subjects in open_runs.items()}
    for failure in sorted(new, key=lambda one: one.failed_at):
        subjects = jobs.setdefault(failure.job, {})
        subjects[failure.subject] = FailedRun(failure.run_id, failure.failed_at)
        while len(subjects) > MOST_OPEN:
            del subjects[next(iter(subjects))]
    return jobs


def to_look_at(open_runs: OpenRuns, job: str, most: int) -> list[str]:
    """The subjects of a job whose turn it is to be looked at."""
    return list(open_runs.get(job, {}))[:most]


def after_look(open_runs: OpenRuns, job: str, found: Mapping[str, bool]) -> OpenRuns:
    """What is left open.

    Args:
        open_runs: What was open.
        job: The job that was looked at.
        found: By subject, whether its last run failed.
    """
    before = open_runs.get(job, {})
    left = {subject: run for subject, run in before.items() if found.get(subject, True)}
    # What was looked at goes behind what was not.
    turned = dict(sorted(left.items(), key=lambda item: item[0] in found))
    others = {name: subjects for name, subjects in open_runs.items() if name != job}
    return {**others, job: turned} if turned else others
