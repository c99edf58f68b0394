"""Which hours a backfill covers."""

from phash_dagster.matching.backfill import HourRange, hour_ranges, stale_hours

NEVER_SETTLED = "2026-01-02-00:00"


def test_hours_matched_with_other_rules_are_stale() -> None:
    keys = ["2026-01-01-00:00", "2026-01-01-01:00"]
    matched = dict(zip(keys, ["old", "new"], strict=True))
    assert stale_hours(keys, matched, version="new", settled_before=NEVER_SETTLED) == keys[:1]


def test_an_hour_that_was_never_matched_is_stale_once_live_runs_are_past_it() -> None:
    keys = ["2026-01-01-00:00", "2026-01-02-05:00"]
    assert stale_hours(keys, {}, version="new", settled_before=NEVER_SETTLED) == keys[:1]


def test_ranges_cover_gaps_and_end_at_the_longest() -> None:
    keys = ["2026-01-01-00:00", "2026-01-01-03:00", "2026-01-01-04:00", "2026-01-09-00:00"]
    assert hour_ranges(keys, longest=4) == [
        HourRange(keys[0], keys[1]),
        HourRange(keys[2], keys[2]),
        HourRange(keys[3], keys[3]),
    ]


def test_no_hours_need_no_ranges() -> None:
    assert hour_ranges([], longest=168) == []
