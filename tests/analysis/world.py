"""A past in which every question has an answer, and what is true of it, in plain Python."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from phash_dagster.circuit import Circuit
from phash_dagster.images.host_state import save_circuits, save_endpoints
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.ingest import Anomaly, IngestRecords
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.mirror import save_actions
from phash_dagster.moderation.plan import backfill_batch
from phash_dagster.rules import current_version
from phash_dagster.warehouse import ImagePost
from tests.analysis.conftest import Snapped
from tests.ingest import records
from tests.moderation.builders import action_on_account, action_on_post
from tests.preview.past import MEME, NOW, OTHER, delete, entry, near, post, uri

FLAT: Final = (1 << 64) - 1
UNCOVERED: Final = 0x5A3C9E7112F8B604
GROUP: Final = 0x2B7E151628AED2A6
SILENT: Final = 0x9D3F00C1A5B2774E
FAR: Final = 0b11 << 40
"""Bits apart from those that `near` flips."""

MARGIN: Final = 2
"""MATCH_MARGIN."""

DIDS: Final = tuple(f"did:plc:{letter}" for letter in "abcdefghij")
RAID: Final = f"{OTHER:016x}"
EXCEPTION: Final = f"{near(OTHER, 1):016x}"

FIRST_RULES: Final = (entry("meme", MEME, hammingThreshold=2), entry("old", OTHER))
RULES: Final = (
    entry("meme", MEME),
    entry("raid", OTHER, hammingThreshold=2, exceptHashes=[EXCEPTION], mode="shadow"),
    entry("flat", FLAT),
    entry("silent", SILENT),
)
FIRST_LOAD: Final = NOW - timedelta(hours=50)
SECOND_LOAD: Final = NOW - timedelta(hours=20)

HASHES: Final[dict[str, int]] = {
    **{f"meme-{bits}": near(MEME, bits) for bits in range(6)},
    **{f"raid-{bits}": near(OTHER, bits) for bits in range(5)},
    "raid-far": OTHER ^ FAR,
    "flat": FLAT,
    "flat-too": near(FLAT, 1),
    "uncovered": UNCOVERED,
    "uncovered-copy": UNCOVERED,
    **{f"group-{bits}": near(GROUP, bits) for bits in (0, 1, 3)},
    **{f"other-{number}": random.Random(number).getrandbits(64) for number in range(12)},
}
"""The images that are hashed, by CID, and their hashes."""

QUALITY: Final = {"flat": 2, "flat-too": 4, "meme-1": 7, "other-3": 0}
"""Where it is not 60."""

OUTCOMES: Final = {
    "waits": Outcome.waiting,
    "waits-too": Outcome.waiting,
    "given-up": Outcome.gave_up,
    "broken": Outcome.corrupt,
    "gone": Outcome.not_found,
}
"""The images that are not hashed. `untried` is posted, and nothing is known of it."""


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@dataclass(frozen=True)
class Match:
    """An image of a post near a hash of the rules in force, as these tests see it."""

    post: ImagePost
    rule_id: str
    rule_hash: str
    distance: int
    threshold: int
    kind: str = "match"

    @property
    def within(self) -> bool:
        return self.distance <= self.threshold

    @property
    def blob_cid(self) -> str:
        return str(self.post.blob_cid)


class World(Snapped):
    """The past, and what went into it."""

    rows_per_part = 10

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.rows: list[ImagePost] = []
        self.actions: list[Action] = []
        self.reversed: list[int] = []
        """Numbers of the actions that people took back."""
        self.versions: list[str] = []
        """Of the rules, in the order in which they came into force."""

    def seen(self) -> list[ImagePost]:
        """The rows that are images of posts."""
        return [row for row in self.rows if row.blob_cid]

    def matches(self, hours: float = 24 * 30) -> list[Match]:
        """What is near the rules in force, in posts of the last hours."""
        return [
            match
            for row in self.seen()
            if moment(row) >= floor(NOW - timedelta(hours=hours))
            for match in _matches(row)
        ]


def moment(row: ImagePost) -> datetime:
    return datetime.fromtimestamp(row.time_us / 1_000_000, NOW.tzinfo)


def floor(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _matches(row: ImagePost) -> Iterator[Match]:
    value = HASHES.get(str(row.blob_cid))
    if value is None:
        return
    for rule_id, hashes, threshold, kind in (
        ("meme", (MEME,), 3, "match"),
        ("raid", (OTHER,), 2, "match"),
        ("raid", (near(OTHER, 1),), 2, "except"),
        ("flat", (FLAT,), 3, "match"),
        ("silent", (SILENT,), 3, "match"),
    ):
        for known in hashes:
            if (bits := distance(value, known)) <= threshold + MARGIN:
                yield Match(row, rule_id, f"{known:016x}", bits, threshold, kind)


def build(folder: Path) -> World:
    """Make the past and take its snapshot."""
    world = World(folder)
    _post(world)
    _hash(world)
    for rules, at in ((FIRST_RULES, FIRST_LOAD), (RULES, SECOND_LOAD)):
        world.put_in_force(*rules, at=at)
        world.versions.append(version_in_force(world))
    _act(world)
    _ingest(world)
    world.take()
    return world


def _post(world: World) -> None:
    """Posts over three days: each hashed image by one to three accounts, some by many."""
    chance = random.Random(3)
    number = 0

    def add(blob_cid: str, did: str, hours_ago: float) -> None:
        nonlocal number
        number += 1
        row = post(f"p{number}", blob_cid, did=did, hours_ago=hours_ago)
        world.rows.append(row)

    for blob_cid in (*HASHES, *OUTCOMES, "untried"):
        for did in chance.sample(DIDS[:5], chance.randint(1, 3)):
            for _ in range(chance.randint(1, 2)):
                add(blob_cid, did, chance.uniform(0, 70))
    for place, did in enumerate(DIDS[:7]):
        add("uncovered" if place % 2 else "uncovered-copy", did, 2 + place / 10)
    for place, did in enumerate(DIDS[2:7]):
        add(("group-0", "group-1", "group-3")[place % 3], did, 3 + place / 10)
    for did in DIDS[8:]:
        for name in ("meme-0", "meme-2", "raid-0"):
            add(name, did, 5)
    world.rows += [
        row
        for place, (blob_cid, minutes) in enumerate((("meme-0", 3), ("meme-1", 90)))
        for row in (
            post(f"d{place}", blob_cid, did=DIDS[0], hours_ago=10),
            delete(f"d{place}", did=DIDS[0], hours_ago=10 - minutes / 60),
        )
    ]
    # Each event twice, as after a fail-over, in two files.
    world.write(*world.rows)
    world.write(*(row for row in world.rows if not row.rkey or not row.rkey.startswith("d")))


def _hash(world: World) -> None:
    results = [
        ImageResult(
            ImageReference(blob_cid, DIDS[0], None),
            Outcome.hashed,
            source="cdn",
            width=640,
            height=480,
            format="jpeg",
            hashes=(ImageHash("average", value, QUALITY.get(blob_cid, 60), "test"),),
        )
        for blob_cid, value in HASHES.items()
    ]
    failures = [
        ImageResult(ImageReference(blob_cid, did, None), outcome, f"{outcome}: no answer")
        for blob_cid, outcome in OUTCOMES.items()
        for did in (DIDS[:2] if outcome is Outcome.waiting else DIDS[:1])
    ]
    with world.warehouse.write() as connection:
        save_results(connection, results, now=NOW)
        save_results(connection, failures, now=NOW)
        save_endpoints(
            connection,
            [(DIDS[0], "https://pds.example:2583", NOW)],
            lifetime=timedelta(days=1),
            now=NOW,
        )
        until = NOW + timedelta(minutes=5)
        save_circuits(connection, {"pds.example:2583": Circuit(4, until)}, NOW)


def _act(world: World) -> None:
    """Actions in every state, by hand: each question counts them in its own way."""
    chance = random.Random(5)
    found = [match for match in world.matches() if match.within and match.kind == "match"]
    for match in found:
        state = chance.choice(list(State))
        world.actions.append(_in_its_batch(_action(match, state, chance), world.versions))
    for match in chance.sample(found, 5):
        planned = moment(match.post) + timedelta(minutes=2)
        world.actions.append(
            action_on_account(
                match.post.did,
                event=Event.REPORT,
                value=match.rule_id,
                rule_id=match.rule_id,
                planned_at=planned,
                state=State.SENT,
                sent_at=planned + timedelta(seconds=1),
            )
        )
    world.actions.append(
        action_on_post(
            "p1",
            event=Event.NEGATE_LABEL,
            did=DIDS[0],
            planned_at=NOW,
            state=State.SENT,
            sent_at=NOW,
            undoes=1,
        )
    )
    world.actions = [
        _numbered(action, number) for number, action in enumerate(world.actions, start=1)
    ]
    world.reversed = [
        action.action_id
        for action in world.actions
        if action.state is State.SENT and action.event is Event.LABEL and action.distance == 0
    ][:2]
    with world.warehouse.write() as connection:
        save_actions(connection, world.actions)
        for action_id in world.reversed:
            connection.execute(
                "INSERT INTO action_outcomes VALUES "
                "($1, $1 + 1000, 'label_negated', 'did:plc:person', 'people', $2, 'wrong')",
                [action_id, NOW],
            )


def _action(match: Match, state: State, chance: random.Random) -> Action:
    planned = moment(match.post) + timedelta(seconds=chance.randint(1, 60))
    sent = planned + timedelta(seconds=chance.randint(1, 30)) if state is State.SENT else None
    reasons = {
        State.HELD: chance.choice(["over the budget of the rule", "over the budget of the day"]),
        State.FAILED: "Ozone: InvalidLabel",
        State.DEAD: "no answer in 5 runs",
    }
    return action_on_post(
        str(match.post.rkey),
        did=match.post.did,
        value=match.rule_id,
        rule_id=match.rule_id,
        rule_hash=match.rule_hash,
        distance=match.distance,
        blob_cids=(match.blob_cid,),
        lane=chance.choice(["live", "backfill"]),
        mode="shadow" if state is State.SHADOW else "live",
        state=state,
        reason=reasons.get(state),
        planned_at=planned,
        sent_at=sent,
    )


def _in_its_batch(action: Action, versions: Sequence[str]) -> Action:
    """As planned by the rules in force then; what concerns the past is the backfill's of these."""
    version = versions[action.planned_at >= SECOND_LOAD]
    batch = backfill_batch(version) if action.lane == "backfill" else action.batch_id
    return replace(action, rule_version=version, batch_id=batch)


def _numbered(action: Action, number: int) -> Action:
    fields: dict[str, Any] = {name: getattr(action, name) for name in Action.__slots__}
    fields |= {"action_id": number, "external_id": f"action-{number}", "updated_at": NOW}
    return Action(**fields)


LAGS: Final = {30: [1.0, 2.0, 3.0], 2: [4.0, 50.0], 1: [2.5]}
"""Seconds that batches were late, by how many hours ago they ended."""

GAP: Final = records.gap(minutes_ago=90, minutes=10)


def _ingest(world: World) -> None:
    store = IngestRecords.under(world.settings.data_dir)
    for hours, lags in LAGS.items():
        for number, lag in enumerate(lags):
            store.write(
                records.record(
                    f"{hours}-{number}",
                    ended=NOW - timedelta(hours=hours, minutes=-number),
                    lag=lag,
                    gaps=(GAP,) if (hours, number) == (1, 0) else (),
                    anomalies=(Anomaly("embed:strange", 2, uri("x")),),
                )
            )


def version_in_force(world: World) -> str:
    with world.warehouse.read() as connection:
        ruleset = current_version(connection)
    assert ruleset is not None
    return ruleset.version
