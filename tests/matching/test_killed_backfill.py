"""A backfill that is killed again and again at random moments ends as if it never was."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import duckdb
import pytest

from phash_dagster.matching.backfill import stale_hours
from phash_dagster.rules import Rule, RuleSet, save_version
from phash_dagster.warehouse import Connection, ImagePost
from phash_dagster.warehouse.image_posts import hour_key
from tests.matching.builders import (
    FREQUENT,
    NOON,
    add_images,
    flip,
    make_rule,
    make_rules,
    match,
)
from tests.matching.dying import (
    MARGIN,
    Calls,
    Death,
    backfill,
    backfill_and_die,
    posts_in,
    warehouse_in,
)
from tests.processes import FORKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIVES = 3
"""How often one backfill is killed."""

HOURS = [
    hour_key(datetime(2026, 11, 20, number, tzinfo=UTC)) for number in range(5)
]  # three runs of up to two hours
CENTRES = [0x07870707A1B2C3D4, 0x123456789ABCDEF0, 0xF0E1D2C3B4A59687, *FREQUENT[:2]]
ALGORITHMS = ("average", "average-integer")

EARLIER = make_rules(
    make_rule("loosened", CENTRES[:1], 2),
    make_rule("removed", CENTRES[1:2], 4),
    make_rule("excepting", CENTRES[2:3], 3),
    make_rule("tightened", CENTRES[3:4], 5),
)
LATER = make_rules(
    make_rule("added", CENTRES[1:3], 4),
    make_rule("loosened", CENTRES[:1], 6),
    make_rule("excepting", CENTRES[2:3], 3, except_hashes=[f"{CENTRES[2] ^ 0b111:016x}"]),
    make_rule("tightened", CENTRES[3:4], 1),
    make_rule("other-algorithm", CENTRES[:2], 3, algorithm="average-integer"),
)

Row = tuple[str, str, str, str, int]
"""blob CID, rule id, rule hash, algorithm, distance"""


class Past:
    """Images matched with earlier rules, others hashed since, and later rules in force."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self._random = folder, Random(seed)
        self.warehouse = warehouse_in(folder)
        self.hashes: dict[tuple[str, str], int] = {}
        cids = [f"image {number}" for number in range(120)]
        with self.warehouse.write() as connection:
            self._hash(connection, cids[:80])
            match(connection, EARLIER, keys=HOURS, margin=MARGIN)
            self._hash(connection, self._random.sample(cids[:80], 15))  # anew
            self._hash(connection, cids[80:])
            save_version(connection, LATER, NOON)
        for number, hour in enumerate(HOURS):
            self._post(hour, cids[number :: len(HOURS)])

    def _hash(self, connection: Connection, cids: list[str]) -> None:
        for algorithm in ALGORITHMS:
            values = {cid: self._value() for cid in cids}
            add_images(connection, values, algorithm=algorithm)
            self.hashes |= {(cid, algorithm): value for cid, value in values.items()}

    def _value(self) -> int:
        flips = self._random.sample(range(64), self._random.randrange(10))
        return flip(self._random.choice(CENTRES), flips)

    def _post(self, hour: str, cids: list[str]) -> None:
        start = datetime.strptime(f"{hour}+0000", "%Y-%m-%d-%H:%M%z")
        rows = [
            ImagePost(
                time_us=int((start + timedelta(seconds=number)).timestamp()) * 1_000_000,
                seq=None,
                host="h",
                did="did:plc:a",
                collection="c",
                rkey=cid,
                uri=f"at://did:plc:a/c/{cid}",
                cid="cid",
                operation="create",
                blob_cid=cid,
            )
            for number, cid in enumerate(cids)
        ]
        posts_in(self.folder).write_batch(rows, start=hour, now=NOON)

    def expected(self, rules: RuleSet, numbers: set[tuple[str, str]]) -> set[Row]:
        """What comparing these image hashes with all rule hashes finds."""
        return {
            (cid, rule.id, rule_hash, algorithm, distance)
            for cid, algorithm in numbers
            for rule in rules.rules
            if rule.algorithm == algorithm
            for rule_hash in (*rule.phashes, *rule.except_hashes)
            if (distance := (self.hashes[cid, algorithm] ^ int(rule_hash, 16)).bit_count())
            <= rules.threshold(rule) + MARGIN
        }

    def check(self, connection: Connection, *, complete: bool = False) -> None:
        """Whatever happened: what is noted as matched is matched, and nothing is wrong."""
        rows: list[Row] = connection.execute(
            "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, algorithm, distance"
        ).fetchall()
        assert len({row[:4] for row in rows}) == len(rows), "a match is stored twice"
        spans = connection.execute("FROM matched_hashes ORDER BY first_number").fetchall()
        ends = [-1, *(last for _, last, _, _ in spans)]
        assert [first for first, _, _, _ in spans] == [end + 1 for end in ends[:-1]]
        known = self._known_by(connection)
        for rules in (EARLIER, LATER):
            images = known.get(rules.version, set())
            assert {row for row in rows if reaches(rules, row) and (row[0], row[3]) in images} == (
                self.expected(rules, images)
            )
        stale = stale_hours(
            HOURS,
            dict(
                connection.execute(
                    "FROM partition_matches SELECT partition_key, version"
                ).fetchall()
            ),
            version=LATER.version,
            settled_before="9",
        )
        if stale != HOURS:
            assert known.keys() == {LATER.version}, "an hour is noted before all is matched"
        assert not (complete and stale)

    def _known_by(self, connection: Connection) -> dict[str | None, set[tuple[str, str]]]:
        """The image hashes by the rules version that they were matched with."""
        known: dict[str | None, set[tuple[str, str]]] = {}
        for cid, algorithm, version in connection.execute(
            "FROM image_hashes LEFT JOIN matched_hashes "
            "ON hash_number BETWEEN first_number AND last_number "
            "SELECT blob_cid, algorithm, version"
        ).fetchall():
            known.setdefault(version, set()).add((cid, algorithm))
        return known


