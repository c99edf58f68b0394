"""Whether every image is accounted for: one outcome each, or a wait, and none forgotten."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from phash_dagster.images.model import Outcome
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

UNTRIED: Final = "untried"

TIME_TO_TRY: Final = timedelta(hours=1)
"""After the end of an hour every image in it should have been tried by then."""


@dataclass(frozen=True)
class HourCoverage:
    """The images seen in an hour, and how many of them stand how.

    `counts` has every `Outcome`, `waiting` among them, and `untried`.
    """

    hour: datetime
    seen: int
    counts: Mapping[str, int]

    @property
    def unaccounted(self) -> int:
        """Images seen that are in none of the counts; negative if some are in two."""
        return self.seen - sum(self.counts.values())


@dataclass(frozen=True)
class CoverageVerdict:
    """What is wrong with the coverage of some hours, a sentence each."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def hour_coverage(connection: Connection) -> list[HourCoverage]:
    """How the images of the attached hours stand, hour by hour."""
    cursor = connection.execute(statement("images/coverage"))
    columns = [column for column, *_ in cursor.description or ()]
    rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return [HourCoverage(row.pop("hour"), row.pop("seen"), row) for row in rows]


def total_counts(hours: Iterable[HourCoverage]) -> dict[str, int]:
    """The counts of all these hours together, without those that are 0."""
    total: Counter[str] = Counter()
    for hour in hours:
        total.update(hour.counts)
    return {name: count for name, count in total.most_common() if count}


def judge_coverage(hours: Sequence[HourCoverage], now: datetime) -> CoverageVerdict:
    """Errors: images that are not accounted for, or were forgotten. Warnings: those given up."""
    errors, warnings = [], []
    for hour in hours:
        name = f"{hour.hour:%Y-%m-%d %H:%M}"
        if hour.unaccounted:
            errors.append(
                f"{name}: {hour.seen} images were seen, but "
                f"{hour.seen - hour.unaccounted} are accounted for."
            )
        untried = hour.counts[UNTRIED]
        if untried and hour.hour + timedelta(hours=1) + TIME_TO_TRY < now:
            errors.append(
                f"{name}: {untried} images were never tried; materialize image_hashes for "
                "this hour again."
            )
        if given_up := hour.counts[Outcome.gave_up]:
            warnings.append(
                f"{name}: {given_up} of {hour.seen} images were given up after more than a day "
                "of failures; see `given_up`."
            )
    return CoverageVerdict(tuple(errors), tuple(warnings))
