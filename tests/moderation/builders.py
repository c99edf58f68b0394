"""Ledger rows and other values that tests need, with defaults for what a test does not care for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from phash_dagster.moderation.actions import Action, Claim, Event, State, external_id
from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.settings import Mode

NOW = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)
TTL_DAYS = 7
TTL = timedelta(days=TTL_DAYS)
HASH = "0707070707070707"
DID = "did:plc:author"


@dataclass
class ManualClock:
    """A clock that a test sets."""

    time: datetime = NOW

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)


def post_uri(rkey: str = "3kpost", did: str = DID) -> str:
    return f"at://{did}/app.bsky.feed.post/{rkey}"


def action_on_post(
    rkey: str = "3kpost",
    *,
    did: str = DID,
    event: Event = Event.LABEL,
    value: str = "troll",
    mode: Mode = "live",
    planned_at: datetime = NOW,
    **fields: Any,
) -> Action:
    """An action on a post, planned unless it is shadow."""
    uri = post_uri(rkey, did)
    return _action(
        Claim(uri, event, value),
        did=did,
        mode=mode,
        planned_at=planned_at,
        subject_uri=uri,
        subject_cid=f"bafyrei{rkey}",
        source_uri=uri,
        comment=f"a comment on {uri}",
        **fields,
    )


def action_on_account(
    did: str = DID,
    *,
    event: Event = Event.LABEL,
    value: str = "troll",
    mode: Mode = "live",
    planned_at: datetime = NOW,
    **fields: Any,
) -> Action:
    """An action on an account, because of a post of it."""
    return _action(
        Claim(did, event, value),
        did=did,
        mode=mode,
        planned_at=planned_at,
        subject_uri=None,
        subject_cid=None,
        source_uri=post_uri(did=did),
        comment=f"a comment on {did}",
        **fields,
    )


def _action(
    claim: Claim,
    *,
    did: str,
    mode: Mode,
    planned_at: datetime,
    subject_cid: str | None,
    **fields: Any,
) -> Action:
    identifier = external_id(
        claim, subject_cid, mode=mode, suppressed=False, planned_at=planned_at, ttl=TTL_DAYS
    )
    values: dict[str, Any] = {
        "external_id": identifier,
        "subject_did": did,
        "subject_cid": subject_cid,
        "blob_cids": ("bafkreione",),
        "event": claim.event,
        "value": claim.value,
        "rule_id": "rule-1",
        "rule_version": "a" * 64,
        "rule_hash": HASH,
        "distance": 2,
        "report_reason": (
            "com.atproto.moderation.defs#reasonSpam" if claim.event is Event.REPORT else None
        ),
        "lane": "live",
        "mode": mode,
        "state": State.PLANNED if mode == "live" else State.SHADOW,
        "reason": None,
        "batch_id": "batch-1",
        "run_id": "run-1",
        "planned_at": planned_at,
    }
    return Action(**(values | fields))


def rule(*phashes: str, **fields: Any) -> Rule:
    """A rule that labels posts, and does whatever else `fields` say."""
    values: dict[str, Any] = {
        "phashes": phashes or (HASH,),
        "label": "troll",
        "comment": "Known troll image",
        "report_account": False,
        "label_account": False,
        "report_post": False,
        "label_post": True,
    }
    return Rule.model_validate(values | fields)


def rules(*members: Rule, default_threshold: int = 3) -> RuleSet:
    return RuleSet.of(members, default_threshold=default_threshold)
