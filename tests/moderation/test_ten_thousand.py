"""Ten thousand posts that one bad hash finds within an hour, and one that another rule finds."""

from collections import Counter

import pytest

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.emit import emit_actions
from tests.moderation.bench import Bench, a_rule, post
from tests.moderation.builders import HASH
from tests.moderation.scripted_ozone import AT_ONCE, FakeTime, ScriptedOzone

pytestmark = pytest.mark.slow

POSTS = 10_000


@pytest.fixture
def flooded(bench: Bench) -> Bench:
    bench.load(a_rule(), a_rule("raid"))
    bench.match("other", rule="raid")
    bench.mark_matched()
    bench.write(
        post("other", did="did:plc:other", blob_cid="other"),
        *(post(f"{number:05}", did=f"did:plc:{number:05}") for number in range(POSTS)),
    )
    return bench


def outcomes(bench: Bench) -> Counter[tuple[str, str]]:
    return Counter((row.value, row.state.value) for row in bench.rows())


def test_all_of_them_are_held_the_hash_is_quarantined_and_the_other_rule_acts(
    flooded: Bench,
) -> None:
    ozone = ScriptedOzone()
    flooded.plan()
    emit_actions(flooded.ledger, ozone, AT_ONCE, pacing=FakeTime().pacing)
    assert outcomes(flooded) == {("troll", "held"): POSTS, ("raid", "sent"): 1}
    assert [one.rule_hash for one in flooded.ledger.limits.quarantined()] == [HASH]
    assert [action.value for action in ozone.asked] == ["raid"]


def test_where_floods_are_not_looked_for_the_budget_of_the_rule_stops_them(flooded: Bench) -> None:
    ozone = ScriptedOzone()
    flooded.set(flood_min_posts=2 * POSTS, max_actions_per_run=POSTS, max_actions_per_day=POSTS)
    flooded.plan()
    emit_actions(flooded.ledger, ozone, AT_ONCE, pacing=FakeTime().pacing)
    allowed = flooded.settings.max_actions_per_rule_per_day
    assert outcomes(flooded) == {
        ("troll", "sent"): allowed,
        ("troll", "held"): POSTS - allowed,
        ("raid", "sent"): 1,
    }
    assert len(ozone.asked) == len({action.external_id for action in ozone.asked}) == allowed + 1
    assert flooded.ledger.counts()[State.HELD] == POSTS - allowed
