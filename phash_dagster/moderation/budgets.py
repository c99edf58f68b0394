"""How much may happen before a person looks: what goes beyond it is held. Pure."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.rules.model import RuleSet
from phash_dagster.settings import Settings

COUNTED: Final = frozenset({Event.LABEL, Event.REPORT, Event.TAKEDOWN})
"""What budgets count. A comment only explains a label or takedown, and follows it; what takes
something back is never held."""

SMALLEST_SHARE: Final = 10
"""Posts from which `BACKFILL_MAX_SHARE` counts: one post of twenty is no wave."""


class HashKey(NamedTuple):
    """A rule hash as actions refer to it."""

    rule_id: str
    rule_hash: str


@dataclass(frozen=True, slots=True)
class Reach:
    """The posts and accounts that a backfill acts upon."""

    posts: frozenset[str] = frozenset()
    """AT URIs."""
    accounts: frozenset[str] = frozenset()
    """DIDs."""

    def with_rows(self, rows: Sequence[Action]) -> "Reach":
        """This, and what these rows act upon."""
        return Reach(
            self.posts | {row.source_uri for row in rows},
            self.accounts | {row.subject_did for row in rows},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What may be planned without a person; each field is a largest number.

    A day is the last 24 hours.
    """

    actions_per_rule: int
    """In a day, by a rule that is not in `rule_limits`."""
    rule_limits: Mapping[str, int] = field(default_factory=dict)
    """By rule id: the `maxActionsPerDay` that rules name."""
    actions_per_run: int
    actions_per_day: int
    actions_per_account: int
    """In a day, on an account and its posts."""
    takedowns_per_day: int
    backfill_posts: int
    backfill_accounts: int
    backfill_share: float
    """Of the image posts that the backfill looks at, 0 to 1."""

    @classmethod
    def of(cls, settings: Settings, ruleset: RuleSet) -> "Budgets":
        """The budgets that the settings and the rules in force name."""
        return cls(
            actions_per_rule=settings.max_actions_per_rule_per_day,
            rule_limits={
                rule.id: rule.max_actions_per_day
                for rule in ruleset.rules
                if rule.max_actions_per_day is not None
            },
            actions_per_run=settings.max_actions_per_run,
            actions_per_day=settings.max_actions_per_day,
            actions_per_account=settings.max_actions_per_account_per_day,
            takedowns_per_day=settings.max_takedowns_per_day,
            backfill_posts=settings.backfill_max_posts,
            backfill_accounts=settings.backfill_max_accounts,
            backfill_share=settings.backfill_max_share,
        )

    def of_rule(self, rule_id: str) -> int:
        """Actions of a rule in a day."""
        return self.rule_limits.get(rule_id, self.actions_per_rule)

    def over_reach(self, reach: Reach, images: int | None = None) -> str | None:
        """Why a backfill of this reach is held; None if it is within bounds.

        Args:
            reach: What it acts upon.
            images: Image posts that it looks at; None: not known, so their share is not checked.
        """
        posts, accounts = len(reach.posts), len(reach.accounts)
        limits = []
        if posts > self.backfill_posts:
            limits.append(f"{self.backfill_posts:,} posts (BACKFILL_MAX_POSTS)")
        if accounts > self.backfill_accounts:
            limits.append(f"{self.backfill_accounts:,} accounts (BACKFILL_MAX_ACCOUNTS)")
        if images and posts >= SMALLEST_SHARE and posts > self.backfill_share * images:
            share = f"{self.backfill_share:.2%} of {images:,} image posts"
            limits.append(f"{share} (BACKFILL_MAX_SHARE)")
        if not limits:
            return None
        return (
            f"the backfill reaches at least {posts:,} posts of {accounts:,} accounts; "
            f"without a person at most {' and '.join(limits)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was planned or sent already, without what a person released."""

    by_rule: Mapping[str, int] = field(default_factory=dict)
    """Actions in the last day, by rule id."""
    by_account: Mapping[str, int] = field(default_factory=dict)
    """Actions in the last day, by DID."""
    in_run: int = 0
    in_day: int = 0
    takedowns: int = 0
    """In the last day."""
    reached: Mapping[str, Reach] = field(default_factory=dict)
    """By backfill batch."""
    held_batches: Mapping[str, str] = field(default_factory=dict)
    """Batches that are held, and why."""
    released_batches: Collection[str] = ()
    """Batches that a person released."""
    quarantined: Mapping[HashKey, str] = field(default_factory=dict)
    """Rule hashes that are flooded, and why."""


@dataclass(frozen=True, slots=True)
class Budgeted:
    """Rows of which those that went too far are held."""

    rows: tuple[Action, ...]
    batches_over: Mapping[str, str] = field(default_factory=dict)
    """Batches that went over their bounds with these rows, and why: all of each is held."""


def within_budgets(rows: Sequence[Action], budgets: Budgets, spent: Spent) -> Budgeted:
    """Hold what goes beyond the budgets: the rest of a rule, a run, a day, or a whole backfill.

    Rows are counted in their order, first come first served. Only planned rows of `COUNTED` events
    are; a comment on an account is held if everything that it explains is.
    """
    over = dict(_batches_over(rows, budgets, spent))
    tally = _Tally(budgets, spent)
    held: list[Action] = []
    for row in rows:
        reason = _held_as_a_whole(row, spent, over)
        if reason is None and row.state is State.PLANNED and row.event in COUNTED:
            reason = tally.refuse(row)
        held.append(_hold(row, reason) if reason and row.state is State.PLANNED else row)
    return Budgeted(tuple(_comments_follow(held)), over)


def _batches_over(
    rows: Sequence[Action], budgets: Budgets, spent: Spent
) -> Iterator[tuple[str, str]]:
    of_batch: dict[str, list[Action]] = {}
    for row in rows:
        if row.lane == "backfill" and row.state is State.PLANNED:
            of_batch.setdefault(row.batch_id, []).append(row)
    for batch_id, its_rows in of_batch.items():
        if batch_id in spent.held_batches or batch_id in spent.released_batches:
            continue
        reach = spent.reached.get(batch_id, Reach()).with_rows(its_rows)
        if reason := budgets.over_reach(reach):
            yield batch_id, reason


def _held_as_a_whole(row: Action, spent: Spent, over: Mapping[str, str]) -> str | None:
    """Why a row is held whatever is left of the budgets."""
    if row.lane == "backfill":
        held = spent.held_batches.get(row.batch_id) or over.get(row.batch_id)
        if held:
            return held
    return spent.quarantined.get(HashKey(row.rule_id, row.rule_hash))


class _Tally:
    """What is spent, growing row by row."""

    def __init__(self, budgets: Budgets, spent: Spent) -> None:
        self._budgets = budgets
        self._by_rule = Counter(spent.by_rule)
        self._by_account = Counter(spent.by_account)
        self._run, self._day, self._takedowns = spent.in_run, spent.in_day, spent.takedowns

    def refuse(self, row: Action) -> str | None:
        """Count the row and give None, or say which budget it would go beyond."""
        takedown = row.event is Event.TAKEDOWN
        reason = self._beyond(row, takedown=takedown)
        if reason:
            return f"over budget: {reason}"
        self._by_rule[row.rule_id] += 1
        self._by_account[row.subject_did] += 1
        self._run += 1
        self._day += 1
        self._takedowns += takedown
        return None

    def _beyond(self, row: Action, *, takedown: bool) -> str | None:
        budgets = self._budgets
        if takedown and self._takedowns >= budgets.takedowns_per_day:
            return f"{budgets.takedowns_per_day:,} takedowns in 24 hours (MAX_TAKEDOWNS_PER_DAY)"
        of_rule = budgets.of_rule(row.rule_id)
        if self._by_rule[row.rule_id] >= of_rule:
            named = row.rule_id in budgets.rule_limits
            source = "its maxActionsPerDay" if named else "MAX_ACTIONS_PER_RULE_PER_DAY"
            return f"{of_rule:,} actions of rule {row.rule_id} in 24 hours ({source})"
        if self._by_account[row.subject_did] >= budgets.actions_per_account:
            most = f"{budgets.actions_per_account:,} actions on one account in 24 hours"
            return f"{most} (MAX_ACTIONS_PER_ACCOUNT_PER_DAY)"
        if self._run >= budgets.actions_per_run:
            return f"{budgets.actions_per_run:,} actions in one run (MAX_ACTIONS_PER_RUN)"
        if self._day >= budgets.actions_per_day:
            return f"{budgets.actions_per_day:,} actions in 24 hours (MAX_ACTIONS_PER_DAY)"
        return None


def _comments_follow(rows: Sequence[Action]) -> Iterator[Action]:
    explained: dict[tuple[str, str], list[Action]] = {}
    for row in rows:
        if row.subject_uri is None and row.event in (Event.LABEL, Event.TAKEDOWN):
            explained.setdefault((row.rule_id, row.subject_did), []).append(row)
    for row in rows:
        others = explained.get((row.rule_id, row.subject_did), [])
        all_held = bool(others) and all(other.state is State.HELD for other in others)
        if row.event is Event.COMMENT and row.state is State.PLANNED and all_held:
            yield _hold(row, others[0].reason or "")
        else:
            yield row


def _hold(row: Action, reason: str) -> Action:
    return replace(row, state=State.HELD, reason=reason)
