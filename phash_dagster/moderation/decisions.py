"""What the rules say about each post: the first matching rule of every image. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from phash_dagster.rules.model import Rule, RuleSet


@dataclass(frozen=True, slots=True)
class PostMatch:
    """One image of a post near one rule hash, as `rule_matches` joined with `image_posts` say."""

    uri: str
    cid: str
    did: str
    blob_cid: str
    position: int
    """Place of the image in the post, from 0."""
    rule_id: str
    rule_hash: str
    """16 or 64 hex characters, lower case."""
    distance: int
    """Hamming distance in bits; may lie beyond the rule's threshold (`MATCH_MARGIN`)."""
    after_rule: bool = True
    """Whether the post came after the rule hash was in force, at its threshold and mode of now."""
    quality: int = 100
    """Of the image's hash by the rule's algorithm: 0, the hash says nothing about it, to 100."""
    posted_at: datetime | None = None
    """When Jetstream told of the post."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule says something about one post, for one or more of its images."""

    uri: str
    cid: str
    did: str
    rule: Rule
    rule_hash: str
    """The nearest of the rule's hashes over all these images, in hex."""
    distance: int
    blob_cids: tuple[str, ...]
    """The images that this rule decided, in the order of the post, each once."""
    after_rule: bool = True
    """Whether the post came after the rule was in force for at least one of these images."""
    posted_at: datetime | None = None
    """When Jetstream told of the post."""


class WhyNot(StrEnum):
    """Why a stored match does not decide about its image."""

    RULE_GONE = "the rule is no longer in force"
    RULE_EXPIRED = "the rule has expired"
    HASH_GONE = "the rule no longer has this hash"
    EXCEPTION = "this is an image that the rule leaves alone"
    TOO_FAR = "it is farther away than the threshold"
    IGNORED = "the rule ignores this account"
    SET_ASIDE = "the hash is set aside"
    NEARER_EXCEPTION = "an image that the rule leaves alone is as near, or nearer"
    LOW_QUALITY = "the image's quality is too low"
    OTHER_HASH = "another hash of the rule is nearer, or comes first"
    OTHER_RULE = "an earlier rule decides about the image"


class Judged(NamedTuple):
    """A stored match, and what the rules make of it."""

    match: PostMatch
    why_not: WhyNot | None
    """None: by this match its rule decides about the image."""
    winner: PostMatch | None = None
    """By which the image is decided about, this match or another; None: by none."""


class _Hit(NamedTuple):
    """A match within its rule's reach."""

    rule_order: int
    hash_order: int
    match: PostMatch

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """What wins is first by rule, then nearness, then hash order, then place in the post."""
        return self.rule_order, self.match.distance, self.hash_order, self.match.position


class _Record(NamedTuple):
    uri: str
    cid: str


def decide(
    matches: Sequence[PostMatch], ruleset: RuleSet, now: datetime, *, min_quality: int = 0
) -> list[Decision]:
    """Let the first matching rule win for each image, as the predecessor did.

    A rule matches an image if one of its hashes is within its threshold, no exception of the rule
    is as near or nearer, and the author is not one that it ignores. Of several hashes of that rule
    the nearest is named, then the first in the rule. Matches beyond the threshold, of rules or
    hashes that the set no longer has or has set aside, and of rules that have expired count for
    nothing.
    Images of one post that the same rule decided make one decision; two rules make two.

    Args:
        matches: Matches with hashes of rules and with their exceptions.
        ruleset: The rules in force.
        now: The time by which rules have expired or not.
        min_quality: Matches of hashes of lower quality are left out (`left_out_for_quality` counts
            them): flat, striped and split images share their hash with many others.

    Returns:
        Decisions in the order in which their posts first appear, then in rule order.
    """
    winners = _winners(matches, _Reach(matches, ruleset, now), min_quality)
    return [
        decision
        for images in winners.values()
        for decision in _decisions_of_post(images.values(), ruleset)
    ]


def judge(
    matches: Sequence[PostMatch], ruleset: RuleSet, now: datetime, *, min_quality: int = 0
) -> list[Judged]:
    """Say of each match whether by it a rule decides, as `decide` does, or why not.

    Args:
        matches: As for `decide`.
        ruleset: The rules in force.
        now: The time by which rules have expired or not.
        min_quality: As for `decide`.
    """
    reach = _Reach(matches, ruleset, now)
    winners = _winners(matches, reach, min_quality)
    judged = []
    for match in matches:
        images = winners.get(_Record(match.uri, match.cid), {})
        hit = images.get(match.position)
        winner = hit.match if hit else None
        judged.append(Judged(match, _why_not(match, winner, reach, min_quality), winner))
    return judged


_Winners = dict[_Record, dict[int, _Hit]]
"""By record and place in the post, what decides about the image."""


