"""Matching: which images are near which rule hashes, in SQL on DuckDB."""

from phash_dagster.matching.hours import match_hours
from phash_dagster.matching.match import MatchCounts, match_partition

__all__ = ["MatchCounts", "match_hours", "match_partition"]
