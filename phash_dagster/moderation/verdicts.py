"""Does the ledger wait for a person? Each verdict is a pure function of what it holds."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.ledger_limits import Quarantine, Waiting
from phash_dagster.verdict import MAX_ROWS, Verdict


def judge_held(waiting: Sequence[Waiting]) -> Verdict:
    """Whether actions are held. They wait until a person releases or rejects them."""
    held = [group for group in waiting if group.state is State.HELD]
    if not held:
        return Verdict(True, "No action waits for a person.", {"held": 0})
    count = sum(group.actions for group in held)
    return Verdict(
        False,
        f"{count:,} actions are held, the oldest since {_since(held)}. Look at them with "
        "`phash-dagster actions list --state held`, then `actions release` or `actions reject` "
        "them (docs/actions.md).",
        {"held": count},
        ("rule", "lane", "batch", "why", "actions"),
        _rows(held),
        _state(held),
    )


def judge_failed(waiting: Sequence[Waiting]) -> Verdict:
    """Whether actions were refused by Ozone or given up. Nothing tries them again by itself."""
    lost = [group for group in waiting if group.state in (State.FAILED, State.DEAD)]
    if not lost:
        return Verdict(True, "Ozone took every action.", {"failed": 0})
    count = sum(group.actions for group in lost)
    return Verdict(
        False,
        f"{count:,} actions were refused by Ozone or given up. Mend the cause that stands in the "
        "details, then `phash-dagster actions retry` them, or `actions reject` them.",
        {"failed": count},
        ("rule", "lane", "batch", "why", "actions"),
        _rows(lost),
        _state(lost),
    )


def judge_quarantine(quarantined: Sequence[Quarantine]) -> Verdict:
    """Whether rule hashes are quarantined since they were flooded."""
    if not quarantined:
        return Verdict(True, "No rule hash is quarantined.", {"quarantined": 0})
    return Verdict(
        False,
        f"{len(quarantined)} rule hashes found far more posts than ever before; their actions are "
        "held. Look at what they find (`phash-dagster similar HASH`), then lift the quarantine "
        "(`phash-dagster quarantine lift HASH`) or take the hash out of the rule.",
        {"quarantined": len(quarantined)},
        ("rule", "rule hash", "since", "why"),
        [
            (each.rule_id, each.rule_hash, _minute(each.since), each.reason)
            for each in quarantined[:MAX_ROWS]
        ],
        " ".join(sorted(f"{each.rule_id}/{each.rule_hash}" for each in quarantined[:MAX_ROWS])),
    )


def _rows(groups: Sequence[Waiting]) -> list[tuple[object, ...]]:
    return [
        (group.rule_id, group.lane, group.batch_id, group.reason or "", group.actions)
        for group in groups[:MAX_ROWS]
    ]


def _state(groups: Iterable[Waiting]) -> str:
    """New reasons of new rules are news; more of the same are not."""
    kinds = sorted({f"{group.state.value} {group.rule_id} {group.lane}" for group in groups})
    return "; ".join(kinds[:MAX_ROWS])


def _since(groups: Iterable[Waiting]) -> str:
    return _minute(min(group.oldest for group in groups))


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
