"""What is known of an image, and what the rules in force make of it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from phash_dagster.explain.parts import FoundMatch, ImageStory, NearestHash
from phash_dagster.explain.stores import Images, StoredMatch
from phash_dagster.moderation.decisions import Judged, PostMatch, WhyNot, judge
from phash_dagster.rules import RuleSet

NOBODY = ""
"""Stands for the author where an image is judged whoever posted it."""


class Place(TypedDict, total=False):
    """Where an image stands in a record: fields of `ImageStory`."""

    position: int | None
    mime_type: str | None
    size_bytes: int | None
    embed_type: str | None


@dataclass(frozen=True)
class Judge:
    """Judges images by the rules in force.

    Attributes:
        ruleset: Those rules; None before any were loaded.
        now: The time by which rules have expired or not.
        min_quality: `MIN_IMAGE_QUALITY`.
    """

    ruleset: RuleSet | None
    now: datetime
    min_quality: int

    def judged(self, matches: Sequence[PostMatch]) -> list[Judged]:
        """What the rules make of these matches, in the same order."""
        if self.ruleset is None:
            return [Judged(match, WhyNot.RULE_GONE) for match in matches]
        return judge(matches, self.ruleset, self.now, min_quality=self.min_quality)

    def threshold(self, rule_id: str) -> int | None:
        """The threshold of a rule, in bits; None if it is not in force."""
        try:
            return self.ruleset.threshold(self.ruleset.rule(rule_id)) if self.ruleset else None
        except KeyError:
            return None

    def why_not(self, judged: Judged) -> str | None:
        """Why a match does not decide, with the particulars; None if it does."""
        why, match = judged.why_not, judged.match
        if why is None or self.ruleset is None or why is WhyNot.RULE_GONE:
            return why
        rule = self.ruleset.rule(match.rule_id)
        match why:
            case WhyNot.TOO_FAR:
                return f"it is {match.distance} bits away, and the threshold is " + str(
                    self.ruleset.threshold(rule)
                )
            case WhyNot.RULE_EXPIRED:
                return f"the rule expired at {rule.expires:%Y-%m-%d %H:%M} UTC"
            case WhyNot.SET_ASIDE:
                reason = self.ruleset.why_set_aside(rule.id, match.rule_hash)
                return f"the hash is set aside: {reason}"
            case WhyNot.IGNORED:
                return "the rule ignores this account (ignoreDID)"
            case WhyNot.LOW_QUALITY:
                least = f"below {self.min_quality} (MIN_IMAGE_QUALITY)"
                return f"the quality of the image's hash is {match.quality}, {least}"
            case WhyNot.EXCEPTION | WhyNot.NEARER_EXCEPTION:
                return f"{why} (exceptHashes)"
            case WhyNot.OTHER_RULE if judged.winner:
                return f"the rule {judged.winner.rule_id} comes first, and decides about the image"
            case WhyNot.OTHER_HASH if judged.winner:
                return f"its hash {judged.winner.rule_hash} is nearer, or comes first"
            case _:
                return why


def matches_in(
    place: Iterable[tuple[str, int]],
    images: Images,
    *,
    uri: str = "",
    cid: str = "",
    did: str = NOBODY,
    posted_at: datetime | None = None,
) -> list[PostMatch]:
    """The stored matches of the images of a record, as planning sees them.

    Those count whose hash the rules in force have, by the same algorithm.

    Args:
        place: Blob CIDs with their places in the record.
        images: What DuckDB has of them.
        uri: AT URI of the record.
        cid: Its CID.
        did: Its author.
        posted_at: When the stream told of it.
    """
    return [
        PostMatch(
            uri=uri,
            cid=cid,
            did=did,
            blob_cid=blob_cid,
            position=position,
            rule_id=match.rule_id,
            rule_hash=match.rule_hash,
            distance=match.distance,
            after_rule=(
                posted_at is not None
                and match.in_force_since is not None
                and posted_at >= match.in_force_since
            ),
            quality=match.quality,
            posted_at=posted_at,
        )
        for blob_cid, position in place
        for match in images.matches.get(blob_cid, ())
        if match.counts
    ]


def image_story(
    blob_cid: str,
    images: Images,
    judge_: Judge,
    judged: Sequence[Judged],
    place: Place | None = None,
) -> ImageStory:
    """Everything about an image.

    Args:
        blob_cid: The image.
        images: What DuckDB has of it.
        judge_: The rules in force.
        judged: What they make of the matches of `matches_in`.
        place: Where it stands in a record.
    """
    outcome, hashes = images.outcomes.get(blob_cid), images.hashes.get(blob_cid, ())
    position = (place or {}).get("position") or 0
    verdicts = {
        (each.match.rule_id, each.match.rule_hash): each
        for each in judged
        if each.match.blob_cid == blob_cid and each.match.position == position
    }
    matches = [
        _found(match, verdicts.get((match.rule_id, match.rule_hash)), judge_)
        for match in images.matches.get(blob_cid, ())
    ]
    return ImageStory(
        blob_cid=blob_cid,
        hashes=[each.hashing for each in hashes],
        asked_with=images.attempts.get(blob_cid, ()),
        matches=matches,
        nearest=None if matches else nearest_hash(blob_cid, images, judge_.ruleset),
        outcome=outcome.outcome if outcome else None,
        reason=outcome.reason if outcome else None,
        attempts=outcome.attempts if outcome else 0,
        next_retry_at=outcome.next_retry_at if outcome else None,
        updated_at=outcome.updated_at if outcome else None,
        source=hashes[0].source if hashes else None,
        rendition=hashes[0].rendition if hashes else None,
        format=hashes[0].format if hashes else None,
        width=hashes[0].width if hashes else None,
        height=hashes[0].height if hashes else None,
        **(place or {}),
    )


def _found(match: StoredMatch, judged: Judged | None, judge_: Judge) -> FoundMatch:
    if judged is None or not match.counts:
        known = judge_.threshold(match.rule_id) is not None
        why: str | None = WhyNot.HASH_GONE if known else WhyNot.RULE_GONE
    else:
        why = judge_.why_not(judged)
    return FoundMatch(
        rule_id=match.rule_id,
        rule_hash=match.rule_hash,
        algorithm=match.algorithm,
        distance=match.distance,
        threshold=judge_.threshold(match.rule_id),
        decides=why is None,
        why_not=None if why is None else str(why),
        first_version=match.first_version,
        matched_at=match.matched_at,
    )


def nearest_hash(blob_cid: str, images: Images, ruleset: RuleSet | None) -> NearestHash | None:
    """The rule hash in force that is nearest to an image, however far; None if none compares."""
    if ruleset is None:
        return None
    own = {each.hashing.algorithm: each.hashing.hash for each in images.hashes.get(blob_cid, ())}
    candidates = [
        NearestHash(
            rule_id=rule.id,
            rule_hash=rule_hash,
            algorithm=rule.algorithm,
            distance=_distance(own[rule.algorithm], rule_hash),
            threshold=ruleset.threshold(rule),
        )
        for rule in ruleset.rules
        if rule.algorithm in own
        for rule_hash in rule.phashes
    ]
    # A bit of 256 counts for less than one of 64.
    return min(candidates, key=lambda each: each.distance / len(each.rule_hash), default=None)


def _distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()
