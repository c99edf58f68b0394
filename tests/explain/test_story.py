"""What an explanation tells of posts, images, accounts and actions."""

from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.explain.images import Judge, matches_in
from phash_dagster.explain.model import AccountStory, BlobStory
from phash_dagster.explain.run import UnknownActionError
from phash_dagster.explain.stores import read_facts
from phash_dagster.images.model import Outcome
from phash_dagster.moderation.draft import matches_of
from tests.explain.stage import (
    MEME,
    NOW,
    OTHER,
    POSTED,
    RULES_LOADED,
    Stage,
    account_event,
    blob,
    delete,
    entry,
    key,
    near,
    uri,
)
from tests.preview.past import hexadecimal
from tests.preview.past import post as image_post

pytestmark = pytest.mark.slow

KEY = key()
POST = uri(KEY)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A post that was labelled, by an account that has another one far from any rule."""
    found = Stage(tmp_path)
    found.give(meme=near(MEME, 2), other=OTHER)
    found.post(KEY, "meme", created_at="2026-11-23T19:14:00Z", embed_type="app.bsky.embed.images")
    found.post(key(POSTED - timedelta(hours=1)), "other", hours_ago=2)
    found.rule(entry(labelAcct=True))
    found.live()
    found.send()
    return found


# A post


def test_a_post_tells_when_it_was_seen_where_and_what_became_of_it(stage: Stage) -> None:
    stage.write(image_post(KEY, None, operation="update", cid="newer", hours_ago=0.6))
    stage.write(delete(KEY, hours_ago=0.5))
    stage.write(account_event("deactivated", hours_ago=0.4))
    story = stage.post_story(POST)
    assert [(event.operation, event.cid, event.host) for event in story.events] == [
        ("create", f"record-{KEY}", "h"),
        ("update", "newer", "h"),
        ("delete", None, "h"),
    ]
    assert story.events[0].file == "image_posts/hour=2026-11-23-19/1.parquet"
    assert story.events[0].created_at == "2026-11-23T19:14:00Z"
    assert [event.operation for event in story.account_events] == ["account_deactivated"]
    assert (story.cid, story.gone, story.images) == ("newer", "account deactivated", [])


def test_an_image_tells_its_hashes_and_the_matches_with_their_thresholds(stage: Stage) -> None:
    [image] = stage.post_story(POST).images
    assert (image.blob_cid, image.position, image.mime_type) == (blob("meme"), 0, "image/jpeg")
    assert (image.outcome, image.source, image.width, image.format) == (
        "hashed",
        "cdn",
        640,
        "jpeg",
    )
    [hashing] = image.hashes
    assert (hashing.algorithm, hashing.hash, hashing.quality) == (
        "average",
        hexadecimal(near(MEME, 2)),
        50,
    )
    [match] = image.matches
    assert (match.rule_id, match.distance, match.threshold, match.decides) == ("meme", 2, 3, True)
    assert (match.why_not, image.nearest) == (None, None)


def test_the_rules_that_count_are_named_with_what_the_hour_was_matched_with(stage: Stage) -> None:
    rules = stage.post_story(POST).rules
    assert rules.version == rules.hour_matched_with
    assert (rules.loaded_at, rules.hour) == (RULES_LOADED, "2026-11-23-19:00")


def test_what_the_rules_ask_for_is_told_with_who_did_it_already(stage: Stage) -> None:
    story = stage.post_story(POST)
    numbers = {row.claim: row.action_id for row in stage.rows()}
    assert {(wish.event, wish.value, wish.subject): wish.claimed_by for wish in story.wishes} == {
        (claim.event.value, claim.value, claim.subject): number for claim, number in numbers.items()
    }
    assert {(wish.lane, wish.mode) for wish in story.wishes} == {("live", "live")}


def test_a_wish_in_shadow_mode_says_why(stage: Stage) -> None:
    stage.rule(entry(mode="shadow", labelAcct=True), at=NOW)
    stage.change(moderation_mode="shadow", backfill_mode="shadow")
    [wish, *_] = stage.post_story(POST).wishes
    assert (wish.lane, wish.mode) == ("backfill", "shadow")
    assert wish.why_shadow == ("the rule's mode", "MODERATION_MODE", "BACKFILL_MODE")


def test_actions_come_with_what_people_did_and_how_often_the_hash_was_right(stage: Stage) -> None:
    [_, on_account, on_post] = stage.rows()[::-1]
    stage.mirror()
    stage.outcome(on_post.action_id, "appealed")
    [*_, last] = stage.post_story(POST).actions
    assert last.action.action_id == on_post.action_id
    assert [(each.outcome, each.by_did) for each in last.outcomes] == [("appealed", "did:plc:mod")]
    assert last.precision is not None
    assert (last.precision.actions, last.precision.appealed) == (2, 1)
    assert on_account.action_id in {
        each.action.action_id for each in stage.post_story(POST).actions
    }


def test_budgets_tell_what_is_spent(stage: Stage) -> None:
    stage.change(max_actions_per_account_per_day=3)
    assert list(stage.post_story(POST).budgets) == [
        "rule meme: 2 of 500 actions in 24 hours",
        "this account: 2 of 3",
        "all rules: 2 of 2,000",
    ]


def test_a_post_that_is_searched_by_a_backdated_key_is_found_all_the_same(stage: Stage) -> None:
    future = key(NOW + timedelta(hours=20))
    post = stage.post(future, "meme", hours_ago=30)
    assert len(stage.post_story(post).events) == 1


def test_matches_are_those_that_planning_sees(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.give(meme=near(MEME, 2), margin=near(MEME, 5), other=OTHER, plain=MEME)
    post = stage.post(KEY, "meme", "margin", "other", "meme", "plain")
    stage.rule(entry("gone", OTHER), entry())
    stage.rule(entry("first", MEME, hammingThreshold=1), entry(exceptHashes=[hexadecimal(OTHER)]))
    images = [blob(name) for name in ("meme", "margin", "other", "meme", "plain")]
    facts = read_facts(stage.warehouse, stage.settings, images, did="did:plc:a")
    ours = matches_in(
        [(blob_cid, place) for place, blob_cid in enumerate(images)],
        facts.images,
        uri=post,
        cid=f"record-{KEY}",
        did="did:plc:a",
        posted_at=POSTED,
    )
    with stage.warehouse.read() as connection:
        theirs = matches_of(connection, stage.posts, stage.posts.partition_keys())
    # Of an image that stands twice in a post `image_posts` keeps one row.
    assert {match.position for match in ours} - {match.position for match in theirs} == {3}
    assert {match for match in ours if match.position != 3} == set(theirs)
    assert len(theirs) > 3


# What is not there


def test_a_post_without_images_may_be_one_that_is_not_kept(stage: Stage) -> None:
    story = stage.post_story(uri(key(POSTED - timedelta(minutes=30))))
    assert story.searched is not None
    assert (story.searched.hours, story.searched.certain) == (2, False)
    assert story.because == (
        "Nothing was done because nothing of it was seen; perhaps it has no image (only records "
        "with images are kept), or the address is wrong or of another network."
    )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (f"at://did:plc:a/app.bsky.feed.like/{KEY}", "records of app.bsky.feed.like are not read"),
        (
            uri(key(NOW - timedelta(days=40))),
            "it is from 2026-10-14 20:15:00 UTC, before the first events that are there",
        ),
        (
            uri(key(NOW + timedelta(minutes=5))),
            "events were read until 2026-11-23 19:15:00 UTC only",
        ),
    ],
)
def test_what_is_known_to_keep_a_post_away_is_said(stage: Stage, asked: str, says: str) -> None:
    story = stage.post_story(asked)
    assert story.searched is not None
    assert story.searched.certain
    assert says in story.because


def test_an_empty_pipeline_says_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.because(POST) == (
        "Nothing was done because nothing of it was seen: no events were read yet."
    )
    assert "no events were read yet" in stage.because("did:plc:a")
    assert "no events were read yet" in stage.because(blob("meme"))


def test_what_is_older_than_is_kept_names_the_setting(stage: Stage) -> None:
    stage.change(retention_days=30)
    line = stage.because(uri(key(NOW - timedelta(days=40))))
    assert "hours are kept for 30 days (RETENTION_DAYS)" in line


# An account


def test_an_account_tells_of_its_posts_near_rules_and_its_actions(stage: Stage) -> None:
    story = stage.story("did:plc:a")
    assert isinstance(story, AccountStory)
    assert (story.posts, story.images, story.exempt) == (2, 2, None)
    assert [(post.uri, post.distance, post.within) for post in story.matched] == [(POST, 2, True)]
    assert len(story.actions) == 3
    assert story.because == (
        "Done: label meme on the account (1), label meme on a post (1), "
        "comment meme on the account (1)."
    )


def test_an_account_without_actions_says_how_near_it_came(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.give(margin=near(MEME, 5), far=OTHER)
    stage.post(KEY, "margin", did="did:plc:b")
    stage.post(KEY, "far", did="did:plc:c")
    stage.rule()
    assert stage.because("did:plc:b") == (
        "Nothing was done because no image in its 1 post is within the threshold of a rule; the "
        "nearest is 5 bits away from a hash of rule meme."
    )
    assert stage.because("did:plc:c") == (
        "Nothing was done because no image in its 1 post is near a rule hash."
    )
    stage.change(exempt_dids=("did:plc:c",))
    assert "account is exempt (EXEMPT_DIDS)" in stage.because("did:plc:c")


def test_an_account_that_nobody_saw_may_have_posted_no_image(stage: Stage) -> None:
    assert "perhaps it posted no image, or was not posted, since 2026-11-23 18" in stage.because(
        "did:plc:nobody"
    )


# An image


def test_an_image_tells_who_posted_it_first_and_last(stage: Stage) -> None:
    again = stage.post(key(number=3), "meme", did="did:plc:b", hours_ago=0.5)
    stage.mirror()
    story = stage.story(blob("meme"))
    assert isinstance(story, BlobStory)
    assert (story.posts, story.accounts) == (2, 2)
    assert (story.first_post, story.last_post) == (POST, again)
    assert (story.first_seen, story.last_seen) == (POSTED, NOW - timedelta(minutes=30))
    assert [(each.event, each.state, each.actions) for each in story.actions] == [
        ("comment", "sent", 1),
        ("label", "sent", 2),
    ]
    assert story.because.startswith("Done because of this image: 1 comment meme sent")


def test_an_image_that_no_rule_finds_says_so(stage: Stage) -> None:
    assert "no rule hash is near its image" in stage.because(blob("other"))


def test_an_image_that_ends_without_a_hash_says_so(stage: Stage) -> None:
    stage.end("broken", Outcome.corrupt, "not an image")
    assert stage.because(blob("broken")).endswith("its image has no hash: corrupt, not an image.")


def test_the_cid_of_a_record_leads_to_the_record(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    record = blob("a record")
    post = stage.post(KEY, "meme", cid=record)
    assert stage.post_story(record).uri == post


# An action, and addresses by handle


def test_an_action_leads_to_the_post_because_of_which_it_is(stage: Stage) -> None:
    [row] = [row for row in stage.rows() if row.event.value == "comment"]
    found = stage.explain(str(row.action_id))
    assert found.action is not None
    assert found.action.action.action_id == row.action_id
    assert [story.because for story in found.stories] == [found.because]
    assert stage.post_story(f"#{row.action_id}").uri == POST


def test_an_action_that_is_not_there_is_an_error(stage: Stage) -> None:
    with pytest.raises(UnknownActionError, match="no action 99"):
        stage.explain("99")


def test_a_page_of_a_handle_is_found_by_its_record_key(stage: Stage) -> None:
    other = stage.post(KEY, "other", did="did:plc:b")
    page = f"https://bsky.app/profile/somebody.test/post/{KEY}"
    assert [getattr(story, "uri", "") for story in stage.explain(page).stories] == [POST, other]
    unknown = stage.post_story(f"https://bsky.app/profile/somebody.test/post/{key(number=9)}")
    assert unknown.searched is not None


def test_the_judge_names_the_rule_that_comes_first(stage: Stage) -> None:
    allowed = ["colliding-hash"]
    stage.rule(entry("first", near(MEME, 1), allow=allowed), entry(allow=allowed))
    [image] = stage.post_story(POST).images
    assert {match.rule_id: match.why_not for match in image.matches} == {
        "first": None,
        "meme": "the rule first comes first, and decides about the image",
    }


def test_without_rules_every_match_is_of_a_rule_that_is_gone() -> None:
    judge = Judge(None, NOW, 10)
    assert judge.judged([]) == []
    assert judge.threshold("meme") is None
