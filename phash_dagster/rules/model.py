"""What a rule is, and what a set of rules in force is. Pure.

A rule file is a JSON array of rules in the predecessor's format, with some optional fields added;
the JSON names are the aliases of `Rule`'s fields.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
)

from phash_dagster.rules.dangers import AllowedDanger
from phash_dagster.rules.fields import (
    DEFAULT_ALGORITHM,
    STORED,
    WIDE_BITS,
    WIDE_THRESHOLD,
    Algorithm,
    Comment,
    Count,
    Days,
    Did,
    ExceptHashes,
    Expiry,
    Hashes,
    Label,
    LexiconReference,
    Samples,
    Threshold,
    Token,
    each_once,
    full_length_samples,
    none_is_empty,
)

DEFAULT_REPORT_REASON: Final = "com.atproto.moderation.defs#reasonSpam"


def _derived_id(fields: dict[str, Any]) -> str:
    """The label and the first hash, e.g. `troll:07870707a1b2c3d4`.

    It stays the same when rules are reordered or moved to another file, when hashes are added
    behind the first, and when anything but the label is edited.
    """
    return ":".join((fields["label"], *fields["phashes"][:1]))


class Rule(BaseModel):
    """One entry of a rule file: hashes to look for, and what to do about what is found.

    Matches and actions refer to a rule by its `id`, so a rule that should keep its history
    through any edit names one.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    # First: the hashes and the threshold are checked against its width.
    algorithm: Algorithm = DEFAULT_ALGORITHM
    """The hash algorithm that all hashes of the rule are made with."""
    phashes: Hashes
    """Hashes to look for, in hexadecimal: 16 characters for 64 bits, 64 for the 256 of PDQ."""
    label: Label
    """The label; no spaces and none of , ; ' " since Ozone refuses those."""
    comment: Comment
    """Why; begins the comment of every moderation event."""
    report_account: StrictBool = Field(alias="reportAcct")
    """Report the account."""
    label_account: StrictBool = Field(alias="labelAcct")
    """Label the account."""
    report_post: StrictBool = Field(alias="reportPost")
    """Report the post."""
    label_post: StrictBool = Field(alias="toLabel")
    """Label the post."""
    takedown_post: StrictBool = Field(False, alias="takedownPost")
    """Take the post down."""
    takedown_account: StrictBool = Field(False, alias="takedownAcct")
    """Take the account down."""
    hamming_threshold: Threshold | None = Field(None, alias="hammingThreshold")
    """Largest Hamming distance that matches, in bits; null: `PHASH_HAMMING_THRESHOLD`, or 31 for
    hashes of 256 bits."""
    description: str | None = None
    """A note for readers of the file; has no effect."""
    ignore_dids: Annotated[
        tuple[Did, ...], BeforeValidator(none_is_empty), AfterValidator(each_once)
    ] = Field(
        (),
        validation_alias=AliasChoices("ignoreDID", "ignore_did"),
        serialization_alias="ignoreDID",
    )
    """Authors whom this rule leaves alone."""
    id: Token = Field(default_factory=_derived_id)
    """Name of the rule in matches, actions and reports; by default the label and the first hash."""
    mode: Literal["live", "shadow"] = "live"
    """`shadow`: actions are recorded and never sent."""
    max_actions_per_day: Count | None = Field(None, alias="maxActionsPerDay")
    """Actions of this rule in 24 hours, beyond which the rest is held for a person; null:
    `MAX_ACTIONS_PER_RULE_PER_DAY`."""
    backfill: Literal["none", "shadow", "report", "same"] = "shadow"
    """What is done about posts from before the rule: nothing; recorded and never sent; reported
    instead of labelled or taken down; the same as for new posts."""
    backfill_max_age_days: Days | None = Field(None, alias="backfillMaxAgeDays")
    """Posts older than this many days are left alone by the rule's backfills; null: none are."""
    report_reason: LexiconReference = Field(DEFAULT_REPORT_REASON, alias="reportReason")
    """The `reportType` of reports."""
    expires: Expiry = None
    """When the rule stops deciding; matches are still found and stored. A date includes its day,
    in UTC."""
    except_hashes: ExceptHashes = Field((), alias="exceptHashes")
    """Hashes of images to leave alone: an image as near to one of them as to the nearest of
    `phashes`, or nearer, does not match."""
    samples: Annotated[Samples, AfterValidator(full_length_samples)] = Samples()
    """Hashes that the rule must match and must not match, checked when the rule is loaded."""
    allow: tuple[AllowedDanger, ...] = ()
    """Dangers that a person has looked at: they set no hash of this rule aside."""

    @property
    def bits(self) -> int:
        """Width of the rule's hashes; 0 if it has none."""
        return len(next(iter(self.phashes), "")) * 4

    def has_expired(self, now: datetime) -> bool:
        """Whether the rule decides nothing any more."""
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True)
class SetAside:
    """A hash that is matched and stored like all, and never acted upon.

    Attributes:
        rule_id: The rule that holds it.
        rule_hash: The hash as in `Rule.phashes`.
        reason: Names of the dangers, by commas.
    """

    rule_id: str
    rule_hash: str
    reason: str


