"""Finds what is dangerous in rules that are well formed. Pure.

A danger sets a hash aside, or all hashes of a rule: matched and stored like all, never acted upon,
until the rule allows it. So a bad rule cannot run away, and the files that exist keep loading.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from phash_dagster.rules.dangers import Danger, Place
from phash_dagster.rules.model import Rule, SetAside
from phash_dagster.rules.near import HashList, first_collisions
from phash_dagster.rules.samples import failed_samples
from phash_dagster.rules.shapes import GRID, is_flat, is_striped

_WIDEST_THRESHOLDS: Final = {"pdq": 31}
"""Bits, by algorithm; for others an eighth of the hash, 8 of 64.

Of 816,000 pairs of unrelated images, average hashes of 0.05 % were within 3 bits of each other, of
0.27 % within 8, of 0.56 % within 10; of what is within 10 bits 96 % are no copies (imagededup's
benchmark). PDQ's makers match at 31 of 256."""


@dataclass(frozen=True)
class PlacedRule:
    """A rule, where it stands, and up to which distance in bits it matches."""

    place: Place
    rule: Rule
    threshold: int

    @property
    def effect(self) -> tuple[object, ...]:
        """What follows from a match; rules of equal effect may share images."""
        rule = self.rule
        return (
            rule.mode,
            rule.label,
            rule.report_reason,
            rule.label_post,
            rule.report_post,
            rule.takedown_post,
            rule.label_account,
            rule.report_account,
            rule.takedown_account,
        )


@dataclass(frozen=True)
class _Hash:
    """One hash of a rule."""

    owner: PlacedRule
    text: str

    @property
    def value(self) -> int:
        return int(self.text, 16)

    @property
    def key(self) -> tuple[str, str]:
        return self.owner.rule.id, self.text


def find_dangers(rules: Sequence[PlacedRule], now: datetime) -> list[Danger]:
    """Everything in these rules that is dangerous and that they do not allow, in their order.

    That a rule has expired, or fails its samples, cannot be allowed. Hashes of different rules are
    compared where nothing else sets them aside.
    """
    allowed = {rule.rule.id: rule.rule.allow for rule in rules}
    own = [
        danger
        for rule in rules
        for danger in _own_dangers(rule, now)
        if danger.name not in allowed[danger.rule_id]
    ]
    aside = {key for key, _ in _reasons(rules, own)}
    left = [_Hash(rule, text) for rule in rules for text in rule.rule.phashes]
    left = [each for each in left if each.key not in aside]
    # A live rule goes before one in shadow, whose hashes must not keep it from acting.
    left.sort(key=lambda each: each.owner.rule.mode == "shadow")
    duplicates = list(_duplicates(left))
    repeated = {(danger.rule_id, danger.rule_hash) for danger in duplicates}
    collisions = _collisions([each for each in left if each.key not in repeated])
    order = {rule.rule.id: number for number, rule in enumerate(rules)}
    return sorted(
        (
            danger
            for danger in (*own, *duplicates, *collisions)
            if danger.name not in allowed[danger.rule_id]
        ),
        key=lambda danger: order[danger.rule_id],
    )


