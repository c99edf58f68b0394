"""What a message looks like in each format, and that strangers' text is only text in it."""

import json
from datetime import timedelta

import pytest

from phash_dagster.alerts import Kind, Notice, Trouble
from phash_dagster.alerts.text import MOST_IN_A_MESSAGE, Format, format_of, headline, message
from tests.alerts.builders import NOW, notice

HOSTILE = (
    "@everyone @here <!channel> <!everyone> <@U024BE7LH> <https://evil.test|click> "
    "[click](https://evil.test) *bold* _it_ ~~no~~ `code` ```\nfence\n``` # big\n> quote\n"
    "\x1b[2J\u202e gnp.exe & <script>"
)
FORMATS: tuple[Format, ...] = ("slack", "discord", "json")


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack"),
        ("https://hooks.slack-gov.com/services/T/B/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://ptb.discord.com/api/webhooks/1/x", "discord"),
        ("https://discordapp.com/api/webhooks/1/x", "discord"),
        ("https://HOOKS.SLACK.COM/services/T/B/x", "slack"),
        ("https://notslack.com/x", "json"),
        ("https://example.org/hooks.slack.com/x", "json"),
        ("http://127.0.0.1:8080/hook", "json"),
    ],
)
def test_the_format_goes_by_the_host(url: str, form: Format) -> None:
    assert format_of(url) == form


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (notice(), "The check lag on a fails"),
        (notice(severity="warning"), "The check lag on a warns"),
        (notice(count=17), "The check lag on a fails (17 times)"),
        (notice(Kind.WORSE), "The check lag on a got worse: it was a warning and is an error now"),
        (notice(Kind.STILL), "The check lag on a still fails, since 2026-11-23 19:30 UTC"),
        (
            notice(Kind.ENDED, after=timedelta(minutes=90)),
            "The check lag on a is well again, after 90 min",
        ),
        (
            notice(Kind.PASSED, after=timedelta(hours=5), count=3),
            "The check lag on a failed (3 times) at 2026-11-23 19:30 UTC and is well again, "
            "after 5 h",
        ),
    ],
)
def test_the_headline_says_what_is_the_case(told: Notice, says: str) -> None:
    assert headline(told) == says


def test_slack_gets_a_headline_the_details_as_code_and_a_link() -> None:
    body = message("slack", [notice()], dagster_url="https://dagster.test")
    assert body["text"] == (
        "*The check lag on a fails*\n"
        "```\nThe newest event is 6 min old.\n```\n"
        "<https://dagster.test/assets/a?view=checks&amp;checkDetail=lag|Open in Dagster>"
    )


def test_discord_gets_an_embed_each_with_a_colour_and_a_link() -> None:
    ended = notice(Kind.ENDED, after=timedelta(minutes=90))
    told = [notice(), notice(severity="warning"), ended]
    body = message("discord", told, dagster_url="https://dagster.test")
    first, second, third = body["embeds"]
    assert first == {
        "title": "The check lag on a fails",
        "description": "The newest event is 6 min old.",
        "url": "https://dagster.test/assets/a?view=checks&checkDetail=lag",
        "color": 0xC62828,
        "timestamp": NOW.isoformat(),
    }
    assert len({embed["color"] for embed in (first, second, third)}) == 3
    assert "description" not in third


def test_json_has_every_field_for_programs() -> None:
    body = message("json", [notice(count=2)], dagster_url="https://dagster.test")
    assert body["source"] == "phash-dagster"
    assert body["alerts"] == [
        {
            "kind": "started",
            "key": "check:a/lag",
            "severity": "error",
            "title": "The check lag on a fails (2 times)",
            "detail": "The newest event is 6 min old.",
            "since": "2026-11-23T19:30:00+00:00",
            "ended_at": None,
            "count": 2,
            "url": "https://dagster.test/assets/a?view=checks&checkDetail=lag",
        }
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_without_the_address_of_the_ui_there_is_no_link(form: Format) -> None:
    text = json.dumps(message(form, [notice()]))
    assert "checkDetail" not in text
    assert "Open in Dagster" not in text


def test_in_slack_nothing_of_a_stranger_is_markup_a_link_or_a_mention() -> None:
    body = message("slack", [notice(detail=HOSTILE)])
    text = body["text"]
    assert "<" not in text
    assert ">" not in text
    assert "&lt;!channel&gt;" in text
    # One code block, which nothing in it can end.
    assert text.count("```") == 2
    assert text.count("`") == 6
    assert text.endswith("\n```")
    assert "@everyone" not in text
    assert (body["parse"], body["link_names"]) == ("none", False)
    assert (body["unfurl_links"], body["unfurl_media"]) == (False, False)


def test_in_discord_nothing_of_a_stranger_is_markup_a_link_or_a_mention() -> None:
    body = message("discord", [notice(detail=HOSTILE, name=HOSTILE)])
    assert body["allowed_mentions"] == {"parse": []}
    assert "content" not in body
    [embed] = body["embeds"]
    for text in (embed["description"], embed["title"]):
        assert "@everyone" not in text
        for position, sign in enumerate(text):
            if sign in "*_~`|>#[]()<":
                assert text[position - 1] == "\\", f"{sign} at {position} of {text!r}"


@pytest.mark.parametrize("form", FORMATS)
def test_control_characters_and_reversed_text_do_not_get_through(form: Format) -> None:
    text = json.dumps(message(form, [notice(detail=HOSTILE)]), ensure_ascii=False)
    assert "\x1b" not in text
    assert "\\u001b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("sign", ["x", "<", "*", "@", "&", "\n"])
def test_the_longest_message_is_one_that_the_services_take(form: Format, sign: str) -> None:
    told = [
        Notice(Kind.STARTED, Trouble(str(number), sign * 5000, sign * 5000, "error", NOW))
        for number in range(MOST_IN_A_MESSAGE)
    ]
    body = message(form, told, dagster_url="https://dagster.test")
    if form == "discord":
        titles = [embed["title"] for embed in body["embeds"]]
        texts = [embed.get("description", "") for embed in body["embeds"]]
        assert max(map(len, titles)) <= 256
        assert max(map(len, texts)) <= 4096
        assert sum(map(len, titles + texts)) <= 6000
        assert len(body["embeds"]) <= 10
    if form == "slack":
        assert len(body["text"]) <= 40_000
