"""What a rule is, and what a set of rules in force is. Pure.

A rule file is a JSON array of rules in the predecessor's format, with some optional fields added;
the JSON names are the aliases of `Rule`'s fields.
"""

import hashlib
import json
from dataclasses import dataclass
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
    StringConstraints,
)

HASH_BITS: Final = 64
"""Width of the hashes in rule files; a Hamming distance lies between 0 and this."""

ALGORITHM: Final = "average"
"""The hash algorithm that rule hashes are made with."""

DEFAULT_REPORT_REASON: Final = "com.atproto.moderation.defs#reasonSpam"

Threshold = Annotated[int, Field(strict=True, ge=0, le=HASH_BITS)]
HexHash = Annotated[str, StringConstraints(pattern=r"\A[0-9a-fA-F]{16}\z", to_lower=True)]
LONGEST_LABEL: Final = 128
"""Bytes in UTF-8: `val` of com.atproto.label.defs#label."""

LONGEST_COMMENT: Final = 10_000
"""Characters, of up to four bytes each: well below the 100 kB that Ozone takes as a body."""


def _printable(text: str) -> str:
    """Refuse NUL and other control characters, zero-width ones, and those that turn text around."""
    if not text.isprintable():
        raise ValueError("has characters that cannot be seen")
    return text


def _short_label(label: str) -> str:
    if len(label.encode()) > LONGEST_LABEL:
        raise ValueError(f"is longer than {LONGEST_LABEL} bytes")
    return label


# Ozone refuses labels with a space or one of , ; ' " and no label has use for other white space.
Token = Annotated[str, StringConstraints(pattern=r"""\A[^\s,;'"]+\z"""), AfterValidator(_printable)]
Label = Annotated[Token, AfterValidator(_short_label)]
# PostgreSQL, which may hold the ledger, stores no NUL.
Comment = Annotated[str, StringConstraints(max_length=LONGEST_COMMENT, pattern=r"\A[^\x00]*\z")]
# https://atproto.com/specs/did#at-protocol-did-identifier-syntax
Did = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, pattern=r"\Adid:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]\z"
    ),
]
LexiconReference = Annotated[str, StringConstraints(pattern=r"\A[a-zA-Z0-9.-]+#[a-zA-Z]+\z")]


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _none_is_empty(value: object) -> object:
    return () if value is None else value


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

    phashes: Annotated[tuple[HexHash, ...], AfterValidator(_each_once)]
    """Average hashes, 16 hex characters each, lower case, in file order, each once."""
    label: Label
    comment: Comment
    """Why; begins the comment of every moderation event."""
    report_account: StrictBool = Field(alias="reportAcct")
    label_account: StrictBool = Field(alias="labelAcct")
    report_post: StrictBool = Field(alias="reportPost")
    label_post: StrictBool = Field(alias="toLabel")
    takedown_post: StrictBool = Field(False, alias="takedownPost")
    takedown_account: StrictBool = Field(False, alias="takedownAcct")
    hamming_threshold: Threshold | None = Field(None, alias="hammingThreshold")
    """Largest Hamming distance that matches, in bits; None: the set's default."""
    description: str | None = None
    """A note for readers of the file; has no effect."""
    ignore_dids: Annotated[
        tuple[Did, ...], BeforeValidator(_none_is_empty), AfterValidator(_each_once)
    ] = Field(
        (),
        validation_alias=AliasChoices("ignoreDID", "ignore_did"),
        serialization_alias="ignoreDID",
    )
    """Authors whom this rule leaves alone."""
    id: Token = Field(default_factory=_derived_id)
    mode: Literal["live", "shadow"] = "live"
    """`shadow`: actions are recorded and never sent."""
    report_reason: LexiconReference = Field(DEFAULT_REPORT_REASON, alias="reportReason")
    """The `reportType` of reports."""


@dataclass(frozen=True)
class RuleSet:
    """The rules in force at a time, in the order in which they are tried.

    Attributes:
        version: SHA-256 of what the rules do, 64 hex characters.
        rules: In file order, files in name order. The first matching rule wins.
        default_threshold: Hamming distance in bits for rules that name no threshold.
        sources: Names of the files that the rules came from.
    """

    version: str
    rules: tuple[Rule, ...]
    default_threshold: int
    sources: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, rules: tuple[Rule, ...], *, default_threshold: int, sources: tuple[str, ...] = ()
    ) -> Self:
        """The set of these rules, its version computed from their content."""
        return cls(_version(rules, default_threshold), rules, default_threshold, sources)

    def threshold(self, rule: Rule) -> int:
        """The largest Hamming distance, in bits, at which `rule` matches."""
        if rule.hamming_threshold is None:
            return self.default_threshold
        return rule.hamming_threshold

    def rule(self, rule_id: str) -> Rule:
        """The rule of this id.

        Raises:
            KeyError: This version has no such rule; a match of an earlier version may name one.
        """
        try:
            return self._by_id[rule_id]
        except KeyError:
            raise KeyError(f"rules version {self.version[:12]} has no rule {rule_id!r}") from None

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
            rules=tuple(Rule.model_validate(rule) for rule in stored["rules"]),
            default_threshold=stored["default_threshold"],
            sources=tuple(stored["sources"]),
        )


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
            "hammingThreshold": (
                default_threshold if rule.hamming_threshold is None else rule.hamming_threshold
            ),
        }
        for rule in rules
    ]
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
