"""A made-up week of a small labeler, as it could have been: for pictures, and for eyes."""

import math
import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.ingest import Anomaly, IngestRecords
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.mirror import save_actions
from phash_dagster.reports.costs import DiskUse, JobRuns, Machine, RunCosts
from phash_dagster.warehouse import ImagePost
from tests.analysis.conftest import Snapped
from tests.ingest import records
from tests.moderation.builders import action_on_account, action_on_post
from tests.preview.past import NOW, entry, near, post

HOURS: Final = 24 * 7
IMAGES_PER_HOUR: Final = 60
SINCE: Final = NOW - timedelta(hours=HOURS)

RULES: Final = {
    "crypto-giveaway": (0.9, 3),
    "raid-slogan": (0.5, 3),
    "fake-ticket-shop": (0.35, 2),
    "known-gore": (0.12, 3),
    "counterfeit-merch": (0.08, 4),
}
"""By rule: matching posts an hour, about, and the threshold."""

MACHINE: Final = Machine(
    disk=(
        DiskUse("image_posts", 1_730_000_000, 612),
        DiskUse("warehouse.duckdb", 912_000_000, 1),
        DiskUse("analytics", 641_000_000, 143),
        DiskUse("dagster", 388_000_000, 2_911),
        DiskUse("ingest_batches", 46_000_000, 201),
        DiskUse("ledger.sqlite", 4_300_000, 1),
        DiskUse("reports", 2_900_000, 24),
    ),
    dagster_storage_bytes=388_000_000,
    runs=RunCosts(
        jobs=(
            JobRuns("moderate_hour", 9_412, 3, 14_730.0),
            JobRuns("take_snapshot", 672, 0, 1_512.0),
            JobRuns("read_action_outcomes", 672, 1, 421.0),
            JobRuns("compact_hours", 28, 0, 390.0),
            JobRuns("maintain", 7, 0, 96.0),
            JobRuns("rematch_hours", 3, 0, 41.0),
        ),
        oldest=NOW - timedelta(days=3),
    ),
)
"""What a machine might tell about such a week."""


class Week(Snapped):
    """The week, and its snapshot."""

    rows_per_part = 100_000


def build(folder: Path) -> Week:
    """Make the week."""
    week = Week(folder)
    chance = random.Random(11)
    hashes = {rule: chance.getrandbits(64) for rule in RULES}
    week.put_in_force(*_rules(hashes, but="raid-slogan"), at=SINCE - timedelta(days=9))
    posts, values = _posts(chance, hashes)
    week.write(*posts)
    _hash(week, values, posts, chance)
    week.put_in_force(*_rules(hashes), at=NOW - timedelta(days=4, hours=3))
    week.plan()
    with week.warehouse.write() as connection:
        connection.execute("DELETE FROM moderation_actions")
    _act(week, posts, hashes, chance)
    _ingest(week, chance)
    week.take()
    return week


def _rules(hashes: dict[str, int], but: str = "") -> list[dict[str, Any]]:
    return [
        entry(rule, hashes[rule], hammingThreshold=threshold, reportPost=rule == "known-gore")
        for rule, (_, threshold) in RULES.items()
        if rule != but
    ]


def _did(number: int) -> str:
    return "did:plc:" + "".join(
        random.Random(number).choices("abcdefghijklmnopqrstuvwxyz234567", k=24)
    )


def _posts(chance: random.Random, hashes: dict[str, int]) -> tuple[list[ImagePost], dict[str, int]]:
    posts: list[ImagePost] = []
    values: dict[str, int] = {}

    def add(value: int, did: str, hours_ago: float) -> None:
        blob_cid = f"bafkrei{len(posts):08}{value:016x}"
        values[blob_cid] = value
        row = post(f"3k{len(posts):06}", blob_cid, did=did, hours_ago=hours_ago)
        posts.append(row._replace(size_bytes=chance.randint(40_000, 900_000)))

    clusters = {chance.getrandbits(64): (size, chance.uniform(4, 60)) for size in (23, 14, 9, 6)}
    for hour in range(HOURS):
        of_day = 1 + 0.45 * math.sin((hour - 8) / 24 * 2 * math.pi)
        for _ in range(round(IMAGES_PER_HOUR * of_day * chance.uniform(0.9, 1.1))):
            add(chance.getrandbits(64), _did(chance.randrange(4_000)), hour + chance.random())
        for rule, (rate, threshold) in RULES.items():
            wave = 5 if rule == "raid-slogan" and 90 < hour < 110 else 1
            while chance.random() < rate * wave / (1 + rate * wave):
                bits = chance.choice((0, 0, 0, 1, 1, 2, threshold))
                did = _did(10_000 + min(chance.randrange(60), chance.randrange(60)))
                add(near(hashes[rule], min(bits, threshold)), did, hour + chance.random())
    for value, (size, begin) in clusters.items():
        for number in range(size):
            add(near(value, number % 3), _did(20_000 + number), begin + number / 7)
    return posts, values