def reaches(rules: RuleSet, row: Row) -> bool:
    """Whether a stored match is one by these rules, within their reach."""
    found: list[Rule] = [rule for rule in rules.rules if rule.id == row[1]]
    return any(
        rule.algorithm == row[3]
        and row[2] in (*rule.phashes, *rule.except_hashes)
        and row[4] <= rules.threshold(rule) + MARGIN
        for rule in found
    )


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often an undisturbed backfill calls the database."""
    folder = tmp_path_factory.mktemp("undisturbed")
    Past(folder, seed=0)
    found = Calls()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(duckdb, "connect", found.connect)
        backfill(folder)
    assert found.count > 100
    return found.count


@pytest.mark.parametrize("seed", range(12))
def test_a_backfill_killed_at_random_moments_ends_as_an_undisturbed_one(
    tmp_path: Path, calls: int, seed: int
) -> None:
    past, random = Past(tmp_path, seed), Random(seed)
    for _ in range(LIVES):
        # Before a call or in its midst: some take microseconds, a commit milliseconds.
        after = random.choice([None, random.uniform(0, 0.0005), random.uniform(0, 0.005)])
        death = Death(random.randrange(calls // (LIVES + 1)), after)
        process = FORKS.Process(target=backfill_and_die, args=(past.folder, death))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        with past.warehouse.read() as connection:
            past.check(connection)
    backfill(past.folder)
    with past.warehouse.write() as connection:
        past.check(connection, complete=True)
        rows = in_force(connection)
        connection.execute("DELETE FROM rule_matches; DELETE FROM matched_hashes")
        match(connection, LATER, keys=HOURS, margin=MARGIN)
        assert in_force(connection) == rows, "rebuilding gives other rows"


def in_force(connection: Connection) -> set[Row]:
    """The matches by the later rules."""
    rows = connection.execute(
        "FROM rule_matches SELECT blob_cid, rule_id, rule_hash, algorithm, distance"
    ).fetchall()
    return {row for row in rows if reaches(LATER, row)}
