"""The comments that moderators read."""

from datetime import UTC, datetime, timedelta, timezone

from phash_dagster.moderation.comments import account_comment, post_comment

TIME = datetime(2026, 11, 23, 20, 15, 0, 987_654, tzinfo=UTC)


def test_a_post_comment_names_time_post_hash_and_distance() -> None:
    text = post_comment(
        TIME, "Spam image", "at://did:plc:a/app.bsky.feed.post/3k", "07e0" * 4, distance=2
    )
    assert text == (
        "2026-11-23T20:15:00Z: Spam image at at://did:plc:a/app.bsky.feed.post/3k "
        'with phash "07e007e007e007e0" (distance=2)'
    )


def test_an_account_comment_names_time_and_account() -> None:
    text = account_comment(TIME, "Spam image", "did:plc:a")
    assert text == "2026-11-23T20:15:00Z: Spam image for account did:plc:a"


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    there = TIME.astimezone(timezone(timedelta(hours=2)))
    assert account_comment(there, "x", "did:plc:a").startswith("2026-11-23T20:15:00Z: ")