def _hash(
    week: Week, values: dict[str, int], posts: list[ImagePost], chance: random.Random
) -> None:
    results = []
    unlucky = (Outcome.not_found, Outcome.not_found, Outcome.unsupported, Outcome.corrupt)
    for row in posts:
        blob_cid = str(row.blob_cid)
        reference = ImageReference(blob_cid, row.did, None)
        age = NOW.timestamp() - row.time_us / 1e6
        if age < 1800 and chance.random() < 0.5:
            results.append(ImageResult(reference, Outcome.waiting, "timeout"))
        elif chance.random() < 0.012:
            results.append(ImageResult(reference, chance.choice(unlucky), "no image"))
        elif age > 300:
            results.append(
                ImageResult(
                    reference,
                    Outcome.hashed,
                    source="pds" if chance.random() < 0.04 else "cdn",
                    width=1000,
                    height=750,
                    format="JPEG",
                    hashes=(ImageHash("average", values[blob_cid], 60, "average-1"),),
                )
            )
    with week.warehouse.write() as connection:
        save_results(connection, results, now=NOW)


def _act(week: Week, posts: list[ImagePost], hashes: dict[str, int], chance: random.Random) -> None:
    rules_version = "9bc90fd8b5d9" + 52 * "0"
    actions: list[Action] = []
    with week.warehouse.read() as connection:
        matched = connection.execute(
            "FROM rule_matches SELECT blob_cid, rule_id, distance ORDER BY blob_cid"
        ).fetchall()
    by_cid = {str(row.blob_cid): row for row in posts}
    for blob_cid, rule, distance in matched:
        row = by_cid[blob_cid]
        seen = datetime.fromtimestamp(row.time_us / 1e6, NOW.tzinfo)
        past = rule == "raid-slogan" and seen < NOW - timedelta(days=4, hours=3)
        state = _state(rule, past=past, chance=chance)
        planned = max(seen, NOW - timedelta(days=4, hours=2)) if past else seen
        planned += timedelta(seconds=chance.uniform(4, 12))
        fields: dict[str, Any] = {
            "did": row.did,
            "value": rule.split("-")[0],
            "rule_id": rule,
            "rule_hash": f"{hashes[rule]:016x}",
            "rule_version": rules_version,
            "distance": distance,
            "lane": "backfill" if past else "live",
            "batch_id": "backfill-9bc90fd8b5d9" if past else "2026-11-23-19:00",
            "mode": "shadow" if state is State.SHADOW else "live",
            "state": state,
            "reason": _reason(state),
            "planned_at": planned,
            "sent_at": planned + timedelta(seconds=chance.uniform(0.5, 4))
            if state is State.SENT
            else None,
        }
        actions.append(action_on_post(str(row.rkey), blob_cids=(blob_cid,), **fields))
        if rule == "known-gore":
            actions.append(action_on_account(event=Event.REPORT, **fields))
    numbered = [
        replace(action, action_id=number, external_id=f"e{number}", updated_at=NOW)
        for number, action in enumerate(actions, start=1)
    ]
    wrong = [
        action
        for action in numbered
        if action.state is State.SENT and action.event is Event.LABEL and action.distance >= 3
    ]
    with week.warehouse.write() as connection:
        save_actions(connection, numbered)
        for action in wrong[::3]:
            connection.execute(
                "INSERT INTO action_outcomes VALUES "
                "($1, $1 + 1000, 'label_negated', 'did:plc:person', 'people', $2, 'wrong')",
                [action.action_id, NOW - timedelta(hours=5)],
            )


def _state(rule: str, *, past: bool, chance: random.Random) -> State:
    if past or rule == "counterfeit-merch":
        return State.SHADOW
    if rule == "fake-ticket-shop" and chance.random() < 0.3:
        return State.HELD
    return chance.choices(
        [State.SENT, State.SUPPRESSED, State.FAILED, State.DEAD], [92, 5, 2, 0.5]
    )[0]


def _reason(state: State) -> str | None:
    return {
        State.HELD: "over the budget of the rule",
        State.FAILED: "Ozone: InvalidLabel",
        State.DEAD: "no answer in 5 runs",
        State.SUPPRESSED: "the post is deleted",
    }.get(state)


def _ingest(week: Week, chance: random.Random) -> None:
    store = IngestRecords.under(week.settings.data_dir)
    for number in range(HOURS * 2):
        slow = 40 if 60 < number < 66 else 1
        store.write(
            records.record(
                f"batch-{number}",
                ended=NOW - timedelta(minutes=30 * number + 2),
                lag=slow * chance.lognormvariate(0.6, 0.35),
                events=chance.randint(2_000, 3_000),
                gaps=(records.gap(minutes_ago=32 * 60, minutes=7, host="jetstream2.example"),)
                if number == 63
                else (),
                anomalies=(Anomaly("embed:app.example.poll", 3, f"at://{_did(3)}/x/3kodd"),)
                if number % 40 == 0
                else (),
            )
        )
