"""Which image hashes were matched with which rules, by their numbers. Pure.

Image hashes are numbered as they are written, so what was matched is a few spans of numbers,
however many hashes there are and however many hours, posts and clocks had a part in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise


@dataclass(frozen=True)
class Known:
    """What images were matched with.

    Attributes:
        version: The rules version.
        margin: Bits beyond each threshold up to which matches were kept.
    """

    version: str
    margin: int


@dataclass(frozen=True)
class Span:
    """Image hashes with consecutive numbers, both ends included.

    Attributes:
        first: The smallest number.
        last: The largest number.
        known: What they were matched with; None: never matched.
    """

    first: int
    last: int
    known: Known | None = None

    @property
    def length(self) -> int:
        """How many numbers it has; some may be of hashes that were replaced since."""
        return self.last - self.first + 1


def up_to(spans: Iterable[Span], newest: int) -> list[Span]:
    """These spans, and one for the hashes that came after them up to number `newest`."""
    known = list(spans)
    first = known[-1].last + 1 if known else 0
    return [*known, Span(first, newest)] if newest >= first else known


def matched(spans: Iterable[Span], done: Span) -> list[Span]:
    """The spans once `done`, which lies within one of them, is matched; equal neighbours merge."""
    parts: list[Span] = []
    for span in spans:
        if span.first <= done.first <= span.last:
            before = replace(span, last=done.first - 1)
            after = replace(span, first=done.last + 1)
            parts += [part for part in (before, done, after) if part.length]
        else:
            parts.append(span)
    return _merged(parts)


def _merged(spans: list[Span]) -> list[Span]:
    merged = spans[:1]
    for before, span in pairwise(spans):
        if before.known == span.known:
            merged[-1] = replace(merged[-1], last=span.last)
        else:
            merged.append(span)
    return merged
