"""Joins image hashes with the hashes of a rules version and keeps the pairs within reach.

Live runs and backfills both come through here. Which image hashes were joined with which rules is
known by their numbers (`spans`), so only what is new is joined: new images with all rule hashes,
and the past with the rule hashes that it has not seen. `plan` says how that is done at least cost.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from phash_dagster.matching.plan import JoinPlan, masks, plan_join
from phash_dagster.matching.spans import Known, Span, matched, up_to
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection
from phash_dagster.warehouse.totals import Total, add_totals


@dataclass(frozen=True)
class MatchCounts:
    """What calls of `match_partition` did; they add up.

    Attributes:
        images: Image hashes that were joined with rule hashes.
        rule_hashes: Hashes of the rules version.
        matches: Pairs within reach that were found, those of earlier calls included.
        new_matches: Pairs that were not stored before.
        complete: Whether nothing is left for another call.
    """

    images: int = 0
    rule_hashes: int = 0
    matches: int = 0
    new_matches: int = 0
    complete: bool = True

    def __add__(self, later: "MatchCounts") -> "MatchCounts":
        return MatchCounts(
            images=self.images + later.images,
            rule_hashes=later.rule_hashes,
            matches=self.matches + later.matches,
            new_matches=self.new_matches + later.new_matches,
            complete=later.complete,
        )


def match_partition(
    connection: Connection,
    *,
    version: str,
    margin: int,
    matched_at: datetime,
    partition_keys: Sequence[str],
    whole_past: bool = True,
    seconds: float | None = None,
) -> MatchCounts:
    """Match what was not matched yet with a rules version, and note these partitions as matched.

    Stores every pair of image and rule hash up to the rule's threshold and `margin` bits beyond in
    `rule_matches`, and the version of each partition in `partition_matches`. Pairs that are stored
    keep their `first_version` and `matched_at`; their distance follows the image's hash. Nothing
    is deleted, and a second call changes nothing but the partitions' `matched_at`.

    Images that were never matched are, whichever partition they belong to. Images that were matched
    with another version are joined with what that version did not cover: all of them, or only those
    of the partitions, which a live run need not wait long for.

    Runs within the caller's transaction. With `seconds` it may end before all is done; then the
    partitions are not noted, and the next call goes on where this one ended.

    Args:
        connection: Must have a table or view `partition_images (blob_cid)` unless `whole_past`.
        version: A version that `save_version` stored.
        margin: Bits beyond each rule's threshold, so that thresholds can be loosened later.
        matched_at: When, timezone-aware.
        partition_keys: The partitions that are matched then; `partition_images` covers them.
        whole_past: Also bring the version to images of other partitions.
        seconds: About how long the joins may take; at least one is done.

    Raises:
        LookupError: No such rules version is stored.
    """
    _require_version(connection, version)
    matching = _Matching(connection, Known(version, margin), matched_at)
    counts = matching.run(whole_past=whole_past, seconds=seconds)
    if counts.complete:
        _run(
            connection,
            "record_partitions",
            partition_keys=list(partition_keys),
            version=version,
            matched_at=matched_at,
        )
    [(rule_hashes,)] = _run(connection, "count_hashes", version=version)
    return replace(counts, rule_hashes=rule_hashes)


@dataclass(frozen=True)
class _Group:
    """Missing rule hashes that are joined together.

    Attributes:
        algorithm: What they and the images are hashed by.
        bits: Their width.
        reaches: How many there are of each reach.
    """

    algorithm: str
    bits: int
    reaches: dict[int, int]

    def plan(self, images: int) -> JoinPlan:
        return plan_join(images, self.reaches, self.bits)


class _Matching:
    """One call of `match_partition`."""

    def __init__(self, connection: Connection, goal: Known, matched_at: datetime) -> None:
        self._connection = connection
        self._goal = goal
        self._matched_at = matched_at

    def run(self, *, whole_past: bool, seconds: float | None) -> MatchCounts:
        counts, left = MatchCounts(), seconds
        spans = _spans(self._connection)
        for span in spans:
            if span.known == self._goal:
                continue
            groups = self._missing(span)
            if span.known and not whole_past and groups:
                counts += self._join_hours(span, groups)
                continue
            for part in _parts(span, groups, seconds):
                if left is not None and left < 0:
                    return replace(counts, complete=False)
                counts += self._join_span(part, groups)
                spans = matched(spans, replace(part, known=self._goal))
                _save_spans(self._connection, spans)
                left = None if left is None else left - _seconds(part, groups)
        return counts

    def _missing(self, span: Span) -> list[_Group]:
        """The rule hashes that the images of a span have not seen, in `missing_hashes`."""
        _run(
            self._connection,
            "missing_hashes",
            version=self._goal.version,
            margin=self._goal.margin,
            known_version=span.known.version if span.known else None,
            known_margin=span.known.margin if span.known else 0,
        )
        reaches: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
        for algorithm, bits, reach, count in _run(self._connection, "missing_reaches"):
            reaches[algorithm, bits][reach] = count
        return [_Group(*key, found) for key, found in reaches.items()]

    def _join_span(self, span: Span, groups: Sequence[_Group]) -> MatchCounts:
        if not span.known:
            _run(
                self._connection,
                "correct_distances",
                first_number=span.first,
                last_number=span.last,
            )
        return self._join("span_images", span, groups, span.length)

    def _join_hours(self, span: Span, groups: Sequence[_Group]) -> MatchCounts:
        [(images,)] = _run(self._connection, "hour_image_count")
        return self._join("hour_images", span, groups, min(images, span.length))

    def _join(
        self, relation: str, span: Span, groups: Sequence[_Group], images: int
    ) -> MatchCounts:
        counts = MatchCounts(images=images if groups else 0)
        for group in groups:
            for name, value in (
                ("match_algorithm", group.algorithm),
                ("match_from", span.first),
                ("match_to", span.last),
            ):
                self._connection.execute(f"SET VARIABLE {name} = $1", [value])
            _run(self._connection, relation)
            counts += self._join_group(group, images)
        return counts

    def _join_group(self, group: _Group, images: int) -> MatchCounts:
        _run(self._connection, "wanted_hashes", algorithm=group.algorithm, bits=group.bits)
        _run(self._connection, "near_pairs")
        _find(self._connection, group.plan(images), group)
        found = _changed(self._connection, "found_matches", algorithm=group.algorithm)
        if _changed(self._connection, "new_matches"):
            self._count_new()
        added = _changed(
            self._connection,
            "add_matches",
            version=self._goal.version,
            matched_at=self._matched_at,
        )
        return MatchCounts(matches=found, new_matches=added)

    def _count_new(self) -> None:
        rows = _run(self._connection, "count_new_matches", version=self._goal.version)
        counts = {Total.of("matches", rule=rule, within=within): n for rule, within, n in rows}
        add_totals(self._connection, counts)


def _find(connection: Connection, plan: JoinPlan, group: _Group) -> None:
    """Fill `near_pairs` with the images of `images_to_match` near the hashes of `wanted_hashes`."""
    reach = max((reach for reach in group.reaches if reach < plan.compared_from), default=-1)
    for band in plan.bands:
        if reach < band.number:
            break  # the bands so far find all
        place = {"word": band.word, "shift": band.shift, "width": band.width}
        for part in range(plan.passes):
            _run(
                connection,
                "spread_hashes",
                **place,
                band=band.number,
                bands=len(plan.bands),
                masks=masks(band, len(plan.bands), reach),
                compared_from=plan.compared_from,
                part=part,
                passes=plan.passes,
            )
            _run(connection, "find_near", **place)
    if max(group.reaches) >= plan.compared_from:
        _run(connection, "compare_all", compared_from=plan.compared_from)


def _parts(span: Span, groups: Sequence[_Group], seconds: float | None) -> list[Span]:
    """Cut a span into parts that take no longer than this each."""
    needed = _seconds(span, groups)
    parts = 1 if seconds is None else max(1, min(span.length, round(needed / seconds)))
    edges = [span.first + span.length * number // parts for number in range(parts + 1)]
    return [replace(span, first=first, last=after - 1) for first, after in pairwise(edges)]


def _seconds(span: Span, groups: Sequence[_Group]) -> float:
    return sum(group.plan(span.length).seconds for group in groups)


def _spans(connection: Connection) -> list[Span]:
    [(newest,)] = _run(connection, "newest_hash")
    known = [
        Span(first, last, Known(version, margin))
        for first, last, version, margin in _run(connection, "matched_spans")
    ]
    return up_to(known, newest)


def _save_spans(connection: Connection, spans: Iterable[Span]) -> None:
    known = [(span, span.known) for span in spans if span.known]
    _run(connection, "forget_spans")
    _run(
        connection,
        "save_spans",
        first_numbers=[span.first for span, _ in known],
        last_numbers=[span.last for span, _ in known],
        versions=[each.version for _, each in known],
        margins=[each.margin for _, each in known],
    )


def _require_version(connection: Connection, version: str) -> None:
    if not _run(connection, "version_exists", version=version):
        raise LookupError(
            f"rules version {version!r} is not stored; materialize the asset `rules` first"
        )


def _changed(connection: Connection, name: str, **parameters: object) -> int:
    """Run a statement that writes; returns the number of rows it wrote."""
    [(count,)] = _run(connection, name, **parameters)
    return int(count)


def _run(connection: Connection, name: str, **parameters: object) -> list[Any]:
    return connection.execute(statement(f"matching/{name}"), parameters).fetchall()
