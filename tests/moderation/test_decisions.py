"""The first matching rule wins for each image."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.moderation.decisions import Decision, PostMatch, WhyNot, decide, judge
from phash_dagster.rules.model import RuleSet, SetAside
from tests.moderation.builders import DID, HASH, NOW, post_uri, rule, rules

OTHER_HASH = "f0f0f0f0f0f0f0f0"


def match(rule_id: str = "first", **fields: Any) -> PostMatch:
    values: dict[str, Any] = {
        "uri": post_uri(),
        "cid": "bafyrei1",
        "did": DID,
        "blob_cid": "bafkreione",
        "position": 0,
        "rule_hash": HASH,
        "distance": 1,
    }
    return PostMatch(rule_id=rule_id, **(values | fields))


FIRST_SECOND = rules(rule(id="first"), rule(id="second", label="spam"))


def test_the_first_rule_in_the_set_wins_though_a_later_one_is_nearer() -> None:
    matches = [match("second", distance=0), match("first", distance=3)]
    [decision] = decide(matches, FIRST_SECOND, NOW)
    assert (decision.rule.id, decision.distance) == ("first", 3)


def test_a_distance_equal_to_the_threshold_matches() -> None:
    ruleset = rules(rule(id="first", hamming_threshold=1))
    assert len(decide([match(distance=1)], ruleset, NOW)) == 1
    assert decide([match(distance=2)], ruleset, NOW) == []


def test_a_rule_without_a_threshold_takes_the_default_of_the_set() -> None:
    ruleset = rules(rule(id="first"), default_threshold=5)
    assert len(decide([match(distance=5)], ruleset, NOW)) == 1
    assert decide([match(distance=6)], ruleset, NOW) == []


def test_a_match_beyond_the_first_rule_leaves_the_image_to_the_next() -> None:
    [decision] = decide([match("first", distance=4), match("second")], FIRST_SECOND, NOW)
    assert decision.rule.id == "second"


def test_a_rule_that_ignores_the_author_leaves_the_image_to_the_next() -> None:
    ruleset = rules(rule(id="first", ignore_dids=(DID,)), rule(id="second"))
    [decision] = decide([match("first"), match("second")], ruleset, NOW)
    assert decision.rule.id == "second"


def test_the_nearest_hash_of_a_rule_is_named() -> None:
    ruleset = rules(rule(HASH, OTHER_HASH, id="first"))
    matches = [match(distance=2), match(rule_hash=OTHER_HASH, distance=1)]
    [decision] = decide(matches, ruleset, NOW)
    assert (decision.rule_hash, decision.distance) == (OTHER_HASH, 1)


def test_of_equally_near_hashes_the_first_in_the_rule_is_named() -> None:
    ruleset = rules(rule(HASH, OTHER_HASH, id="first"))
    [decision] = decide([match(rule_hash=OTHER_HASH), match()], ruleset, NOW)
    assert decision.rule_hash == HASH


def test_rules_and_hashes_that_are_gone_from_the_set_count_for_nothing() -> None:
    assert decide([match("removed"), match(rule_hash=OTHER_HASH)], FIRST_SECOND, NOW) == []


def test_a_hash_that_is_set_aside_leaves_the_image_to_the_next_rule() -> None:
    aside = replace(FIRST_SECOND, set_aside=(SetAside("first", HASH, "striped-hash"),))
    [decision] = decide([match("first", distance=0), match("second")], aside, NOW)
    assert decision.rule.id == "second"


def test_a_rule_that_has_expired_leaves_the_image_to_the_next() -> None:
    ruleset = rules(rule(id="first", expires=NOW), rule(id="second"))
    matches = [match("first"), match("second")]
    assert [d.rule.id for d in decide(matches, ruleset, NOW)] == ["second"]
    assert [d.rule.id for d in decide(matches, ruleset, NOW - timedelta(seconds=1))] == ["first"]


EXCEPTION = "00ff00ff00ff0f0f"


@pytest.mark.parametrize(
    ("own", "exception", "decided"),
    [(2, 1, False), (2, 2, False), (1, 2, True), (0, 0, False), (3, 5, True)],
)
def test_the_nearer_of_a_rules_hashes_and_exceptions_decides_and_ties_go_to_the_exception(
    own: int, exception: int, decided: bool
) -> None:
    ruleset = rules(rule(HASH, OTHER_HASH, id="first", except_hashes=(EXCEPTION,)))
    matches = [
        match(distance=3),
        match(rule_hash=EXCEPTION, distance=exception, after_rule=False),
        match(rule_hash=OTHER_HASH, distance=own),
    ]
    assert bool(decide(matches, ruleset, NOW)) is decided


def test_an_exception_concerns_its_own_rule_and_its_own_image_alone() -> None:
    ruleset = rules(rule(id="first", except_hashes=(EXCEPTION,)), rule(id="second"))
    matches = [
        match("first", position=0, blob_cid="a"),
        match("first", position=0, blob_cid="a", rule_hash=EXCEPTION, distance=0),
        match("second", position=0, blob_cid="a"),
        match("first", position=1, blob_cid="b"),
    ]
    decisions = decide(matches, ruleset, NOW)
    assert [(d.rule.id, d.blob_cids) for d in decisions] == [("first", ("b",)), ("second", ("a",))]


def test_two_images_decided_by_one_rule_make_one_decision_in_post_order() -> None:
    matches = [
        match(position=2, blob_cid="bafkreithree", distance=0),
        match(position=0, blob_cid="bafkreione", distance=2),
    ]
    [decision] = decide(matches, FIRST_SECOND, NOW)
    assert decision.blob_cids == ("bafkreione", "bafkreithree")
    assert decision.distance == 0


def test_one_image_that_came_after_the_rule_makes_the_decision_come_after_it() -> None:
    before = match(position=0, after_rule=False)
    after = match(position=1, blob_cid="bafkreitwo", after_rule=True)
    assert [d.after_rule for d in decide([before], FIRST_SECOND, NOW)] == [False]
    assert [d.after_rule for d in decide([before, after], FIRST_SECOND, NOW)] == [True]


def test_a_blob_that_a_post_shows_twice_is_named_once() -> None:
    [decision] = decide([match(position=0), match(position=1)], FIRST_SECOND, NOW)
    assert decision.blob_cids == ("bafkreione",)


def test_two_images_decided_by_two_rules_make_two_decisions_in_rule_order() -> None:
    matches = [match("second", position=0), match("first", position=1, blob_cid="bafkreitwo")]
    decisions = decide(matches, FIRST_SECOND, NOW)
    assert [(d.rule.id, d.blob_cids) for d in decisions] == [
        ("first", ("bafkreitwo",)),
        ("second", ("bafkreione",)),
    ]


def test_an_edited_post_is_decided_by_record() -> None:
    decisions = decide([match(cid="bafyrei1"), match(cid="bafyrei2")], FIRST_SECOND, NOW)
    assert [decision.cid for decision in decisions] == ["bafyrei1", "bafyrei2"]


def test_posts_keep_the_order_in_which_they_come() -> None:
    uris = [post_uri(rkey) for rkey in ("9", "1", "5")]
    decisions = decide([match(uri=uri) for uri in uris], FIRST_SECOND, NOW)
    assert [decision.uri for decision in decisions] == uris


def _by_brute_force(matches: list[PostMatch], ruleset: RuleSet) -> set[tuple[str, int, str]]:
    """(post, position, rule) as the predecessor went about it: image by image, rule by rule."""
    won = set()
    for uri, position in {(match.uri, match.position) for match in matches}:
        image = [m for m in matches if (m.uri, m.position) == (uri, position)]
        for candidate in ruleset.rules:
            near = [
                m
                for m in image
                if m.rule_id == candidate.id
                and m.rule_hash in candidate.phashes
                and m.distance <= ruleset.threshold(candidate)
                and m.did not in candidate.ignore_dids
            ]
            if near:
                won.add((uri, position, candidate.id))
                break
    return won


@st.composite
def _stored_matches(draw: st.DrawFn) -> list[PostMatch]:
    authors = {post_uri("1"): DID, post_uri("2", "did:plc:ignored"): "did:plc:ignored"}
    drawn = st.builds(
        match,
        rule_id=st.sampled_from(["first", "second", "third", "removed"]),
        uri=st.sampled_from(sorted(authors)),
        position=st.integers(0, 3),
        rule_hash=st.sampled_from([HASH, OTHER_HASH]),
        distance=st.integers(0, 6),
    )
    return [
        replace(m, did=authors[m.uri], blob_cid=f"blob{m.position}")
        for m in draw(st.lists(drawn, max_size=20))
    ]


@given(_stored_matches())
def test_each_image_is_won_by_the_rule_that_brute_force_finds(matches: list[PostMatch]) -> None:
    ruleset = rules(
        rule(id="first", hamming_threshold=1, ignore_dids=("did:plc:ignored",)),
        rule(HASH, OTHER_HASH, id="second", hamming_threshold=3),
        rule(id="third", hamming_threshold=5),
    )
    decided: list[Decision] = decide(matches, ruleset, NOW)
    found = {
        (decision.uri, int(blob.removeprefix("blob")), decision.rule.id)
        for decision in decided
        for blob in decision.blob_cids
    }
    assert found == _by_brute_force(matches, ruleset)


# Why not


@pytest.mark.parametrize(
    ("matches", "fields", "why"),
    [
        ([match()], {}, None),
        ([match("gone")], {}, WhyNot.RULE_GONE),
        ([match()], {"expires": "2026-11-01"}, WhyNot.RULE_EXPIRED),
        ([match(rule_hash=OTHER_HASH)], {}, WhyNot.HASH_GONE),
        ([match(distance=4)], {}, WhyNot.TOO_FAR),
        ([match()], {"ignore_dids": (DID,)}, WhyNot.IGNORED),
        ([match(quality=9)], {}, WhyNot.LOW_QUALITY),
        ([match(rule_hash=OTHER_HASH)], {"except_hashes": (OTHER_HASH,)}, WhyNot.EXCEPTION),
        (
            [match(distance=2), match(rule_hash=OTHER_HASH, distance=2)],
            {"except_hashes": (OTHER_HASH,)},
            WhyNot.NEARER_EXCEPTION,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, WhyNot) else "",
)
def test_a_match_that_does_not_decide_says_why(
    matches: list[PostMatch], fields: dict[str, Any], why: WhyNot | None
) -> None:
    ruleset = rules(rule(id="first", **fields))
    [judged, *_] = judge(matches, ruleset, NOW, min_quality=10)
    assert judged.why_not is why


def test_a_hash_that_was_set_aside_does_not_decide() -> None:
    aside = [SetAside("first", HASH, "flat-hash")]
    ruleset = RuleSet.of((rule(id="first"),), default_threshold=3, set_aside=aside)
    [judged] = judge([match()], ruleset, NOW)
    assert judged.why_not is WhyNot.SET_ASIDE


def test_the_match_that_decides_instead_is_named() -> None:
    ruleset = rules(rule(HASH, OTHER_HASH, id="first"), rule(id="second"))
    nearest = match(rule_hash=OTHER_HASH, distance=0)
    judged = judge([match(), nearest, match("second", distance=0)], ruleset, NOW)
    assert [each.why_not for each in judged] == [WhyNot.OTHER_HASH, None, WhyNot.OTHER_RULE]
    assert {each.winner for each in judged} == {nearest}


@given(_stored_matches())
def test_what_decides_by_the_verdicts_is_what_is_decided(matches: list[PostMatch]) -> None:
    ruleset = rules(
        rule(id="first", hamming_threshold=1, ignore_dids=("did:plc:ignored",)),
        rule(HASH, OTHER_HASH, id="second", hamming_threshold=3),
        rule(id="third", hamming_threshold=5),
    )
    judged = judge(matches, ruleset, NOW)
    assert [each.match for each in judged] == matches
    decides = {
        (each.match.uri, each.match.cid, each.match.blob_cid, each.match.rule_id)
        for each in judged
        if each.why_not is None
    }
    assert decides == {
        (decision.uri, decision.cid, blob_cid, decision.rule.id)
        for decision in decide(matches, ruleset, NOW)
        for blob_cid in decision.blob_cids
    }
