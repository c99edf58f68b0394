"""An action is one moderation event that is planned or sent: one row of the ledger. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from phash_dagster.settings import Mode

Lane = Literal["live", "backfill"]
"""`live` for posts as they come, `backfill` for those from before a rule."""


class Event(StrEnum):
    """What an action does to its subject."""

    LABEL = "label"
    REPORT = "report"
    COMMENT = "comment"
    TAKEDOWN = "takedown"
    NEGATE_LABEL = "negate_label"
    """Takes a label back."""
    REVERSE_TAKEDOWN = "reverse_takedown"


IMPORTED_RULE: Final = "imported"
"""Stands for the rule in rows of what the predecessor did."""


class State(StrEnum):
    """Where an action stands."""

    PLANNED = "planned"
    """Waits for an emitter. With `attempts` above 0 it was tried, and as far as Ozone says the
    event did not arrive."""
    SENDING = "sending"
    """An emitter has taken it, or had no answer: Ozone may have the event. Where no emitter is at
    work, such rows are settled before anything new is sent."""
    SENT = "sent"
    """Ozone has the event."""
    SHADOW = "shadow"
    """Recorded only; never sent."""
    HELD = "held"
    """Waits for a person, who releases or rejects it. It holds its claim meanwhile."""
    SUPPRESSED = "suppressed"
    """Not sent, since its subject is gone, exempt or has the label already, since the rules no
    longer ask for it, or since a person rejected it."""
    FAILED = "failed"
    """Refused by Ozone for good; `reason` holds Ozone's words."""
    DEAD = "dead"
    """Given up after too many attempts."""


class Review(StrEnum):
    """What a person said of an action that waited for one."""

    RELEASED = "released"
    """Send it; budgets count it no more."""
    REJECTED = "rejected"
    """Never send it."""


class Claim(NamedTuple):
    """What happens at most once in the claim window."""

    subject: str
    """AT URI of a post, or DID of an account."""
    event: Event
    value: str


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims that are taken. Shadow rows never stand in the way of live ones."""

    live: frozenset[Claim] = frozenset()
    shadow: frozenset[Claim] = frozenset()
    sources: frozenset[tuple[Claim, str]] = field(default=frozenset(), compare=False)
    """Each with the AT URI of the post that it was taken for, as far as this pipeline did."""

    def block(self, claim: Claim, mode: Mode) -> bool:
        """Whether an action of this mode would repeat what is planned, sent or recorded."""
        return claim in self.live or (mode == "shadow" and claim in self.shadow)


@dataclass(frozen=True, slots=True)
class GoneSubjects:
    """Posts and accounts that nothing may be done to, each with the reason: gone, or exempt."""

    uris: Mapping[str, str] = field(default_factory=dict)
    """AT URI of a deleted post → reason, e.g. `post deleted`."""
    dids: Mapping[str, str] = field(default_factory=dict)
    """DID of a deleted, taken down, suspended, deactivated or exempt account → reason."""

    def reason(self, uri: str | None, did: str) -> str | None:
        """Why nothing may be done to this post (or, without an AT URI, account); None if it may."""
        if did in self.dids:
            return self.dids[did]
        return self.uris.get(uri) if uri else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One moderation event, planned or sent, with all that sending it takes."""

    external_id: str
    """Unique in the ledger. For a live action the `externalId` that the request carries."""
    subject_uri: str | None
    """AT URI of the post; None where the subject is the account."""
    subject_did: str
    """DID of the post's author, who is the subject where `subject_uri` is None."""
    subject_cid: str | None
    """CID of the post's record; None where the subject is the account."""
    source_uri: str
    """AT URI of the post whose image led to this; the same as `subject_uri` for posts."""
    blob_cids: tuple[str, ...]
    """The matching images of the source post."""
    event: Event
    value: str
    """The rule's label, for reports and comments too, so that two rules may each report a post;
    empty for a takedown, which is the same whichever rule asks for it."""
    rule_id: str
    rule_version: str
    rule_hash: str
    distance: int
    comment: str
    report_reason: str | None
    """The `reportType` of a report, else None."""
    lane: Lane
    mode: Mode
    state: State
    reason: str | None
    """Why it is not sent, or what Ozone said."""
    batch_id: str
    run_id: str
    planned_at: datetime
    action_id: int = 0
    """Given by the ledger; 0 before it is recorded. Grows in the order of recording."""
    attempts: int = 0
    """How many times an emitter has taken it up."""
    failed_runs: int = 0
    """In how many runs Ozone answered others and not this one; too many make it dead."""
    undoes: int | None = None
    """The `action_id` of the action that this one takes back."""
    review: Review | None = None
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None
    """Who released or rejected it."""
    settled_at: datetime | None = None
    """When it was settled that nothing is to be sent: a person rejected it, or the subject has the
    label already. Such a suppressed row holds its claim as a sent one does."""
    ozone_event_id: int | None = None
    sent_at: datetime | None = None
    updated_at: datetime | None = None
    """When the ledger last wrote the row; None before it is recorded."""

    @property
    def subject(self) -> str:
        """AT URI of the post, or DID of the account."""
        return self.subject_uri or self.subject_did

    @property
    def claim(self) -> Claim:
        """What this action would do at most once in the claim window."""
        return Claim(self.subject, self.event, self.value)


def external_id(
    claim: Claim, cid: str | None, *, mode: Mode, suppressed: bool, planned_at: datetime, ttl: int
) -> str:
    """The identifier of an action: the same inputs give the same one, whichever run plans it.

    Ozone refuses a second event of one type, `externalId` and author DID as
    `DuplicateExternalId`. So that two posts of one author never collide, the identifier is a
    SHA-256 over subject, record CID, event and value. The claim window (days since 1970 divided
    by `ttl`) lets the same event be sent again in a later window. Shadow and suppressed rows have
    identifiers of their own, so that they never stand in the way of a live row.

    Args:
        claim: Subject, event and value.
        cid: CID of the post's record; None for an account.
        mode: Mode of the action.
        suppressed: Whether the row only records that its subject is gone.
        planned_at: When it is planned.
        ttl: Length of the claim window in days (`CLAIM_TTL_DAYS`).
    """
    days = (planned_at - datetime.fromtimestamp(0, UTC)).days
    kind = f"{mode}-suppressed" if suppressed else mode
    parts = (kind, claim.event.value, claim.subject, cid or "", claim.value, str(days // ttl))
    # As JSON, since authors choose keys and CIDs, and could move any separator between the parts.
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return f"phash-dagster:{digest}" if kind == "live" else f"phash-dagster:{kind}:{digest}"
