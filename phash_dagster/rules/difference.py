"""What differs between two rule sets, for people and for matching the past. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from phash_dagster.rules.model import Rule, RuleSet

ChangeKind = Literal[
    "rule added",
    "rule removed",
    "rule renamed",
    "rule moved",
    "hashes added",
    "hashes removed",
    "exceptions added",
    "exceptions removed",
    "loosened",
    "tightened",
    "mode changed",
    "field changed",
    "set aside",
    "no longer set aside",
]

_SHOWN_HASHES: Final = 3
_LONGEST_VALUE: Final = 60
_COMPARED_APART: Final = frozenset(
    {"id", "phashes", "except_hashes", "hamming_threshold", "mode", "description"}
)


@dataclass(frozen=True)
class Change:
    """One difference in one rule.

    Attributes:
        kind: What happened.
        rule_id: The rule, by its new id if it was renamed.
        hashes: The hashes concerned.
        detail: From what to what.
    """

    kind: ChangeKind
    rule_id: str
    hashes: tuple[str, ...] = ()
    detail: str = ""

    @property
    def what(self) -> str:
        """The detail and the first of the hashes, in one line."""
        shown = ", ".join(self.hashes[:_SHOWN_HASHES])
        if len(self.hashes) > _SHOWN_HASHES:
            shown += f", … ({len(self.hashes)} in all)"
        return "; ".join(filter(None, (self.detail, shown)))

    def __str__(self) -> str:
        """One line."""
        return f"{self.rule_id}: {self.kind}" + (f": {self.what}" if self.what else "")


@dataclass(frozen=True)
class RuleHash:
    """A hash as matches refer to it."""

    rule_id: str
    rule_hash: str


def difference(old: RuleSet | None, new: RuleSet) -> tuple[Change, ...]:
    """What `new` changes, in the order of its rules, then what it removes.

    A rule is the same if its id is, or if its hashes are and neither id is in both sets: then it
    was renamed. What has no effect, a description or another file, is no difference.
    """
    return tuple(_changes(old or _NOTHING, new))


def hashes_to_match(
    old: RuleSet | None, new: RuleSet, margin: int, old_margin: int | None = None
) -> tuple[RuleHash, ...]:
    """The hashes of `new`, exceptions included, whose matches are not all stored yet.

    These are the hashes that `old` lacks under the same rule id, and those that now reach further:
    matching them alone stores the same matches as matching all of `new`. A hash that was loosened
    by no more than the margin can be decided at once by what is stored; it is listed nevertheless,
    so that matches are stored up to the new reach before the next change.

    Args:
        old: The version that the images were matched with; None if they never were.
        new: The version to match them with.
        margin: Bits beyond each threshold up to which matches are stored (`MATCH_MARGIN`).
        old_margin: The margin they were matched with; None: the same.
    """
    reach = _reach(old, margin if old_margin is None else old_margin) if old else {}
    return tuple(
        RuleHash(rule_id, text)
        for (rule_id, algorithm, text), bits in _reach(new, margin).items()
        if bits > reach.get((rule_id, algorithm, text), -1)
    )


_NOTHING: Final = RuleSet.of((), default_threshold=0)


def _reach(ruleset: RuleSet, margin: int) -> dict[tuple[str, str, str], int]:
    return {
        (rule.id, rule.algorithm, text): ruleset.threshold(rule) + margin
        for rule in ruleset.rules
        for text in (*rule.phashes, *rule.except_hashes)
    }


def _changes(old: RuleSet, new: RuleSet) -> Iterator[Change]:
    pairs = _pairs(old, new)
    order = {rule.id: place for place, rule in enumerate(old.rules)}
    kept = [rule.id for rule in new.rules if rule.id in pairs]
    moved = _moved(kept, [order[pairs[rule_id].id] for rule_id in kept])
    for rule in new.rules:
        before = pairs.get(rule.id)
        if before is None:
            yield Change("rule added", rule.id, rule.phashes, f"label {rule.label}, {rule.mode}")
        else:
            if before.id != rule.id:
                yield Change("rule renamed", rule.id, detail=f"was {before.id}")
            if rule.id in moved:
                yield Change("rule moved", rule.id)
            yield from _edits(before, rule, old.threshold(before), new.threshold(rule))
        yield from _set_aside(old, new, before, rule)
    matched = {rule.id for rule in pairs.values()}
    for rule in old.rules:
        if rule.id not in matched:
            yield Change("rule removed", rule.id, rule.phashes)


def _pairs(old: RuleSet, new: RuleSet) -> dict[str, Rule]:
    """Each rule of the new set that the old one has, by its new id: as it was."""
    before = {rule.id: rule for rule in old.rules}
    pairs = {rule.id: before[rule.id] for rule in new.rules if rule.id in before}
    gone = {_bank(rule): rule for rule in reversed(old.rules) if rule.id not in pairs}
    for rule in new.rules:
        if rule.id not in pairs and rule.phashes and _bank(rule) in gone:
            pairs[rule.id] = gone.pop(_bank(rule))
    return pairs


def _bank(rule: Rule) -> tuple[str, frozenset[str]]:
    return rule.algorithm, frozenset(rule.phashes)


def _moved(ids: Sequence[str], places: Sequence[int]) -> set[str]:
    """Which of these rules must move to get from the old order to the new: as few as can be.

    Those on a longest increasing sequence of old places stay (patience sorting).
    """
    ends: list[int] = []  # the smallest old place that ends a sequence of each length
    at: list[int] = []  # the length of the longest sequence that ends at each rule
    for place in places:
        length = bisect_left(ends, place)
        ends[length : length + 1] = [place]
        at.append(length)
    moved, wanted = set(ids), len(ends) - 1
    for rule_id, length in zip(reversed(ids), reversed(at), strict=True):
        if length == wanted:
            moved.discard(rule_id)
            wanted -= 1
    return moved


def _edits(before: Rule, rule: Rule, was: int, threshold: int) -> Iterator[Change]:
    banks: tuple[tuple[ChangeKind, tuple[str, ...], tuple[str, ...]], ...] = (
        ("hashes added", rule.phashes, before.phashes),
        ("hashes removed", before.phashes, rule.phashes),
        ("exceptions added", rule.except_hashes, before.except_hashes),
        ("exceptions removed", before.except_hashes, rule.except_hashes),
    )
    for kind, one, other in banks:
        if only := tuple(text for text in one if text not in frozenset(other)):
            yield Change(kind, rule.id, only)
    if threshold != was:
        detail = f"threshold {was} → {threshold}"
        yield Change("loosened" if threshold > was else "tightened", rule.id, detail=detail)
    if rule.mode != before.mode:
        yield Change("mode changed", rule.id, detail=f"{before.mode} → {rule.mode}")
    for name, field in Rule.model_fields.items():
        old, new = getattr(before, name), getattr(rule, name)
        if name not in _COMPARED_APART and old != new:
            label = field.serialization_alias or name
            yield Change("field changed", rule.id, detail=f"{label}: {_text(old)} → {_text(new)}")


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _set_aside(old: RuleSet, new: RuleSet, before: Rule | None, rule: Rule) -> Iterator[Change]:
    known = {text: old.why_set_aside(before.id, text) for text in before.phashes} if before else {}
    now = {text: new.why_set_aside(rule.id, text) for text in rule.phashes}
    if aside := tuple(text for text in now if now[text] and now[text] != known.get(text)):
        reasons = dict.fromkeys(reason for text in aside for reason in str(now[text]).split(", "))
        yield Change("set aside", rule.id, aside, ", ".join(reasons))
    if back := tuple(text for text in now if not now[text] and known.get(text)):
        yield Change("no longer set aside", rule.id, back)
