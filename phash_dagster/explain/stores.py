"""Takes out of DuckDB and the ledger what an explanation needs, each in one short look."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection as LedgerConnection
from sqlalchemy import or_, select

from phash_dagster.explain.model import ActionCount
from phash_dagster.explain.parts import Fetching, ImageHashing, RulesState
from phash_dagster.moderation.actions import Action, Claim
from phash_dagster.moderation.budgets import Spent
from phash_dagster.moderation.exemptions import exempt_accounts, never_read
from phash_dagster.moderation.ledger_claims import Holder, holders
from phash_dagster.moderation.ledger_limits import Quarantine, quarantined_in, spent_lately
from phash_dagster.moderation.ledger_reading import read_ledger, require_current, undos_of
from phash_dagster.moderation.ledger_schema import moderation_actions, to_action
from phash_dagster.moderation.outcomes import ActionOutcome
from phash_dagster.moderation.precision import RulePrecision, rule_precision
from phash_dagster.rules import RuleSet, current_version
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection, Warehouse

MOST_ACTIONS: Final = 200
"""Rows of the ledger that one explanation shows, the latest first."""

_T = moderation_actions.c


class StoredMatch(NamedTuple):
    """A row of `rule_matches`, and what counts for it now."""

    blob_cid: str
    rule_id: str
    rule_hash: str
    algorithm: str
    distance: int
    first_version: str
    matched_at: datetime
    quality: int
    in_force_since: datetime | None
    counts: bool
    """Whether the rules in force have the hash, by this algorithm."""


class StoredOutcome(NamedTuple):
    """A row of `image_outcomes`."""

    blob_cid: str
    outcome: str
    reason: str | None
    attempts: int
    next_retry_at: datetime | None
    updated_at: datetime


class StoredHash(NamedTuple):
    """A hash, and what was hashed."""

    hashing: ImageHashing
    source: str
    rendition: str | None
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Images:
    """What DuckDB has of some images, each by blob CID."""

    outcomes: Mapping[str, StoredOutcome] = field(default_factory=dict)
    attempts: Mapping[str, Sequence[Fetching]] = field(default_factory=dict)
    hashes: Mapping[str, Sequence[StoredHash]] = field(default_factory=dict)
    matches: Mapping[str, Sequence[StoredMatch]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What DuckDB has that concerns a question.

    Attributes:
        images: The images.
        rules: Which rules count.
        ruleset: Those in force; None before any were loaded.
        exempt: Why the account is exempt.
        unread_lists: Lists of exempt accounts that were never read, so that nothing is sent.
        image_actions: Actions because of an image, if one image is meant.
    """

    images: Images = field(default_factory=Images)
    rules: RulesState = field(default_factory=RulesState)
    ruleset: RuleSet | None = None
    exempt: str | None = None
    unread_lists: Sequence[str] = ()
    image_actions: Sequence[ActionCount] = ()


def read_facts(
    warehouse: Warehouse,
    settings: Settings,
    blob_cids: Collection[str],
    *,
    did: str | None = None,
    hour: str | None = None,
    count_actions_of: str | None = None,
) -> Facts:
    """What DuckDB has of these images, this account and this hour.

    Raises:
        WarehouseBusyError: Another process kept the file for long.
    """
    if not warehouse.path.exists():
        return Facts()
    with warehouse.read() as connection:
        exempt = exempt_accounts(connection, settings, {did} if did else set())
        counted = (
            _ask(connection, "explain/actions_of_image", blob_cid=count_actions_of)
            if count_actions_of
            else []
        )
        return Facts(
            images=_images(connection, blob_cids),
            rules=_rules_state(connection, hour),
            exempt=exempt.get(did or ""),
            unread_lists=never_read(connection, settings),
            image_actions=[
                ActionCount(
                    event=event,
                    value=value,
                    state=state,
                    rule_id=rule_id,
                    actions=actions,
                    accounts=accounts,
                )
                for event, value, state, rule_id, actions, accounts in counted
            ],
            # Last: it leaves a result open, and then the connection takes no other question.
            ruleset=current_version(connection),
        )


def _images(connection: Connection, blob_cids: Collection[str]) -> Images:
    wanted = sorted(blob_cids)
    outcomes = _ask(connection, "explain/outcomes", blob_cids=wanted)
    attempts = _ask(connection, "explain/attempts", blob_cids=wanted)
    hashes = _ask(connection, "explain/hashes", blob_cids=wanted)
    matches = _ask(connection, "explain/matches", blob_cids=wanted)
    return Images(
        outcomes={row[0]: StoredOutcome(*row) for row in outcomes},
        attempts=_by_first(attempts, _fetching),
        hashes=_by_first(hashes, _hash),
        matches=_by_first(matches, StoredMatch._make),
    )


