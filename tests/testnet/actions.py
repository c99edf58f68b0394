"""What the tests of sending need: actions on real subjects, the account that sends them."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.pds_session import OzoneAccount
from tests.testnet.network import TeamAccount
from tests.testnet.testnet import Author, Post, Testnet

NOW = datetime(2026, 11, 23, 19, 30, tzinfo=UTC)
_numbers = itertools.count(1)

Edit = Callable[[httpx.Request], None]


class EditedRequests(httpx.HTTPTransport):
    """Real requests, some with something changed on their way."""

    def __init__(self, edit: Edit) -> None:
        super().__init__()
        self._edit = edit

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._edit(request)
        return super().handle_request(request)


def account(testnet: Testnet, member: TeamAccount | Author | None = None) -> OzoneAccount:
    member = member or testnet.automod
    return OzoneAccount(
        testnet.pds_url, member.handle, SecretStr(member.password), testnet.labeler_did
    )


def on_account(did: str, event: Event) -> Action:
    """An action on an account, with an `externalId` of its own."""
    return Action(
        external_id=f"phash-dagster:test-{next(_numbers)}",
        subject_uri=None,
        subject_did=did,
        subject_cid=None,
        source_uri=f"at://{did}/app.bsky.feed.post/3n2yxbzslwk2r",
        blob_cids=(),
        event=event,
        value="" if event is Event.TAKEDOWN else "spam",
        rule_id="rule-1",
        rule_version="0" * 64,
        rule_hash="0707070707070707",
        distance=3,
        comment="a comment with ümläuts",
        report_reason="com.atproto.moderation.defs#reasonSpam",
        lane="live",
        mode="live",
        state=State.SENDING,
        reason=None,
        batch_id="batch-1",
        run_id="run-1",
        planned_at=NOW,
    )


def on_post(author: Author, post: Post, event: Event) -> Action:
    """The same on a post and its images."""
    return replace(
        on_account(author.did, event),
        subject_uri=post.uri,
        subject_cid=post.cid,
        source_uri=post.uri,
        blob_cids=post.blob_cids,
    )
