"""What a rule says that is well formed and would hurt: in words, with the place and the remedy."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

AllowedDanger = Literal[
    "flat-hash",
    "striped-hash",
    "duplicate-hash",
    "colliding-hash",
    "wide-threshold",
    "system-label",
]
"""Dangers that a rule may take upon itself with `allow`."""

ALLOWED_DANGERS: Final[tuple[str, ...]] = get_args(AllowedDanger)


@dataclass(frozen=True)
class Place:
    """Where a rule stands.

    Attributes:
        file: Name of its file.
        index: Its place in the file, from 0.
    """

    file: str
    index: int

    def __str__(self) -> str:
        """The file and the number of the rule, counted from 1, as people do."""
        return f"{self.file}, rule {self.index + 1}"


@dataclass(frozen=True)
class Danger:
    """One thing in a rule that must not be acted upon until a person says so.

    Attributes:
        name: What it is, as `allow` spells it where it can be allowed.
        place: Where the rule stands.
        rule_id: Its id.
        field: Field of the rule that is to blame.
        rule_hash: The hash that is set aside; None: all hashes of the rule.
        found: What is there and why it is dangerous.
        remedy: What to do about it.
    """

    name: str
    place: Place
    rule_id: str
    field: str
    rule_hash: str | None
    found: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}, {self.field}: {self.name}: {self.found}; {self.remedy}"

    def as_row(self) -> dict[str, str | int | None]:
        """For tables and JSON; rules are counted from 1."""
        return {
            "file": self.place.file,
            "rule": self.place.index + 1,
            "id": self.rule_id,
            "field": self.field,
            "hash": self.rule_hash,
            "danger": self.name,
            "found": self.found,
            "remedy": self.remedy,
        }
