"""What of a report needs a person, and the command that deals with it. Pure."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from phash_dagster.reports.data import MatchReport, Row

LATE_SECONDS: Final = 60.0
"""Age of the newest event, at the 95th percentile, from which on a report speaks of it."""


@dataclass(frozen=True)
class Matter:
    """Something that a person should look at.

    Attributes:
        text: What it is.
        section: Where the report says more: the id of a section.
        command: What helps; None: nothing but looking.
    """

    text: str
    section: str
    command: str | None = None


def matters(report: MatchReport) -> tuple[Matter, ...]:
    """What needs a person, the most urgent first."""
    return (*_reading(report), *_acting(report), *_judging(report))


def _reading(report: MatchReport) -> Iterator[Matter]:
    reading = report.reading
    if not reading.lag["batches"]:
        yield Matter("Nothing was read from Jetstream.", "lag", "phash-dagster doctor")
    elif (reading.lag["p95_seconds"] or 0) > LATE_SECONDS:
        yield Matter(
            f"Events were read late: {reading.lag['p95_seconds']:.0f} s at the 95th percentile.",
            "lag",
            "phash-dagster query lag-per-hour",
        )
    if reading.gaps:
        times = "in one span" if len(reading.gaps) == 1 else f"in {len(reading.gaps)} spans"
        yield Matter(
            f"Events may be missing {times} of time.",
            "coverage",
            "phash-dagster query missing-events",
        )
    waiting = reading.outcomes.get("waiting", 0)
    if waiting:
        yield Matter(
            f"{_count(waiting, 'image')} could not be fetched yet, and will be tried again.",
            "coverage",
            "phash-dagster query waiting-images",
        )


def _acting(report: MatchReport) -> Iterator[Matter]:
    held = sum(row["actions"] for row in report.acting.held)
    if held:
        yield Matter(
            f"{_count(held, 'action')} held for you.",
            "queue",
            "phash-dagster actions list --state held --count",
        )
    failed = sum(row["actions"] for row in report.acting.failed)
    if failed:
        yield Matter(
            f"{_count(failed, 'action')} could not be sent.",
            "queue",
            "phash-dagster actions list --state failed --state dead --count",
        )


def _judging(report: MatchReport) -> Iterator[Matter]:
    judging = report.judging
    reversed_lately = sum(row["reversed_lately"] for row in judging.rules)
    if reversed_lately:
        yield Matter(
            f"{_count(reversed_lately, 'action')} taken back.",
            "precision",
            "phash-dagster query least-precise",
        )
    if judging.clusters:
        yield Matter(
            f"{_count(len(judging.clusters), 'new group')} of images that no rule covers.",
            "clusters",
            cluster_command(judging.clusters[0]),
        )
    set_aside = sum(row["hashes_set_aside"] for row in report.acting.matches)
    if set_aside:
        yield Matter(
            f"{_count(set_aside, 'hash', 'hashes')} set aside as dangerous, and not acted upon.",
            "rules",
            "phash-dagster query hashes-set-aside",
        )
    behind = judging.past["hours"] - judging.past["planned"]
    if report.rules_version and behind > 0:
        yield Matter(
            f"The rules in force have not been through {_count(behind, 'hour')} yet.",
            "rules",
            "phash-dagster query rule-history",
        )


def held_command(row: Row) -> str:
    """What shows the held actions of a row; with `release` or `reject` for `list` it decides."""
    return f"phash-dagster actions list --state held --rule {shlex.quote(row['rule_id'])}"


def failed_command(row: Row) -> str:
    """What tries the actions of a row again."""
    return (
        f"phash-dagster actions retry --state {row['state']} --rule {shlex.quote(row['rule_id'])}"
    )


def loads_command(report: MatchReport) -> str:
    """What lists every time that rules came into force."""
    return f"phash-dagster query rule-history --param most={report.judging.changes['loads']}"


def backfills_command(report: MatchReport) -> str:
    """What counts what all backfills of the period did."""
    return f"phash-dagster actions list --lane backfill --since {report.since:%Y-%m-%d} --count"


def cluster_command(row: Row) -> str:
    """What shows everything that is near a group of images."""
    return f"phash-dagster similar {row['hash']}"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
