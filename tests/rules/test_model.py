"""Rule sets: thresholds, look-up, versions and their JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from phash_dagster.rules import Rule, RuleSet, SetAside
from phash_dagster.rules.dangers import ALLOWED_DANGERS
from tests.rules.rule_files import PREDECESSOR_RULE, load_rules, rule, write


def ruleset(*rules: dict[str, Any], default_threshold: int = 3) -> RuleSet:
    loaded = tuple(Rule.model_validate(content) for content in rules)
    return RuleSet.of(loaded, default_threshold=default_threshold, sources=("blobs.json",))


def test_a_rule_can_be_made_by_field_names() -> None:
    made = Rule(
        phashes=("07870707A1B2C3D4",),
        label="troll",
        comment="c",
        report_account=False,
        label_account=False,
        report_post=False,
        label_post=True,
        ignore_dids=("did:plc:abc",),
    )
    assert made.phashes == ("07870707a1b2c3d4",)
    assert made.id == "troll:07870707a1b2c3d4"


def test_a_rule_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Rule.model_validate(rule()), "label", "other")  # noqa: B010 - mypy refuses it too


def test_the_threshold_is_the_rules_own_or_the_default() -> None:
    rules = ruleset(rule(hammingThreshold=0), rule("hammingThreshold"), default_threshold=5)
    assert [rules.threshold(each) for each in rules.rules] == [0, 5]


def test_a_rule_is_found_by_its_id() -> None:
    rules = ruleset(rule(id="a"), rule(id="b", label="spam"))
    assert rules.rule("b").label == "spam"


def test_an_unknown_id_is_named_in_the_error() -> None:
    with pytest.raises(KeyError, match="no rule 'x'"):
        ruleset(rule()).rule("x")


def test_the_version_is_a_sha256() -> None:
    assert len(bytes.fromhex(ruleset(rule()).version)) == 32


def test_the_version_of_a_set_does_not_change_between_releases() -> None:
    """Stored versions and Dagster data versions refer to it."""
    assert (
        ruleset(PREDECESSOR_RULE).version
        == "d25512af3d6f49a568d3e73c3449f76cd49d717c51d6dbcb9b24960a0616bec3"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"phashes": ["07870707a1b2c3d4"]},
        {"label": "other"},
        {"comment": "other"},
        {"reportAcct": True},
        {"labelAcct": False},
        {"reportPost": True},
        {"toLabel": False},
        {"takedownPost": True},
        {"takedownAcct": True},
        {"hammingThreshold": 2},
        {"ignoreDID": []},
        {"id": "other"},
        {"mode": "shadow"},
        {"reportReason": "com.atproto.moderation.defs#reasonOther"},
        {"allow": ["flat-hash"]},
        {"expires": "2026-12-31"},
        {"exceptHashes": ["0123456789abcdef"]},
        {"samples": {"noMatch": ["0123456789abcdef"]}},
        {"algorithm": "average-integer"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_version_changes_with_whatever_a_rule_does(changes: dict[str, Any]) -> None:
    unchanged = rule(id="same")
    assert ruleset(unchanged | changes).version != ruleset(unchanged).version


def test_the_version_changes_with_the_order_of_rules() -> None:
    first, second = rule(id="a"), rule(id="b")
    assert ruleset(first, second).version != ruleset(second, first).version


def test_the_default_threshold_counts_where_a_rule_relies_on_it() -> None:
    relying, own = rule("hammingThreshold"), rule(hammingThreshold=3)
    assert (
        ruleset(relying, default_threshold=3).version
        != ruleset(relying, default_threshold=4).version
    )
    assert ruleset(own, default_threshold=3).version == ruleset(own, default_threshold=4).version
    assert ruleset(relying, default_threshold=3).version == ruleset(own).version


def test_what_has_no_effect_does_not_change_the_version(tmp_path: Path) -> None:
    write(tmp_path, "a.json", [rule(), rule(label="other")])
    before = load_rules(tmp_path)
    (tmp_path / "a.json").unlink()
    reordered = dict(reversed(rule("description", "takedownPost").items()))
    write(tmp_path, "b.json", json.dumps([reordered], indent=4))
    write(tmp_path, "c.json", [rule(label="other", phashes=[h.upper() for h in rule()["phashes"]])])
    assert load_rules(tmp_path).version == before.version


HASHES = st.integers(0, 2**64 - 1).map("{:016x}".format)
LABELS = st.text(min_size=1, max_size=8).filter(
    lambda text: text.isprintable() and not any(character in " ,;'\"" for character in text)
)
COMMENTS = st.text(max_size=8).filter(lambda text: "\x00" not in text)
RULES = st.fixed_dictionaries(
    {
        "phashes": st.lists(HASHES.map(lambda text: "0" + text[1:]), max_size=4),
        "label": LABELS,
        "comment": COMMENTS,
        **{name: st.booleans() for name in ("reportAcct", "labelAcct", "reportPost", "toLabel")},
    },
    optional={
        "takedownPost": st.booleans(),
        "takedownAcct": st.booleans(),
        "hammingThreshold": st.none() | st.integers(0, 64),
        "description": st.none() | st.text(max_size=8),
        "ignoreDID": st.lists(st.just("did:web:example.org"), max_size=2),
        "mode": st.sampled_from(["live", "shadow"]),
        "algorithm": st.sampled_from(["average", "average-integer"]),
        "expires": st.none() | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "exceptHashes": st.lists(HASHES.map(lambda text: "e" + text[1:]), max_size=2),
        "samples": st.fixed_dictionaries(
            {}, optional={"match": st.lists(HASHES, max_size=2), "noMatch": st.lists(HASHES)}
        ),
        "allow": st.lists(st.sampled_from(ALLOWED_DANGERS), max_size=2),
    },
)


@given(st.lists(RULES, max_size=4), st.integers(0, 64))
def test_json_round_trip_keeps_everything(rules: list[dict[str, Any]], threshold: int) -> None:
    before = replace(
        ruleset(*rules, default_threshold=threshold),
        set_aside=(SetAside("r", "f" * 16, "flat-hash"),),
    )
    after = RuleSet.from_json(before.to_json())
    assert after == before
    assert RuleSet.of(after.rules, default_threshold=threshold).version == before.version


def test_the_stored_version_is_kept_even_if_a_later_release_would_compute_another() -> None:
    stored = json.loads(ruleset(rule()).to_json()) | {"version": "of an earlier release"}
    assert RuleSet.from_json(json.dumps(stored)).version == "of an earlier release"


def test_what_an_earlier_release_stored_has_nothing_set_aside() -> None:
    stored = json.loads(ruleset(rule()).to_json())
    del stored["set_aside"]
    assert RuleSet.from_json(json.dumps(stored)) == ruleset(rule())


def test_why_a_hash_is_set_aside_can_be_asked() -> None:
    rules = replace(ruleset(rule(id="r")), set_aside=(SetAside("r", "f" * 16, "flat-hash"),))
    assert rules.why_set_aside("r", "f" * 16) == "flat-hash"
    assert rules.why_set_aside("other", "f" * 16) is None
