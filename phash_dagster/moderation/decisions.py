"""What the rules say about each post: the first matching rule of every image. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    reach = _Reach(matches, ruleset, now)
    matches = [match for match in matches if match.quality >= min_quality]
    winners: dict[_Record, dict[int, _Hit]] = {}
    for match in matches:
        images = winners.setdefault(_Record(match.uri, match.cid), {})
        hit = reach.hit(match)
        if hit and (match.position not in images or hit.rank < images[match.position].rank):
            images[match.position] = hit
    return [
        decision
        for images in winners.values()
        for decision in _decisions_of_post(images.values(), ruleset)
    ]


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
        if match.rule_id not in self._rules:
            return None
        order, rule = self._rules[match.rule_id]
        hash_order = self._hash_orders[rule.id].get(match.rule_hash)
        if hash_order is None or match.distance > self._thresholds[rule.id]:
            return None
        if match.did in rule.ignore_dids or self._why_set_aside(rule.id, match.rule_hash):
            return None
        exception = self._exceptions.get((match.blob_cid, rule.id))
        if exception is not None and exception <= match.distance:
            return None
        return _Hit(order, hash_order, match)


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
