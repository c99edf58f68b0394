"""What was done, or why nothing was, in one line. Pure."""

from collections.abc import Sequence

from phash_dagster.explain.fates import (
    NOTHING,
    Circumstances,
    because_of_actions,
    latest_of_each,
)
from phash_dagster.explain.model import BlobStory, PostStory, Wish
from phash_dagster.explain.parts import FoundMatch, ImageStory, RulesState
from phash_dagster.explain.words import gone_words, moment
from phash_dagster.moderation.actions import State
from phash_dagster.moderation.decisions import Decision, WhyNot


def because_of_record(story: PostStory, decisions: Sequence[Decision], now: Circumstances) -> str:
    """The last line about a record."""
    actions = latest_of_each(story.actions)
    if actions:
        return because_of_actions(actions, now)
    return f"{NOTHING}{_why_no_action(story, decisions, now)}."


def because_of_image(story: BlobStory, now: Circumstances) -> str:
    """The last line about an image, whoever posted it."""
    counted = [
        f"{each.actions:,} {' '.join(filter(None, (each.event, each.value)))} {each.state}"
        for each in story.actions
    ]
    if any(each.state == State.SENT for each in story.actions):
        return f"Done because of this image: {', '.join(counted)}."
    if counted:
        return f"{NOTHING}the actions are {', '.join(counted)}."
    deciding = next((match for match in story.image.matches if match.decides), None)
    if deciding:
        return (
            f"{NOTHING}no action on a post with it is recorded, although rule {deciding.rule_id} "
            "would decide: ask about a post."
        )
    return f"{NOTHING}{_why_not_decided([story.image], story.rules, now)}."


# No action


def _why_no_action(story: PostStory, decisions: Sequence[Decision], now: Circumstances) -> str:
    if not story.images:
        return _why_no_image(story)
    if not decisions:
        return _why_not_decided(story.images, story.rules, now)
    if story.exempt:
        return story.exempt
    if story.gone:
        return gone_words(story.gone)
    if not story.wishes:
        return _why_no_wish(decisions[0])
    if not any(wish.claimed_by is None for wish in story.wishes):
        return _why_claimed(story.wishes, now)
    return _why_not_planned(story)


def _why_no_image(story: PostStory) -> str:
    if story.gone:
        return f"{gone_words(story.gone)}, and no image in it was seen"
    return "the record, as it stands now, has no image"


def _why_no_wish(decision: Decision) -> str:
    rule = decision.rule
    asks = (
        rule.label_post
        or rule.report_post
        or rule.takedown_post
        or rule.label_account
        or rule.report_account
        or rule.takedown_account
    )
    if not asks:
        return f"rule {rule.id} decides about it and asks for no action"
    if rule.backfill == "none":
        return f"the post is from before rule {rule.id} was in force, and its backfill is none"
    age = f"backfillMaxAgeDays is {rule.backfill_max_age_days}"
    return f"the post is from before rule {rule.id} was in force and older than it acts on: {age}"


def _why_claimed(wishes: Sequence[Wish], now: Circumstances) -> str:
    numbers = sorted({wish.claimed_by for wish in wishes if wish.claimed_by is not None})
    actions = ", ".join(map(str, numbers))
    days = now.settings.claim_ttl_days
    return (
        f"action {actions} did the same already, or will, and nothing is repeated within {days} "
        "days (CLAIM_TTL_DAYS), nor what a person rejected"
    )


def _why_not_planned(story: PostStory) -> str:
    rules = story.rules
    if rules.hour_matched_with != rules.version:
        return (
            f"its hour, {rules.hour}, was not looked at with the rules in force yet; the next run "
            "of moderate_hour or rematch_hours for it does so"
        )
    return (
        f"it was not planned: since its hour, {rules.hour}, was looked at last, rules, exemptions "
        "or settings have changed, or a run is under way. Materialize moderation_actions for that "
        "hour to plan it"
    )


# No decision


def _why_not_decided(images: Sequence[ImageStory], rules: RulesState, now: Circumstances) -> str:
    """By the image that came nearest to a decision."""
    stages = [_stage(image, rules, now) for image in images]
    _, why, image = max(stages, key=lambda stage: stage[0])
    return f"{_named(image, images)}{why}"


def _named(image: ImageStory, images: Sequence[ImageStory]) -> str:
    if len(images) == 1:
        return ""
    return f"of its {len(images)} images none led to a decision; image {_number(image)}: "


def _number(image: ImageStory) -> int:
    return (image.position or 0) + 1


def _stage(
    image: ImageStory, rules: RulesState, now: Circumstances
) -> tuple[tuple[int, float], str, ImageStory]:
    """How far an image came, why no farther, and the image."""
    near = [match for match in image.matches if not _is_exception(match)]
    refused = [match for match in near if not _is_too_far(match)]
    if refused:
        best = min(refused, key=_refusal_order)
        return (5, -best.distance), _refused(best), image
    if near:
        return (4, -near[0].distance), _too_far(near[0]), image
    if image.hashes:
        return (3, 0), _nothing_near(image, rules, now), image
    if image.outcome == "waiting":
        again = f"; the next attempt is at {moment(image.next_retry_at)}"
        return (2, 0), f"its image could not be had yet: {image.reason}{again}", image
    if image.outcome is None:
        return (1, 0), "its image was not fetched yet", image
    return (0, 0), f"its image has no hash: {image.outcome}, {image.reason}", image


def _refusal_order(match: FoundMatch) -> tuple[bool, int]:
    """What is in force tells more than what is not."""
    return match.threshold is None, match.distance


def _is_exception(match: FoundMatch) -> bool:
    return (match.why_not or "").startswith(WhyNot.EXCEPTION.value)


def _is_too_far(match: FoundMatch) -> bool:
    return match.threshold is not None and match.distance > match.threshold


def _refused(match: FoundMatch) -> str:
    return (
        f"hash {match.rule_hash} of rule {match.rule_id} is {match.distance} bits away, but "
        f"{match.why_not}"
    )


def _too_far(match: FoundMatch) -> str:
    return (
        f"the nearest hash, {match.rule_hash} of rule {match.rule_id}, is {match.distance} bits "
        f"away, and its threshold is {match.threshold}"
    )


def _nothing_near(image: ImageStory, rules: RulesState, now: Circumstances) -> str:
    if now.ruleset is None or not now.ruleset.rules:
        return "no rules are in force"
    if image.nearest is None:
        algorithms = ", ".join(sorted({rule.algorithm for rule in now.ruleset.rules}))
        return f"the image has no hash by an algorithm of the rules ({algorithms})"
    of_algorithm = [each for each in image.hashes if each.algorithm == image.nearest.algorithm]
    if any(each.matched_with != rules.version for each in of_algorithm):
        return "its image was not compared with the rules in force yet; the next run does so"
    nearest = image.nearest
    return (
        f"no rule hash is near its image: the nearest, {nearest.rule_hash} of rule "
        f"{nearest.rule_id}, is {nearest.distance} bits away, and the threshold is "
        f"{nearest.threshold}"
    )