def set_aside(rules: Sequence[PlacedRule], dangers: Iterable[Danger]) -> tuple[SetAside, ...]:
    """The hashes that these dangers set aside, each with all its reasons, in the rules' order."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for key, name in _reasons(rules, dangers):
        reasons.setdefault(key, []).append(name)
    return tuple(
        SetAside(rule.rule.id, text, ", ".join(dict.fromkeys(reasons[rule.rule.id, text])))
        for rule in rules
        for text in rule.rule.phashes
        if (rule.rule.id, text) in reasons
    )


def _reasons(
    rules: Sequence[PlacedRule], dangers: Iterable[Danger]
) -> Iterator[tuple[tuple[str, str], str]]:
    hashes = {rule.rule.id: rule.rule.phashes for rule in rules}
    for danger in dangers:
        concerned = hashes[danger.rule_id] if danger.rule_hash is None else (danger.rule_hash,)
        for text in concerned:
            yield (danger.rule_id, text), danger.name


def _own_dangers(placed: PlacedRule, now: datetime) -> Iterator[Danger]:
    """What is dangerous in a rule by itself."""
    rule = placed.rule
    if rule.expires is not None and rule.has_expired(now):
        found = f"since {rule.expires.isoformat()} the rule decides nothing"
        remedy = "remove the rule or give it a later date"
        yield Danger("expired", placed.place, rule.id, "expires", None, found, remedy)
    if rule.label.startswith("!"):
        found = f'"{rule.label}" is a label that every app obeys, from whatever labeler'
        yield _danger(placed, "system-label", "label", None, found, "choose a label of your own")
    widest = _WIDEST_THRESHOLDS.get(rule.algorithm, rule.bits // 8)
    if rule.phashes and placed.threshold > widest:
        found = f"{placed.threshold} of {rule.bits} bits take in many unrelated images"
        remedy = f"set hammingThreshold to {widest} or less"
        yield _danger(placed, "wide-threshold", "hammingThreshold", None, found, remedy)
    for text in rule.phashes:
        yield from _shapeless(placed, text)
    yield from failed_samples(placed.place, rule, placed.threshold)


def _shapeless(placed: PlacedRule, text: str) -> Iterator[Danger]:
    value, bits = int(text, 16), placed.rule.bits
    remedy = "remove it and hash another picture, one that shows more"
    if is_flat(value, bits):
        found = f"{text} has {value.bit_count()} of {bits} bits set, like any plain picture"
        yield _danger(placed, "flat-hash", "phashes", text, found, remedy)
    elif placed.rule.algorithm in GRID and is_striped(value):
        found = f"{text} is stripes or a split in two, like many unrelated pictures"
        yield _danger(placed, "striped-hash", "phashes", text, found, remedy)


def _duplicates(hashes: Sequence[_Hash]) -> Iterator[Danger]:
    """Hashes that another rule has too and takes every image of."""
    known: dict[tuple[str, str], list[PlacedRule]] = {}
    for each in hashes:
        placed = each.owner
        before = known.setdefault((placed.rule.algorithm, each.text), [])
        winner = next((earlier for earlier in before if _always_wins(earlier, placed)), None)
        if winner is None:
            before.append(placed)
        else:
            found = f"{each.text} is a hash of {_name(winner)} too, which takes all its images"
            remedy = "remove it from one of the two"
            yield _danger(placed, "duplicate-hash", "phashes", each.text, found, remedy)


def _always_wins(earlier: PlacedRule, later: PlacedRule) -> bool:
    """Whether `earlier` takes every image that the same hash could find for `later`, for ever."""
    first, second = earlier.rule, later.rule
    return (
        earlier.threshold >= later.threshold
        and set(first.ignore_dids) <= set(second.ignore_dids)
        and set(first.except_hashes) <= set(second.except_hashes)
        and (
            first.expires is None
            or (second.expires is not None and second.expires <= first.expires)
        )
    )


def _collisions(hashes: Sequence[_Hash]) -> Iterator[Danger]:
    """Hashes so near to one of another rule that an image can match both, to different effect."""
    by_algorithm: dict[tuple[str, int], list[_Hash]] = {}
    for each in hashes:
        key = each.owner.rule.algorithm, each.owner.rule.bits
        by_algorithm.setdefault(key, []).append(each)
    for (_, bits), comparable in by_algorithm.items():
        first = first_collisions(_hash_list(comparable, bits))
        for place in np.flatnonzero(first >= 0).tolist():
            yield _collision(comparable[place], comparable[first[place]])


def _hash_list(hashes: Sequence[_Hash], bits: int) -> HashList:
    effects: dict[tuple[object, ...], int] = {}
    kinds = [effects.setdefault(each.owner.effect, len(effects)) for each in hashes]
    words = [
        [each.value >> low & 0xFFFFFFFFFFFFFFFF for low in range(bits - 64, -1, -64)]
        for each in hashes
    ]
    thresholds = [each.owner.threshold for each in hashes]
    return HashList(np.array(words, dtype=np.uint64), np.array(thresholds), np.array(kinds))


def _collision(each: _Hash, other: _Hash) -> Danger:
    distance = (each.value ^ other.value).bit_count()
    found = (
        f"{each.text} is {distance} bits from {other.text} of {_name(other.owner)}, which does "
        "something else: images near both would be taken for the wrong one"
    )
    remedy = "remove one of the two, or lower the thresholds"
    return _danger(each.owner, "colliding-hash", "phashes", each.text, found, remedy)


def _name(placed: PlacedRule) -> str:
    return f'"{placed.rule.id}" ({placed.place})'


def _danger(
    placed: PlacedRule, name: str, field: str, text: str | None, found: str, remedy: str
) -> Danger:
    advice = f'{remedy}, or write "allow": ["{name}"] if it is meant'
    return Danger(name, placed.place, placed.rule.id, field, text, found, advice)
