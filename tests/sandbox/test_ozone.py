"""Ozone, as far as no contract test can see it: itself, without a PDS in between, and scripted."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.labels import LabelStore
from phash_dagster.sandbox.moderation_input import Subject
from phash_dagster.sandbox.moderation_model import content_tags, report_tag
from phash_dagster.sandbox.world import World
from phash_dagster.sandbox.xrpc import XrpcError

QUERY_EVENTS = "xrpc/tools.ozone.moderation.queryEvents"


def test_ozone_itself_wants_a_pdss_token(sandbox: Sandbox, client: httpx.Client) -> None:
    access = sandbox.world.sessions.issue(sandbox.world.automod.did).access
    url = f"{sandbox.ozone_url}/{QUERY_EVENTS}"

    without = client.get(url)
    with_session = client.get(url, headers={"authorization": f"Bearer {access}"})

    assert (without.status_code, without.json()["error"]) == (401, "MissingJwt")
    assert (with_session.status_code, with_session.json()["error"]) == (401, "BadJwtType")


def test_labels_are_public(sandbox: Sandbox, client: httpx.Client) -> None:
    response = client.get(
        f"{sandbox.ozone_url}/xrpc/com.atproto.label.queryLabels", params={"uriPatterns": "*"}
    )

    assert (response.status_code, response.json()) == (200, {"labels": []})


def test_a_method_that_is_not_there_is_said_to_be_so(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    response = client.get(f"{sandbox.ozone_url}/xrpc/tools.ozone.moderation.getEvent")

    assert (response.status_code, response.json()["error"]) == (501, "MethodNotImplemented")


def test_a_member_who_leaves_the_team_is_no_moderator() -> None:
    world = World()
    assert world.moderation.member(world.automod.did) == "moderator"

    world.moderation.set_role(world.automod.did, None)

    with pytest.raises(XrpcError, match="not a moderator account"):
        world.moderation.member(world.automod.did)


def test_a_label_put_again_gets_a_new_number() -> None:
    store, now = LabelStore("did:plc:labeler"), datetime(2026, 11, 23, tzinfo=UTC)
    subject = Subject("did:plc:a")

    store.put(subject, "spam", now)
    store.put(subject, "rude", now)
    store.put(subject, "spam", now + timedelta(seconds=1))

    assert [(label.id, label.value) for label in store.all()] == [(2, "rude"), (3, "spam")]


@pytest.mark.parametrize(
    ("reason", "tag"),
    [
        ("com.atproto.moderation.defs#reasonSpam", "report:spam"),
        ("tools.ozone.report.defs#reasonMisleadingSpam", "report:misleading-spam"),
        ("com.example#other", "report:com.example#other"),
    ],
)
def test_a_report_is_tagged_by_its_reason(reason: str, tag: str) -> None:
    assert report_tag(reason) == tag


def test_a_record_is_tagged_by_language_and_embed_once() -> None:
    record = {
        "langs": ["en", "pt"],
        "embed": {
            "$type": "app.bsky.embed.recordWithMedia",
            "media": {"$type": "app.bsky.embed.images"},
        },
    }

    assert content_tags(record, []) == ["lang:en", "lang:pt", "embed:image"]
    assert content_tags(record, ["lang:ko", "embed:video"]) == []
    assert content_tags(None, []) == ["lang:und"]
