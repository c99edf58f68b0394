"""Joins the images of some hours with the hashes of a rules version and keeps what is near.

Live runs and backfills both come through here. The join is banded: `sql/matching/spread_hashes.sql`
says why that misses nothing. It is made for 64-bit hashes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

EXHAUSTIVE_FROM = 12
"""Reach in bits from which a rule hash is compared with every image instead of by bands: it would
have over 1,000 neighbours, against 36 at the usual reach of 5, and bands gain little by then."""


@dataclass(frozen=True)
class MatchCounts:
    """What one call of `match_partition` did.

    Attributes:
        images: Images of the partitions that have a hash.
        rule_hashes: Hashes of the rules version.
        matches: Pairs within reach, those of earlier calls included.
        new_matches: Pairs that were not stored before.
    """

    images: int
    rule_hashes: int
    matches: int
    new_matches: int


def match_partition(
    connection: Connection,
    *,
    version: str,
    margin: int,
    matched_at: datetime,
    partition_keys: Sequence[str],
) -> MatchCounts:
    """Match the images of the relation `partition_images` with a rules version.

    Stores every pair of image and rule hash up to the rule's threshold and `margin` bits beyond in
    `rule_matches`, and the version of each partition in `partition_matches`. Pairs that are stored
    keep their `first_version` and `matched_at`; their distance follows the image's hash. Nothing
    is deleted, so a second call changes nothing but the partitions' `matched_at`.

    Runs within the caller's transaction.

    Args:
        connection: Must have a table or view `partition_images (blob_cid)`.
        version: A version that `save_version` stored.
        margin: Bits beyond each rule's threshold, so that thresholds can be loosened later.
        matched_at: When, timezone-aware.
        partition_keys: The partitions that `partition_images` covers completely.

    Raises:
        LookupError: No such rules version is stored.
    """
    _require_version(connection, version)
    rule_hashes = dict(_run(connection, "hashes_by_algorithm", version=version))
    matches = new_matches = 0
    for algorithm in rule_hashes:
        _run(connection, "correct_distances", version=version, algorithm=algorithm)
        matches += _find(connection, version=version, algorithm=algorithm, margin=margin)
        new_matches += _changed(connection, "add_matches", version=version, matched_at=matched_at)
    _run(
        connection,
        "record_partitions",
        partition_keys=list(partition_keys),
        version=version,
        matched_at=matched_at,
    )
    return MatchCounts(
        images=_run(connection, "hashed_images")[0][0],
        rule_hashes=sum(rule_hashes.values()),
        matches=matches,
        new_matches=new_matches,
    )


def _require_version(connection: Connection, version: str) -> None:
    if not _run(connection, "version_exists", version=version):
        raise LookupError(
            f"rules version {version!r} is not stored; materialize the asset `rules` first"
        )


def _find(connection: Connection, *, version: str, algorithm: str, margin: int) -> int:
    """Fill the temporary table `found_matches`; returns its number of rows."""
    wanted = {
        "version": version,
        "algorithm": algorithm,
        "margin": margin,
        "exhaustive_from": EXHAUSTIVE_FROM,
    }
    _run(connection, "spread_hashes", **wanted)
    near = _changed(connection, "find_matches", algorithm=algorithm)
    return near + _changed(connection, "find_wide_matches", **wanted)


def _changed(connection: Connection, name: str, **parameters: object) -> int:
    """Run a statement that writes; returns the number of rows it wrote."""
    [(count,)] = _run(connection, name, **parameters)
    return int(count)


def _run(connection: Connection, name: str, **parameters: object) -> list[Any]:
    return connection.execute(statement(f"matching/{name}"), parameters).fetchall()
