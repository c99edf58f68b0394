"""An alert in the words and the markup of the service that takes it.

Names come from the code; the details quote errors, and those quote strangers. So details are one
line or a few of printable text, of bounded length, and no service sees markup or mentions in them.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from phash_dagster.alerts.model import Kind, Notice

Format = Literal["slack", "discord", "json"]
Payload = dict[str, Any]

MOST_IN_A_MESSAGE: Final = 5
_LONGEST_DETAIL: Final = 400
_LONGEST_TITLE: Final = 120
"""Characters, of which escaping may make twice as many: Discord takes 256 in a title, and 6,000 in
all of a message."""

_DISCORD_CONTENT: Final = 2000
"""Characters that Discord takes in `content`."""

_QUIET_SLACK: Final[Payload] = {
    # Nothing in the text is looked up as a name or an address, and no page is fetched.
    "parse": "none",
    "link_names": False,
    "unfurl_links": False,
    "unfurl_media": False,
}
_QUIET_DISCORD: Final[Payload] = {
    "username": "phash-dagster",
    # Who asks for no mention to be heeded pings nobody, whatever the text says.
    "allowed_mentions": {"parse": []},
}

_RED, _YELLOW, _GREEN = 0xC62828, 0xF9A825, 0x2E7D32
_NO_PING: Final = "\N{ZERO WIDTH SPACE}"


def format_of(url: str) -> Format:
    """The format that the service at a webhook's address takes; `json` for unknown ones."""
    host = (urlsplit(url).hostname or "").lower()
    if _is_at(host, "slack.com", "slack-gov.com"):
        return "slack"
    if _is_at(host, "discord.com", "discordapp.com"):
        return "discord"
    return "json"


def _is_at(host: str, *domains: str) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def message(form: Format, notices: Sequence[Notice], *, dagster_url: str = "") -> Payload:
    """The body of the request that tells these notices, `MOST_IN_A_MESSAGE` at most.

    Args:
        form: What the service takes.
        notices: What to tell.
        dagster_url: Address of the Dagster UI, for links; empty: none.
    """
    if form == "slack":
        return _slack(notices, dagster_url)
    if form == "discord":
        return _discord(notices, dagster_url)
    return _json(notices, dagster_url)


def note(form: Format, text: str) -> Payload:
    """The body of the request that tells a text of our own, which quotes nobody.

    Args:
        form: What the service takes.
        text: Plain text; commands may stand in backticks. Discord takes 2000 characters.
    """
    if form == "slack":
        return {**_QUIET_SLACK, "text": text}
    if form == "discord":
        return {**_QUIET_DISCORD, "content": text[:_DISCORD_CONTENT]}
    return {"source": "phash-dagster", "text": text}


def headline(notice: Notice) -> str:
    """What is to be told, in a sentence without a stop."""
    return printable(_sentence(notice), _LONGEST_TITLE)


def _sentence(notice: Notice) -> str:
    trouble, since = notice.trouble, notice.trouble.since
    times = f" ({trouble.count} times)" if trouble.count > 1 else ""
    if notice.ended_at is not None:
        lasted = _length(notice.ended_at - since)
        if notice.kind is Kind.PASSED:
            return (
                f"{trouble.name} failed{times} at {_time(since)} and is well again, after {lasted}"
            )
        return f"{trouble.name} is well again, after {lasted}{times}"
    if notice.kind is Kind.STILL:
        return f"{trouble.name} still fails, since {_time(since)}{times}"
    if notice.kind is Kind.WORSE:
        return f"{trouble.name} got worse: it was a warning and is an error now"
    verb = "warns" if trouble.severity == "warning" else "fails"
    return f"{trouble.name} {verb}{times}"


def detail(notice: Notice) -> str:
    """What is wrong: printable text of bounded length; empty when all is well again."""
    if notice.kind is Kind.ENDED:
        return ""
    return printable(notice.trouble.detail)


def printable(text: str, longest: int = _LONGEST_DETAIL) -> str:
    """Text of strangers without control characters, and cut."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    kept = "\n".join(line for line in lines if line)
    clean = "".join(
        one if one == "\n" or one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in kept
    )
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"


def _link(notice: Notice, dagster_url: str) -> str:
    return f"{dagster_url}/{notice.trouble.path}" if dagster_url and notice.trouble.path else ""


# Slack: https://docs.slack.dev/messaging/formatting-message-text


def _slack(notices: Sequence[Notice], dagster_url: str) -> Payload:
    return {
        **_QUIET_SLACK,
        "text": "\n".join(_slack_text(notice, dagster_url) for notice in notices),
    }


def _slack_text(notice: Notice, dagster_url: str) -> str:
    link, words = _link(notice, dagster_url), detail(notice)
    parts = [f"*{_slack_escaped(headline(notice))}*"]
    if words:
        # Slack knows no escape for its markup; in a code block there is none.
        parts.append(f"```\n{_slack_escaped(words)}\n```")
    if link:
        parts.append(f"<{_slack_escaped(link)}|Open in Dagster>")
    return "\n".join(parts)


def _slack_escaped(text: str) -> str:
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    # Services that imitate Slack read plain @names as mentions.
    return text.replace("`", "'").replace("@", f"@{_NO_PING}")


# Discord: https://discord.com/developers/docs/resources/webhook#execute-webhook


def _discord(notices: Sequence[Notice], dagster_url: str) -> Payload:
    return {
        **_QUIET_DISCORD,
        "embeds": [_embed(notice, dagster_url) for notice in notices],
    }


def _embed(notice: Notice, dagster_url: str) -> Payload:
    embed: Payload = {
        "title": _discord_escaped(headline(notice)),
        "color": _colour(notice),
        "timestamp": notice.trouble.since.isoformat(),
    }
    if words := detail(notice):
        embed["description"] = _discord_escaped(words)
    if link := _link(notice, dagster_url):
        embed["url"] = link
    return embed


def _discord_escaped(text: str) -> str:
    escaped = re.sub(r"([\\*_~`|>#\-\[\]()<:])", r"\\\1", text)
    return escaped.replace("@", f"@{_NO_PING}")


def _colour(notice: Notice) -> int:
    if notice.ended_at is not None:
        return _GREEN
    return _RED if notice.trouble.severity == "error" else _YELLOW


# Plain JSON


def _json(notices: Sequence[Notice], dagster_url: str) -> Payload:
    return {
        "source": "phash-dagster",
        "text": "\n".join(headline(notice) for notice in notices),
        "alerts": [_entry(notice, dagster_url) for notice in notices],
    }


def _entry(notice: Notice, dagster_url: str) -> Mapping[str, Any]:
    trouble = notice.trouble
    return {
        "kind": notice.kind.value,
        "key": trouble.key,
        "severity": trouble.severity,
        "title": headline(notice),
        "detail": detail(notice),
        "since": trouble.since.isoformat(),
        "ended_at": notice.ended_at.isoformat() if notice.ended_at else None,
        "count": trouble.count,
        "url": _link(notice, dagster_url) or None,
    }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _length(time: timedelta) -> str:
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
