"""What a preview says. Plain values; `docs/rules-workflow.md` documents them as JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from phash_dagster.moderation.actions import Action
from phash_dagster.rules import Danger

Outcome = Literal["sent", "shadow", "held", "suppressed", "prevented"]
"""`sent`: it would be sent to Ozone. `shadow`: recorded, never sent. `held`: it would wait for a
person. `suppressed`: its subject is gone. `prevented`: the ledger has it already, or another of
the rules does it."""


@dataclass(frozen=True)
class Reach:
    """How much something takes in.

    Attributes:
        posts: Posts, as they stand now; deleted ones count too.
        accounts: Their authors.
        images: Distinct blobs.
    """

    posts: int = 0
    accounts: int = 0
    images: int = 0


@dataclass(frozen=True)
class DistanceCount:
    """A bar of a histogram: what is at one Hamming distance from the nearest hash.

    Attributes:
        distance: In bits.
        within: Whether the rule matches at this distance; else it lies in the margin.
        posts: Posts with such an image.
        images: Distinct blobs.
    """

    distance: int
    within: bool
    posts: int
    images: int


@dataclass(frozen=True)
class AccountCount:
    """An account and what of it lies within the threshold."""

    did: str
    posts: int
    images: int


@dataclass(frozen=True)
class Overlap:
    """Posts within the threshold that a rule in force decides already.

    Attributes:
        rule_id: The rule in force.
        posts: Posts that both take in.
        accounts: Their authors.
    """

    rule_id: str
    posts: int
    accounts: int


@dataclass(frozen=True)
class PopularImage:
    """A hash value near a rule hash that images of many accounts have.

    Attributes:
        hash: The value, hexadecimal.
        rule_hash: The nearest hash of the rule.
        distance: Between the two, in bits.
        within: Whether the rule matches it; else it lies in the margin.
        accounts: Accounts that posted such an image in the period.
        posts: Their posts.
        images: Distinct blobs with this value.
        decided_posts: Those of the posts that a rule in force decides already.
        example: AT URI of the latest of the posts.
    """

    hash: str
    rule_hash: str
    distance: int
    within: bool
    accounts: int
    posts: int
    images: int
    decided_posts: int
    example: str


@dataclass(frozen=True)
class PostExample:
    """A post within the threshold.

    Attributes:
        uri: Its AT URI.
        did: Its author.
        posted_at: When Jetstream told of it.
        rule_hash: The nearest hash of the rule.
        distance: To that hash, in bits.
        decided: Whether the rule decides it; else another rule comes first, or the rule leaves
            it alone.
    """

    uri: str
    did: str
    posted_at: datetime
    rule_hash: str
    distance: int
    decided: bool


@dataclass(frozen=True)
class ActionCount:
    """Actions of one kind.

    Attributes:
        subject: What it is done to: `post` or `account`.
        event: What is done: label, report, comment, takedown.
        value: The label; empty for takedowns.
        lane: `live` or `backfill`.
        outcome: What would become of them.
        why: What holds them back, or why the subject is gone; empty if nothing.
        actions: How many.
        accounts: Accounts that are, or whose posts are, the subjects.
    """

    subject: str
    event: str
    value: str
    lane: str
    outcome: Outcome
    why: str
    actions: int
    accounts: int


@dataclass(frozen=True)
class HashPreview:
    """What one hash of a rule finds.

    Attributes:
        rule_hash: The hash, hexadecimal.
        set_aside: Why it is never acted upon; None: it is.
        within: What lies within the rule's threshold.
        beyond: What a threshold larger by the margin would take in besides.
        distances: Histogram, nearest first.
    """

    rule_hash: str
    set_aside: str | None
    within: Reach
    beyond: Reach
    distances: tuple[DistanceCount, ...]


@dataclass(frozen=True)
class RulePreview:
    """What one rule finds and does.

    Attributes:
        rule_id: Its id.
        file: The file it stands in.
        label: Its label.
        mode: `live` or `shadow`.
        backfill: `none`, `shadow`, `report` or `same`.
        threshold: In bits.
        within: What lies within the threshold of one of its hashes.
        beyond: What a threshold larger by the margin would take in besides.
        decided: What the rule decides: not what an earlier rule takes, what the rule leaves alone
            (ignored accounts, exceptions), or what only hashes that are set aside find.
        new_posts: Decided posts that no rule in force decides.
        ignored_posts: Posts within the threshold by accounts that the rule ignores.
        plain_posts: Posts within the threshold with images only whose hash says too little
            (below `MIN_IMAGE_QUALITY`) to act upon.
        distances: Histogram by the nearest of its hashes, nearest first.
        hashes: Its hashes, in their order.
        accounts: The most hit accounts.
        overlaps: Rules in force that decide the same posts; the rule itself may be one of them.
        popular: Popular images near it.
        actions: What would be done, and what not.
        examples: The latest posts within the threshold.
    """

    rule_id: str
    file: str
    label: str
    mode: str
    backfill: str
    threshold: int
    within: Reach
    beyond: Reach
    decided: Reach
    new_posts: int
    ignored_posts: int
    plain_posts: int
    distances: tuple[DistanceCount, ...]
    hashes: tuple[HashPreview, ...]
    accounts: tuple[AccountCount, ...]
    overlaps: tuple[Overlap, ...]
    popular: tuple[PopularImage, ...]
    actions: tuple[ActionCount, ...]
    examples: tuple[PostExample, ...]


@dataclass(frozen=True)
class Preview:
    """Rules tried on the past.

    Attributes:
        made_at: When.
        since: Beginning of the period, at a full hour.
        hours: Hours in the period that have posts.
        image_posts: Rows of `image_posts` with an image in the period.
        compared: Hashes that were compared with the rules, by algorithm; of any time.
        margin: `MATCH_MARGIN`, bits beyond the threshold.
        min_quality: `MIN_IMAGE_QUALITY`.
        popular_accounts: Accounts that make an image popular.
        version: Rules version that was tried.
        version_in_force: The one in force; None before the first.
        sources: Names of the files that the version comes from.
        rules: The rules that were asked for, in their order.
        dangers: What is dangerous in these rules.
        other_rules: Rules of the version that were not asked for.
        other_actions: Actions of those that would be recorded too.
        recorded: Every row that the ledger would get, of all rules of the version.
    """

    made_at: datetime
    since: datetime
    hours: int
    image_posts: int
    compared: dict[str, int]
    margin: int
    min_quality: int
    popular_accounts: int
    version: str
    version_in_force: str | None
    sources: tuple[str, ...]
    rules: tuple[RulePreview, ...]
    dangers: tuple[Danger, ...]
    other_rules: int
    other_actions: int
    recorded: tuple[Action, ...]