def _winners(matches: Iterable[PostMatch], reach: "_Reach", min_quality: int) -> _Winners:
    winners: _Winners = {}
    for match in matches:
        if match.quality < min_quality:
            continue
        images = winners.setdefault(_Record(match.uri, match.cid), {})
        hit = reach.hit(match)
        if hit and (match.position not in images or hit.rank < images[match.position].rank):
            images[match.position] = hit
    return winners


def _why_not(
    match: PostMatch, winner: PostMatch | None, reach: "_Reach", min_quality: int
) -> WhyNot | None:
    if refusal := reach.refusal(match):
        return refusal
    if match.quality < min_quality:
        return WhyNot.LOW_QUALITY
    if winner is None or winner == match:
        return None
    same_rule = winner.rule_id == match.rule_id
    return WhyNot.OTHER_HASH if same_rule else WhyNot.OTHER_RULE


def left_out_for_quality(
    matches: Sequence[PostMatch], ruleset: RuleSet, now: datetime, *, min_quality: int
) -> int:
    """How many images of posts are within a rule's reach and of too low a quality to be decided.

    An image that two posts show, or one post twice, counts twice.
    """
    reach = _Reach(matches, ruleset, now)
    places = {
        (match.uri, match.cid, match.position)
        for match in matches
        if match.quality < min_quality and reach.hit(match)
    }
    return len(places)


class _Reach:
    """Looks up whether a stored match is one by the rules as they are now."""

    def __init__(self, matches: Iterable[PostMatch], ruleset: RuleSet, now: datetime) -> None:
        self._rules = {
            rule.id: (order, rule)
            for order, rule in enumerate(ruleset.rules)
            if not rule.has_expired(now)
        }
        self._thresholds = {rule.id: ruleset.threshold(rule) for rule in ruleset.rules}
        self._hash_orders = {
            rule.id: {value: order for order, value in enumerate(rule.phashes)}
            for rule in ruleset.rules
        }
        self._why_set_aside = ruleset.why_set_aside
        self._exceptions = _nearest_exceptions(matches, ruleset)

    def hit(self, match: PostMatch) -> _Hit | None:
        """The match with its rank, if its rule may decide by it."""
        if self.refusal(match):
            return None
        order, rule = self._rules[match.rule_id]
        return _Hit(order, self._hash_orders[rule.id][match.rule_hash], match)

    def refusal(self, match: PostMatch) -> WhyNot | None:
        """Why the match is none by the rules as they are now; None if it is."""
        if match.rule_id not in self._rules:
            known = match.rule_id in self._hash_orders
            return WhyNot.RULE_EXPIRED if known else WhyNot.RULE_GONE
        _, rule = self._rules[match.rule_id]
        if match.rule_hash not in self._hash_orders[rule.id]:
            is_exception = match.rule_hash in rule.except_hashes
            return WhyNot.EXCEPTION if is_exception else WhyNot.HASH_GONE
        if match.distance > self._thresholds[rule.id]:
            return WhyNot.TOO_FAR
        if match.did in rule.ignore_dids:
            return WhyNot.IGNORED
        if self._why_set_aside(rule.id, match.rule_hash):
            return WhyNot.SET_ASIDE
        exception = self._exceptions.get((match.blob_cid, match.rule_id))
        if exception is not None and exception <= match.distance:
            return WhyNot.NEARER_EXCEPTION
        return None


def _nearest_exceptions(
    matches: Iterable[PostMatch], ruleset: RuleSet
) -> dict[tuple[str, str], int]:
    """Distance of each image (blob CID) to the nearest exception of each rule (id), in bits."""
    exceptions = {rule.id: frozenset(rule.except_hashes) for rule in ruleset.rules}
    nearest: dict[tuple[str, str], int] = {}
    for match in matches:
        if match.rule_hash in exceptions.get(match.rule_id, ()):
            key = match.blob_cid, match.rule_id
            nearest[key] = min(match.distance, nearest.get(key, match.distance))
    return nearest


def _decisions_of_post(hits: Iterable[_Hit], ruleset: RuleSet) -> list[Decision]:
    by_rule: dict[int, list[_Hit]] = {}
    for hit in sorted(hits, key=lambda hit: hit.rank):
        by_rule.setdefault(hit.rule_order, []).append(hit)
    return [_decision(ruleset.rules[order], found) for order, found in by_rule.items()]


def _decision(rule: Rule, hits: list[_Hit]) -> Decision:
    nearest = hits[0].match
    in_post_order = sorted(hits, key=lambda hit: hit.match.position)
    return Decision(
        uri=nearest.uri,
        cid=nearest.cid,
        did=nearest.did,
        rule=rule,
        rule_hash=nearest.rule_hash,
        distance=nearest.distance,
        blob_cids=tuple(dict.fromkeys(hit.match.blob_cid for hit in in_post_order)),
        after_rule=any(hit.match.after_rule for hit in hits),
        posted_at=nearest.posted_at,
    )
