"""The figures of a report, asked of the snapshot.

Everything is counted in SQL, and every list has an end, so a report over tens of millions of images
takes no more memory than one over a hundred. Nobody waits for it: the working file is not opened.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from phash_dagster.analysis import Sources, make_snapshot
from phash_dagster.analysis.ask import Session, asking
from phash_dagster.analysis.questions import Value, find_question
from phash_dagster.analysis.snapshot import Progress
from phash_dagster.clock import Clock
from phash_dagster.reports.costs import Costs, Machine
from phash_dagster.reports.trends import Span, Trend, busy_hours, by_span, span_for
from phash_dagster.warehouse.image_posts import moment_of

Row = dict[str, Any]
Rows = tuple[Row, ...]

CLUSTER_ACCOUNTS: Final = 5
"""Accounts that posted a group of near-identical images before a report names it."""

RULES_SHOWN: Final = 6
"""Rules whose trend is drawn."""

PARTS: Final = ("hashed", "not_hashable", "waiting", "untried")
"""What the images of a span of time are divided into; together they are all that were seen."""

_NEVER_HASHED: Final = (
    "unsupported",
    "too_large",
    "not_found",
    "corrupt",
    "blocked",
    "cid_mismatch",
    "gave_up",
)


@dataclass(frozen=True)
class Reading:
    """What was read from Jetstream, and what became of the images.

    Attributes:
        seen: One row of totals: `sql/report/seen.sql`.
        outcomes: Images by outcome; `untried` are those not tried yet.
        trend: Images by span of time and part, see `PARTS`.
        open_hours: The hours in which most images wait or were not tried.
        gaps: Where events may be missing, by what was noticed in the period, the latest first.
        anomalies: What in events was not understood, by type, the most frequent first.
        lag: One row about how late events were read: `sql/report/lag.sql`.
        lag_per_hour: The same by hour.
        time_to_action: How long actions took, by event.
    """

    seen: Row
    outcomes: dict[str, int]
    trend: Trend
    open_hours: Rows
    gaps: Rows
    anomalies: Rows
    lag: Row
    lag_per_hour: Rows
    time_to_action: Rows


@dataclass(frozen=True)
class Acting:
    """What the rules found, and what was done about it.

    Attributes:
        matches: A row per rule in force: `sql/report/matches_by_rule.sql`.
        matches_trend: Posts by span of time and rule, of the busiest rules.
        actions: A row per rule, event and state: `sql/report/actions_by_rule.sql`.
        actions_trend: Actions by span of time and fate.
        rule_actions_trend: Actions by span of time and rule, of the rules with most of them.
        latest: The latest actions: `sql/report/latest_actions.sql`.
        accounts: The accounts that were hit most.
        held: What waits for a person, since whenever.
        failed: What could not be sent.
    """

    matches: Rows
    matches_trend: Trend
    actions: Rows
    actions_trend: Trend
    rule_actions_trend: Trend
    latest: Rows
    accounts: Rows
    held: Rows
    failed: Rows


@dataclass(frozen=True)
class Judging:
    """How good the rules are.

    Attributes:
        rules: A row per rule of which something was sent: `sql/report/precision_by_rule.sql`.
        hashes: The least precise rule hashes.
        clusters: Groups of near-identical images that are new and that no rule covers.
        loads: When which rules came into force, the latest first.
        backfills: What was done to the past in the period, by version, the latest first.
        changes: One row: how many loads and backfills there are in all, shown or not.
        past: One row: hours of posts, and how many the rules in force have been through.
    """

    rules: Rows
    hashes: Rows
    clusters: Rows
    loads: Rows
    backfills: Rows
    changes: Row
    past: Row

    @property
    def loads_left_out(self) -> int:
        """How many earlier loads there are that `loads` does not have."""
        return int(self.changes["loads"]) - len(self.loads)

    @property
    def backfills_left_out(self) -> int:
        """How many earlier backfills of the period there are that `backfills` does not have."""
        return int(self.changes["backfills"]) - len(self.backfills)


@dataclass(frozen=True)
class MatchReport:
    """Everything a report says. Rows are dictionaries by column of the statement they come from.

    Attributes:
        since: Beginning of the period, at a full hour.
        until: End of the period, when the snapshot was taken.
        rules_version: Version in force, None before the first.
        reading: What was read, and what became of the images.
        acting: What was found and done.
        judging: How good the rules are.
        costs: What it took.
    """

    since: datetime
    until: datetime
    rules_version: str | None
    reading: Reading
    acting: Acting
    judging: Judging
    costs: Costs

    def actions_in_state(self, *states: str) -> int:
        """How many actions of the period are in one of these states, e.g. `sent`."""
        return sum(row["actions"] for row in self.acting.actions if row["state"] in states)

    @property
    def matched_images(self) -> int:
        """Images within the threshold of rules, counted once per rule."""
        return sum(row["images"] for row in self.acting.matches)

    @property
    def length(self) -> str:
        """How long the period is, in days or hours: `7d`, `24h`."""
        hours = round((self.until - self.since) / timedelta(hours=1))
        return f"{round(hours / 24)}d" if hours > 36 else f"{max(hours, 1)}h"


def make_report(
    sources: Sources,
    path: Path,
    clock: Clock,
    *,
    since: datetime,
    machine: Machine,
    progress: Progress = lambda _: None,
) -> MatchReport:
    """Take a snapshot, which `path` leads to then, and ask it for the figures of a report.

    Raises:
        WarehouseBusyError: Another process kept the working file for long.
        OSError: The snapshot could not be written, e.g. because the disk is full.
    """
    make_snapshot(sources, path, clock, progress=progress)
    progress("asking")
    with asking(path) as session:
        return collect(session, since=since, machine=machine)


def collect(session: Session, *, since: datetime, machine: Machine) -> MatchReport:
    """Ask for the figures from then on; posts count by whole hours."""
    since = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    asker = _Asker(session, since, span_for(session.taken_at - since))
    loads = asker.ask("rule-history", most=10)
    return MatchReport(
        since=since,
        until=session.taken_at,
        rules_version=loads[0]["version"] if loads else None,
        reading=_reading(asker),
        acting=_acting(asker),
        judging=_judging(asker, loads),
        costs=Costs(fetched=asker.run("fetched", hour=asker.hour, since=since), machine=machine),
    )


@dataclass(frozen=True)
class _Asker:
    """A session, and what most of its questions need."""

    session: Session
    since: datetime
    span: Span

    @property
    def hour(self) -> str:
        return f"{self.since:%Y-%m-%d-%H}"

    def ask(self, name: str, **values: Value) -> Rows:
        """A question of `sql/analysis/`; asked for the period, if it has one."""
        question = find_question(name)
        if any(parameter.name == "since" for parameter in question.parameters):
            values["since"] = self.since
        return tuple(self.session.ask(question, values).to_pylist())

    def run(self, name: str, **parameters: object) -> Rows:
        """A statement of `sql/report/`."""
        return tuple(self.session.run(f"report/{name}", **parameters).to_pylist())

    def trend(self, rows: Rows, key: str, value: str) -> Trend:
        """Rows with `start` as a trend over the whole period."""
        found = ((str(row[key]), row["start"].replace(tzinfo=UTC), row[value]) for row in rows)
        return by_span(found, self.span, self.since, self.session.taken_at)


def _reading(asker: _Asker) -> Reading:
    hours = asker.ask("coverage-per-hour")
    return Reading(
        seen=asker.run("seen", hour=asker.hour)[0],
        outcomes={row["outcome"]: row["images"] for row in asker.run("outcomes", hour=asker.hour)},
        trend=by_span(
            (
                (part, moment_of(f"{row['hour']}:00"), images)
                for row in hours
                for part, images in _parts(row).items()
            ),
            asker.span,
            asker.since,
            asker.session.taken_at,
        ),
        open_hours=busy_hours(hours, most=10),
        gaps=asker.ask("missing-events"),
        anomalies=asker.run("anomalies", since=asker.since),
        lag=asker.run("lag", since=asker.since)[0],
        lag_per_hour=asker.ask("lag-per-hour"),
        time_to_action=asker.ask("time-to-action"),
    )


def _parts(row: Row) -> dict[str, int]:
    return {
        "hashed": row["hashed"],
        "not_hashable": sum(row[name] for name in _NEVER_HASHED),
        "waiting": row["waiting"],
        "untried": row["untried"],
    }


def _acting(asker: _Asker) -> Acting:
    span = asker.span.interval
    trend = asker.run("matches_trend", hour=asker.hour, span=span, most=RULES_SHOWN)
    fates = asker.run("actions_trend", since=asker.since, span=span)
    of_rules = asker.run("rule_actions_trend", since=asker.since, span=span, most=RULES_SHOWN)
    return Acting(
        matches=asker.run("matches_by_rule", hour=asker.hour),
        matches_trend=asker.trend(trend, "rule_id", "posts"),
        actions=asker.run("actions_by_rule", since=asker.since),
        actions_trend=asker.trend(fates, "fate", "actions"),
        rule_actions_trend=asker.trend(of_rules, "rule_id", "actions"),
        latest=asker.run("latest_actions", since=asker.since),
        accounts=asker.ask("accounts-hit-most", most=15),
        held=asker.ask("held-actions")[:25],
        failed=asker.ask("failed-actions")[:25],
    )


def _judging(asker: _Asker, loads: Rows) -> Judging:
    return Judging(
        rules=asker.run("precision_by_rule", since=asker.since),
        hashes=asker.ask("least-precise", most=15),
        clusters=asker.ask(
            "near-clusters",
            accounts=CLUSTER_ACCOUNTS,
            images=1,
            uncovered=True,
            new=True,
            most=15,
        ),
        loads=loads,
        backfills=asker.run("backfills", since=asker.since),
        changes=asker.run("changes", since=asker.since)[0],
        past=asker.run("past")[0],
    )
