"""The text that a moderator reads in Ozone; the only place where one is built."""

from datetime import UTC, datetime


def post_comment(time: datetime, comment: str, uri: str, rule_hash: str, distance: int) -> str:
    """The comment of an event on a post: when, the rule's own words, which post and which hash.

    Args:
        time: When the event was planned, timezone-aware.
        comment: The rule's comment.
        uri: AT URI of the post.
        rule_hash: The rule hash that matched, 16 or 64 hex characters.
        distance: Hamming distance between image and rule hash, in bits.
    """
    return f'{_rfc3339(time)}: {comment} at {uri} with phash "{rule_hash}" (distance={distance})'


def account_comment(time: datetime, comment: str, did: str) -> str:
    """The comment of an event on an account; the event's `modTool` names post and hash."""
    return f"{_rfc3339(time)}: {comment} for account {did}"


def undo_comment(time: datetime, by: str, what: str, rule_id: str) -> str:
    """The comment of an event that takes another back.

    Args:
        time: When it was planned, timezone-aware.
        by: Who undid it.
        what: What is taken back, e.g. `label troll`.
        rule_id: The rule that had asked for it.
    """
    return f"{_rfc3339(time)}: {what} of rule {rule_id} undone by {by}"


def _rfc3339(time: datetime) -> str:
    """RFC 3339 in UTC to the second, as atproto writes it: `2026-11-23T20:15:00Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
