"""Counts what the rules under preview find, in a trial in which they were put in force."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from phash_dagster.moderation.decisions import Decision, PostMatch
from phash_dagster.preview.candidate import Candidate
from phash_dagster.preview.model import (
    AccountCount,
    DistanceCount,
    HashPreview,
    Overlap,
    PopularImage,
    PostExample,
    Reach,
    RulePreview,
)
from phash_dagster.preview.trial import Findings, Trial
from phash_dagster.preview.values import hex_of
from phash_dagster.rules import Rule, RuleSet
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

MOST_ACCOUNTS: Final = 10
MOST_EXAMPLES: Final = 25
MOST_POPULAR: Final = 1_000
"""Rows of the longest lists: accounts and posts by rule, popular images in all."""


def figures(
    trial: Trial,
    candidate: Candidate,
    found: Findings,
    decided_now: Sequence[Decision],
    popular_accounts: int,
) -> tuple[RulePreview, ...]:
    """What each of the rules under preview finds; without the actions that follow.

    Args:
        trial: Where they were tried.
        candidate: The rules.
        found: What they find and decide.
        decided_now: What the rules in force decide about the same posts.
        popular_accounts: Accounts that make an image popular.
    """
    ruleset, places = candidate.loaded.ruleset, candidate.loaded.places
    wanted = [rule for rule in ruleset.rules if rule.id in candidate.rule_ids]
    decided = [one for one in found.decisions if one.rule.id in candidate.rule_ids]
    hashes = [row for rule in wanted for row in _hashes(rule, ruleset)]
    with trial.warehouse.write() as connection:
        trial.posts.attach(connection, trial.hours)
        connection.register("current_matches", _match_table(found.matches))
        connection.register("previewed_hashes", pa.Table.from_pylist(hashes, schema=_HASHES))
        connection.register("decided", _decision_table(decided))
        connection.register("decided_now", _decision_table(decided_now))
        connection.execute(statement("preview/reached"), {"min_quality": trial.min_quality})
        connection.execute(statement("preview/nearest"))
        counts = _Counts.of(connection, popular_accounts)
    files = {rule.id: place.file for rule, place in zip(ruleset.rules, places, strict=True)}
    return tuple(_rule_preview(rule, ruleset, files[rule.id], counts) for rule in wanted)


_TEXT = pa.string()
_HASHES = pa.schema(
    {
        "rule_id": _TEXT,
        "rule_hash": _TEXT,
        "algorithm": _TEXT,
        "hash_order": pa.int32(),
        "threshold": pa.int32(),
        "ignored_dids": pa.list_(_TEXT),
    }
)
_MATCHES = pa.schema(
    {
        "uri": _TEXT,
        "cid": _TEXT,
        "did": _TEXT,
        "blob_cid": _TEXT,
        "rule_id": _TEXT,
        "rule_hash": _TEXT,
        "distance": pa.int32(),
        "quality": pa.int32(),
    }
)
_DECISIONS = pa.schema({"rule_id": _TEXT, "uri": _TEXT, "did": _TEXT, "blob_cid": _TEXT})


def _hashes(rule: Rule, ruleset: RuleSet) -> Iterator[dict[str, Any]]:
    for order, rule_hash in enumerate(rule.phashes):
        yield {
            "rule_id": rule.id,
            "rule_hash": rule_hash,
            "algorithm": rule.algorithm,
            "hash_order": order,
            "threshold": ruleset.threshold(rule),
            "ignored_dids": list(rule.ignore_dids),
        }


def _match_table(matches: Sequence[PostMatch]) -> pa.Table:
    columns = {name: [getattr(match, name) for match in matches] for name in _MATCHES.names}
    return pa.table(columns, schema=_MATCHES)


def _decision_table(decisions: Iterable[Decision]) -> pa.Table:
    rows = [
        {"rule_id": one.rule.id, "uri": one.uri, "did": one.did, "blob_cid": blob_cid}
        for one in decisions
        for blob_cid in one.blob_cids
    ]
    return pa.Table.from_pylist(rows, schema=_DECISIONS)


_Key = tuple[str, str | None]
"""Rule id and rule hash; without a hash the rule as a whole."""


@dataclass(frozen=True)
class _Counts:
    """The answers, by rule or by rule and hash."""

    reach: Mapping[_Key, tuple[Reach, Reach]]
    distances: Mapping[_Key, list[DistanceCount]]
    decided: Mapping[str, tuple[Reach, int]]
    left_alone: Mapping[str, tuple[int, int]]
    accounts: Mapping[str, list[AccountCount]]
    overlaps: Mapping[str, list[Overlap]]
    popular: Mapping[str, list[PopularImage]]
    examples: Mapping[str, list[PostExample]]

    @classmethod
    def of(cls, connection: Connection, popular_accounts: int) -> "_Counts":
        def rows(name: str, **parameters: object) -> list[Any]:
            return connection.execute(statement(f"preview/{name}"), parameters).fetchall()

        popular = rows("popular", accounts=popular_accounts, limit=MOST_POPULAR)
        return cls(
            reach={
                (rule_id, rule_hash): (Reach(*counts[:3]), Reach(*counts[3:]))
                for rule_id, rule_hash, *counts in rows("reach")
            },
            distances=_by(
                ((rule_id, rule_hash), DistanceCount(*counts))
                for rule_id, rule_hash, *counts in rows("distances")
            ),
            decided={
                rule_id: (Reach(*counts), new_posts)
                for rule_id, *counts, new_posts in rows("decided")
            },
            left_alone={rule_id: tuple(counts) for rule_id, *counts in rows("left_alone")},
            accounts=_by(
                (rule_id, AccountCount(*rest))
                for rule_id, *rest in rows("accounts", limit=MOST_ACCOUNTS)
            ),
            overlaps=_by((rule_id, Overlap(*rest)) for rule_id, *rest in rows("overlaps")),
            popular=_by(
                (rule_id, PopularImage(hex_of(words), *rest)) for rule_id, words, *rest in popular
            ),
            examples=_by(
                (rule_id, PostExample(*rest))
                for rule_id, *rest in rows("examples", limit=MOST_EXAMPLES)
            ),
        )


def _by(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    grouped: dict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return grouped


def _rule_preview(rule: Rule, ruleset: RuleSet, file: str, counts: _Counts) -> RulePreview:
    within, beyond = counts.reach.get((rule.id, None), (Reach(), Reach()))
    ignored, plain = counts.left_alone.get(rule.id, (0, 0))
    decided, new_posts = counts.decided.get(rule.id, (Reach(), 0))
    return RulePreview(
        rule_id=rule.id,
        file=file,
        label=rule.label,
        mode=rule.mode,
        backfill=rule.backfill,
        threshold=ruleset.threshold(rule),
        within=within,
        beyond=beyond,
        decided=decided,
        new_posts=new_posts,
        ignored_posts=ignored,
        plain_posts=plain,
        distances=tuple(counts.distances.get((rule.id, None), ())),
        hashes=tuple(_hash_preview(rule, ruleset, text, counts) for text in rule.phashes),
        accounts=tuple(counts.accounts.get(rule.id, ())),
        overlaps=tuple(counts.overlaps.get(rule.id, ())),
        popular=tuple(counts.popular.get(rule.id, ())),
        actions=(),
        examples=tuple(counts.examples.get(rule.id, ())),
    )


def _hash_preview(rule: Rule, ruleset: RuleSet, text: str, counts: _Counts) -> HashPreview:
    within, beyond = counts.reach.get((rule.id, text), (Reach(), Reach()))
    return HashPreview(
        rule_hash=text,
        set_aside=ruleset.why_set_aside(rule.id, text),
        within=within,
        beyond=beyond,
        distances=tuple(counts.distances.get((rule.id, text), ())),
    )
