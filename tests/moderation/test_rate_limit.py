"""What the `ratelimit-*` headers of a PDS say, and the pace that follows."""

import httpx
import pytest

from phash_dagster.moderation.rate_limit import RateLimit
from tests.moderation.builders import NOW

RESET = str(int(NOW.timestamp()) + 200)


def headers(**values: str) -> httpx.Headers:
    named = {"limit": "3000", "remaining": "2999", "reset": RESET, "policy": "3000;w=300"}
    return httpx.Headers({f"ratelimit-{name}": value for name, value in (named | values).items()})


def test_the_headers_of_a_pds_are_read() -> None:
    assert RateLimit.of(headers(), NOW) == RateLimit(3000, 2999, 200.0)


def test_an_answer_without_headers_says_nothing() -> None:
    assert RateLimit.of(httpx.Headers(), NOW) is None


@pytest.mark.parametrize("name", ["limit", "remaining", "reset"])
def test_headers_that_cannot_be_read_say_nothing(name: str) -> None:
    assert RateLimit.of(headers(**{name: "soon"}), NOW) is None


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("40", 40.0), (str(int(NOW.timestamp()) - 9), 0.0), (str(int(NOW.timestamp()) + 7200), 300.0)],
    ids=["seconds to wait", "over", "by a clock hours ahead"],
)
def test_the_wait_is_neither_negative_nor_longer_than_the_window(
    reset: str, seconds: float
) -> None:
    found = RateLimit.of(headers(reset=reset), NOW)
    assert found is not None
    assert found.seconds == seconds


@pytest.mark.parametrize(
    ("remaining", "spacing"),
    [(2999, 0.0), (601, 0.0), (600, 0.5), (100, 3.0), (1, 300.0), (0, 300.0)],
)
def test_when_little_is_left_it_is_spread_over_the_rest_of_the_window(
    remaining: int, spacing: float
) -> None:
    assert RateLimit(3000, remaining, 300.0).spacing == spacing
