"""Whether a rule finds the images that it is meant to find, and only those. Pure."""

from collections.abc import Iterable, Iterator

from phash_dagster.rules.dangers import Danger, Place
from phash_dagster.rules.model import Rule


def failed_samples(place: Place, rule: Rule, threshold: int) -> Iterator[Danger]:
    """What the `samples` of a rule say against it.

    A sample that should match and does not concerns the whole rule; one that matches and should
    not, the hashes that it is near to.
    """
    for sample in rule.samples.match:
        if not _matching(rule, sample, threshold):
            found = (
                f"{sample} should match and does not: the nearest hash is {_nearest(rule, sample)}"
            )
            yield Danger("failed-sample", place, rule.id, "samples.match", None, found, _REMEDY)
    for sample in rule.samples.no_match:
        for text in _matching(rule, sample, threshold):
            found = f"{sample} should not match and is {_distance(text, sample)} bits from {text}"
            yield Danger("failed-sample", place, rule.id, "samples.noMatch", text, found, _REMEDY)


_REMEDY = "mend the rule's hashes, threshold or exceptHashes, or remove the sample"


def _matching(rule: Rule, sample: str, threshold: int) -> list[str]:
    """The hashes of a rule that match an image with this hash."""
    exception = min(_distances(rule.except_hashes, sample), default=threshold + 1)
    return [
        text
        for text in rule.phashes
        if _distance(text, sample) <= threshold and _distance(text, sample) < exception
    ]


def _nearest(rule: Rule, sample: str) -> str:
    own = min(_distances(rule.phashes, sample), default=None)
    exception = min(_distances(rule.except_hashes, sample), default=None)
    if own is None:
        return "none"
    if exception is None:
        return f"{own} bits away"
    return f"{own} bits away, the nearest of exceptHashes {exception}"


def _distances(hashes: Iterable[str], sample: str) -> Iterator[int]:
    return (_distance(text, sample) for text in hashes)


def _distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()
