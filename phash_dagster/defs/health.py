"""Checks that a sensor evaluates: how one is described, and when its verdict is reported.

People can run such a check in the UI at any time. The sensor reports an evaluation only when the
verdict changes, or once an hour: evaluations outside of a run can never be deleted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import dagster as dg
import msgspec

from phash_dagster.defs.metadata import markdown_table
from phash_dagster.verdict import Verdict

REPEAT_AFTER = timedelta(hours=1)
"""An unchanged verdict is reported again after this, so that people see it is still looked at."""

Sources = TypeVar("Sources")


@dataclass(frozen=True)
class Check(Generic[Sources]):
    """A check on an asset: how it is judged, what it says, and how often the sensor looks."""

    asset_key: dg.AssetKey
    name: str
    judge: Callable[[Sources], Verdict | None]
    severity: dg.AssetCheckSeverity
    description: str
    every: timedelta = timedelta(0)

    @property
    def key(self) -> dg.AssetCheckKey:
        """How Dagster refers to it."""
        return dg.AssetCheckKey(self.asset_key, self.name)

    def result(self, verdict: Verdict) -> dg.AssetCheckResult:
        """The verdict as the UI shows it."""
        return dg.AssetCheckResult(
            check_name=self.name,
            asset_key=self.asset_key,
            passed=verdict.passed,
            severity=self.severity,
            description=verdict.description,
            metadata=_metadata(verdict),
        )

    def evaluation(self, verdict: Verdict) -> dg.AssetCheckEvaluation:
        """The same as an event that belongs to no run."""
        return dg.AssetCheckEvaluation(
            check_name=self.name,
            asset_key=self.asset_key,
            passed=verdict.passed,
            severity=self.severity,
            description=verdict.description,
            metadata=_metadata(verdict),
        )


class _Seen(msgspec.Struct):
    """What the sensor remembers of a check."""

    state: str = ""
    judged_at: float = 0.0
    reported_at: float = 0.0


def report_changes(
    checks: Sequence[Check[Sources]], sources: Sources, cursor: str | None, now: datetime
) -> dg.SensorResult:
    """One look at each check that is due. The cursor is what was reported last, and when."""
    seen = msgspec.json.decode(cursor or "{}", type=dict[str, _Seen])
    events = []
    for check in checks:
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


def _metadata(verdict: Verdict) -> dict[str, dg.MetadataValue]:
    numbers = {name: _number(value) for name, value in verdict.numbers.items()}
    if not verdict.rows:
        return numbers
    return {**numbers, "details": markdown_table(verdict.columns, verdict.rows)}


def _number(value: float) -> dg.MetadataValue:
    whole = isinstance(value, int)
    return dg.MetadataValue.int(int(value)) if whole else dg.MetadataValue.float(value)
