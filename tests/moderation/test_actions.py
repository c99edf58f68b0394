"""Identifiers, claims and gone subjects."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.moderation.actions import Claim, Claims, Event, GoneSubjects, external_id
from tests.moderation.builders import DID, NOW, TTL_DAYS, action_on_account, action_on_post

CLAIM = Claim("at://did:plc:a/app.bsky.feed.post/1", Event.LABEL, "troll")


def _id(claim: Claim = CLAIM, cid: str | None = "bafy1", *, planned_at: datetime = NOW) -> str:
    return external_id(
        claim, cid, mode="live", suppressed=False, planned_at=planned_at, ttl=TTL_DAYS
    )


def test_the_same_action_has_the_same_identifier_in_one_window() -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    start = monday - timedelta(days=(monday - datetime(1970, 1, 1, tzinfo=UTC)).days % TTL_DAYS)
    assert _id(planned_at=start) == _id(planned_at=start + timedelta(days=7, microseconds=-1))


def test_the_next_window_has_another_identifier() -> None:
    assert _id(planned_at=NOW) != _id(planned_at=NOW + timedelta(days=TTL_DAYS))


@pytest.mark.parametrize(
    ("claim", "cid"),
    [
        (CLAIM._replace(subject="at://did:plc:a/app.bsky.feed.post/2"), "bafy1"),
        (CLAIM._replace(event=Event.REPORT), "bafy1"),
        (CLAIM._replace(value="spam"), "bafy1"),
        (CLAIM, "bafy2"),
    ],
    ids=["post", "event", "value", "record"],
)
def test_what_differs_has_another_identifier(claim: Claim, cid: str) -> None:
    assert _id(claim, cid) != _id()


def test_no_separator_in_a_record_key_makes_two_identifiers_one() -> None:
    longer = CLAIM._replace(subject=f"{CLAIM.subject}\nA")
    assert _id(CLAIM, "A\nB") != _id(longer, "B")


def test_live_shadow_and_suppressed_rows_never_share_an_identifier() -> None:
    found = {
        external_id(CLAIM, "bafy1", mode=mode, suppressed=gone, planned_at=NOW, ttl=TTL_DAYS)
        for mode in ("live", "shadow")
        for gone in (False, True)
    }
    assert len(found) == 4


@given(
    seconds=st.integers(0, 4_000_000_000),
    days=st.integers(1, 60),
    later=st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_an_action_planned_after_its_claim_ran_out_has_another_identifier(
    seconds: int, days: int, later: timedelta
) -> None:
    planned = datetime.fromtimestamp(seconds, UTC)

    def identifier(at: datetime) -> str:
        return external_id(CLAIM, None, mode="live", suppressed=False, planned_at=at, ttl=days)

    assert identifier(planned) != identifier(planned + timedelta(days=days) + later)


def test_a_live_claim_blocks_both_modes_and_a_shadow_claim_only_shadow() -> None:
    live, shadow = Claims(live=frozenset({CLAIM})), Claims(shadow=frozenset({CLAIM}))
    assert live.block(CLAIM, "live")
    assert live.block(CLAIM, "shadow")
    assert shadow.block(CLAIM, "shadow")
    assert not shadow.block(CLAIM, "live")


def test_a_deleted_post_is_gone_and_its_author_is_not() -> None:
    gone = GoneSubjects(uris={CLAIM.subject: "post deleted"})
    assert gone.reason(CLAIM.subject, DID) == "post deleted"
    assert gone.reason(None, DID) is None


def test_with_an_account_its_posts_are_gone() -> None:
    gone = GoneSubjects(dids={DID: "account deleted"})
    assert gone.reason(CLAIM.subject, DID) == "account deleted"
    assert gone.reason(None, DID) == "account deleted"


def test_the_subject_is_the_post_or_else_the_account() -> None:
    assert action_on_post("1").subject == f"at://{DID}/app.bsky.feed.post/1"
    assert action_on_account().subject == DID