def _by_first(rows: Iterable[Sequence[Any]], make: Any) -> dict[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(make(row))
    return dict(found)


def _fetching(row: Sequence[Any]) -> Fetching:
    _, did, outcome, reason, next_retry_at, tried_at = row
    return Fetching(
        did=did, outcome=outcome, reason=reason, next_retry_at=next_retry_at, tried_at=tried_at
    )


def _hash(row: Sequence[Any]) -> StoredHash:
    _, algorithm, value, quality, hashed_at, hasher_version, matched_with, *image = row
    hashing = ImageHashing(
        algorithm=algorithm,
        hash=value,
        quality=quality,
        hashed_at=hashed_at,
        hasher_version=hasher_version,
        matched_with=matched_with,
    )
    return StoredHash(hashing, *image)


def _rules_state(connection: Connection, hour: str | None) -> RulesState:
    rows = _ask(connection, "explain/rules_state", hour=hour)
    if not rows:
        return RulesState(hour=hour)
    version, loaded_at, matched_with, matched_at = rows[0]
    return RulesState(
        version=version,
        loaded_at=loaded_at,
        hour=hour,
        hour_matched_with=matched_with,
        hour_matched_at=matched_at,
    )


def read_outcomes(
    warehouse: Warehouse, action_ids: Collection[int]
) -> tuple[dict[int, list[ActionOutcome]], list[RulePrecision]]:
    """What became of these actions at the labeler, and how often rules were right."""
    if not action_ids or not warehouse.path.exists():
        return {}, []
    with warehouse.read() as connection:
        rows = _ask(connection, "explain/outcomes_of_actions", action_ids=sorted(action_ids))
        precision = rule_precision(connection)
    found: defaultdict[int, list[ActionOutcome]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(ActionOutcome(*row))
    return dict(found), precision


def _ask(connection: Connection, name: str, **wanted: object) -> list[tuple[Any, ...]]:
    return connection.execute(statement(name), wanted or None).fetchall()


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger has that concerns a question.

    Attributes:
        actions: Rows on the account and its posts, or because of the post, the latest first.
        undone_by: The rows that take them back, by the number of what they take back.
        holders: The rows that hold the claims that were asked about.
        quarantined: Rule hashes whose actions are held.
        spent: What counts against the budgets.
    """

    actions: Sequence[Action] = ()
    undone_by: Mapping[int, Sequence[Action]] = field(default_factory=dict)
    holders: Sequence[Holder] = ()
    quarantined: Sequence[Quarantine] = ()
    spent: Spent = field(default_factory=Spent)


def read_action(settings: Settings, action_id: int) -> LedgerFacts | None:
    """One row of the ledger, with those that take it back; None if there is no such row.

    Raises:
        LedgerError: The ledger cannot be read.
    """

    def look(connection: LedgerConnection) -> LedgerFacts | None:
        require_current(connection)
        found = select(moderation_actions).where(_T.action_id == action_id)
        row = connection.execute(found).mappings().first()
        if row is None:
            return None
        return LedgerFacts([to_action(row)], {action_id: undos_of(connection, [action_id])})

    return read_ledger(settings.effective_ledger_url, look, nothing=None)


def read_actions(
    settings: Settings,
    did: str,
    *,
    uri: str | None = None,
    claims: Collection[Claim] = (),
    now: datetime,
) -> LedgerFacts:
    """Rows on an account and its posts; with `uri`, those on or because of that record.

    Args:
        settings: Where the ledger is.
        did: The account.
        uri: AT URI of a record.
        claims: Of which it is asked who holds them.
        now: The current time.

    Raises:
        LedgerError: The ledger cannot be read.
    """

    claim_ttl = timedelta(days=settings.claim_ttl_days)

    def look(connection: LedgerConnection) -> LedgerFacts:
        require_current(connection)
        wanted = select(moderation_actions).where(_T.subject_did == did)
        if uri is not None:
            wanted = wanted.where(or_(_T.subject_uri == uri, _T.source_uri == uri))
        latest = wanted.order_by(_T.action_id.desc()).limit(MOST_ACTIONS)
        actions = [to_action(row) for row in connection.execute(latest).mappings()]
        undone_by: defaultdict[int, list[Action]] = defaultdict(list)
        for undo in undos_of(connection, [action.action_id for action in actions]):
            undone_by[undo.undoes or 0].append(undo)
        return LedgerFacts(
            actions,
            dict(undone_by),
            list(holders(connection, frozenset(claims), now - claim_ttl)),
            quarantined_in(connection),
            spent_lately(connection, did, now),
        )

    return read_ledger(settings.effective_ledger_url, look, nothing=LedgerFacts())
