"""Questions for people: a snapshot of the warehouse, and statements that ask it something."""

from phash_dagster.analysis.snapshot import Snapshot, Sources, make_snapshot

__all__ = ["Snapshot", "Sources", "make_snapshot"]
