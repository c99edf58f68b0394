"""The story of an account: its posts near rules, and what was done about it. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from phash_dagster.explain.archive import PostedImage
from phash_dagster.explain.fates import (
    Circumstances,
    because_of_account_actions,
    latest_of_each,
)
from phash_dagster.explain.images import Judge
from phash_dagster.explain.model import AccountStory, ActionStory, MatchedPost
from phash_dagster.explain.parts import SeenEvent
from phash_dagster.explain.stores import Facts, StoredMatch
from phash_dagster.explain.words import count


def account_story(
    did: str,
    events: Sequence[SeenEvent],
    images: Sequence[PostedImage],
    facts: Facts,
    judge: Judge,
    actions: Sequence[ActionStory],
    now: Circumstances,
) -> AccountStory:
    """Everything about an account.

    Args:
        did: The account.
        events: What the stream told of its status.
        images: Those that it posted, the latest first.
        facts: What DuckDB has of them.
        judge: The rules in force.
        actions: On the account and its posts, the latest first.
        now: What holds beside.
    """
    matched = matched_posts(images, facts, judge)
    story = AccountStory(
        did=did,
        events=events,
        gone=_gone(events),
        exempt=facts.exempt,
        posts=len({image.uri for image in images}),
        images=len({image.blob_cid for image in images}),
        first_seen=min((image.time for image in images), default=None),
        last_seen=max((image.time for image in images), default=None),
        matched=matched,
        actions=actions,
    )
    return _with_last_line(story, now)


def matched_posts(images: Sequence[PostedImage], facts: Facts, judge: Judge) -> list[MatchedPost]:
    """The posts with an image near a rule hash in force, each by its nearest, the latest first."""
    nearest: dict[str, MatchedPost] = {}
    for image in images:
        for match in facts.images.matches.get(image.blob_cid, ()):
            found = _matched(image, match, judge)
            other = nearest.get(image.uri)
            if match.counts and (other is None or found.distance < other.distance):
                nearest[image.uri] = found
    return sorted(nearest.values(), key=lambda post: post.time, reverse=True)


def _matched(image: PostedImage, match: StoredMatch, judge: Judge) -> MatchedPost:
    threshold = judge.threshold(match.rule_id)
    return MatchedPost(
        uri=image.uri,
        time=image.time,
        rule_id=match.rule_id,
        rule_hash=match.rule_hash,
        distance=match.distance,
        within=threshold is not None and match.distance <= threshold,
    )


def _gone(events: Sequence[SeenEvent]) -> str | None:
    last = events[-1].operation if events else "account_active"
    return None if last == "account_active" else last.replace("_", " ")


def _with_last_line(story: AccountStory, now: Circumstances) -> AccountStory:
    if latest_of_each(story.actions):
        return replace(story, because=because_of_account_actions(story.actions, now))
    within = [post for post in story.matched if post.within]
    if story.exempt:
        why = story.exempt
    elif within:
        why = (
            f"no action is recorded, although an image within the threshold of a rule is in "
            f"{count(len(within), 'post')} of it, {within[0].uri} for one: ask about that"
        )
    elif story.matched:
        nearest = min(story.matched, key=lambda post: post.distance)
        why = (
            f"no image in its {count(story.posts, 'post')} is within the threshold of a rule; the "
            f"nearest is {nearest.distance} bits away from a hash of rule {nearest.rule_id}"
        )
    else:
        why = f"no image in its {count(story.posts, 'post')} is near a rule hash"
    return replace(story, because=f"Nothing was done because {why}.")