@dataclass(frozen=True)
class RuleSet:
    """The rules in force at a time, in the order in which they are tried.

    Attributes:
        version: SHA-256 of what the rules do, 64 hex characters.
        rules: In file order, files in name order. The first matching rule wins.
        default_threshold: Hamming distance in bits for rules with hashes of 64 bits that name no
            threshold.
        sources: Names of the files that the rules came from.
        set_aside: The dangerous hashes, in the order of the rules.
    """

    version: str
    rules: tuple[Rule, ...]
    default_threshold: int
    sources: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()

    @classmethod
    def of(
        cls,
        rules: tuple[Rule, ...],
        *,
        default_threshold: int,
        sources: tuple[str, ...] = (),
        set_aside: Iterable[SetAside] = (),
    ) -> Self:
        """The set of these rules, its version computed from their content."""
        version = _version(rules, default_threshold)
        return cls(version, rules, default_threshold, sources, tuple(set_aside))

    def threshold(self, rule: Rule) -> int:
        """The largest Hamming distance, in bits, at which `rule` matches."""
        return _threshold(rule, self.default_threshold)

    def rule(self, rule_id: str) -> Rule:
        """The rule of this id.

        Raises:
            KeyError: This version has no such rule; a match of an earlier version may name one.
        """
        try:
            return self._by_id[rule_id]
        except KeyError:
            raise KeyError(f"rules version {self.version[:12]} has no rule {rule_id!r}") from None

    def why_set_aside(self, rule_id: str, rule_hash: str) -> str | None:
        """Why this hash must not be acted upon; None if it may."""
        return self._reasons.get((rule_id, rule_hash))

    @cached_property
    def _reasons(self) -> dict[tuple[str, str], str]:
        return {(each.rule_id, each.rule_hash): each.reason for each in self.set_aside}

    @cached_property
    def _by_id(self) -> dict[str, Rule]:
        return {rule.id: rule for rule in self.rules}

    def to_json(self) -> str:
        """The whole set as JSON, rules in the format of rule files; `from_json` reads it."""
        return json.dumps(
            {
                "version": self.version,
                "default_threshold": self.default_threshold,
                "sources": self.sources,
                "rules": [rule.model_dump(mode="json", by_alias=True) for rule in self.rules],
                "set_aside": [asdict(each) for each in self.set_aside],
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        The version is taken as it stands: other tables refer to it.

        Raises:
            ValueError: A rule cannot be read, e.g. because a later release wrote it.
        """
        stored = json.loads(text)
        return cls(
            version=stored["version"],
            rules=tuple(Rule.model_validate(rule, context=STORED) for rule in stored["rules"]),
            default_threshold=stored["default_threshold"],
            sources=tuple(stored["sources"]),
            set_aside=tuple(SetAside(**each) for each in stored.get("set_aside", ())),
        )


def _threshold(rule: Rule, default_threshold: int) -> int:
    if rule.hamming_threshold is not None:
        return rule.hamming_threshold
    return WIDE_THRESHOLD if rule.bits == WIDE_BITS else default_threshold


def _version(rules: tuple[Rule, ...], default_threshold: int) -> str:
    """SHA-256 of the rules' effective content, their order and resolved thresholds included.

    Descriptions, white space, key order and file names have no effect and do not count. Fields at
    their default are left out, so that a release that adds an optional field does not give every
    existing rule file a new version.
    """
    content = [
        {
            **rule.model_dump(
                mode="json", by_alias=True, exclude_defaults=True, exclude={"description"}
            ),
            "hammingThreshold": _threshold(rule, default_threshold),
        }
        for rule in rules
    ]
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
