"""Rules change while posts come: every post is decided once, by the lane that it belongs to."""

from collections import defaultdict
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.matching import match_hours
from phash_dagster.matching.backfill import SETTLED_AFTER, hour_ranges, stale_hours
from phash_dagster.matching.hours import Pace
from phash_dagster.moderation.actions import Action, Lane
from phash_dagster.moderation.draft import Planning
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.plan_hours import plan_hours
from phash_dagster.rules import Rule, RuleSet, current_version, save_version
from phash_dagster.settings import settings_from
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key
from tests.matching.builders import add_images, flip
from tests.moderation.bench import CREDENTIALS, a_rule, post
from tests.moderation.builders import NOW, ManualClock

pytestmark = pytest.mark.slow

HASHES = [0x07870707A1B2C3D4, 0x123456789ABCDEF0, 0xF0E1D2C3B4A59687, 0x00FF00FF00FF0F0F]
RULES = [
    a_rule(f"rule-{number}", phashes=[f"{value:016x}"], hammingThreshold=3, backfill=backfill)
    for number, (value, backfill) in enumerate(
        zip(HASHES, ("shadow", "report", "same", "none"), strict=True)
    )
]
PACE = Pace(seconds=1e-9, pause=0.0)
Task = Generator[None, None, None]


class Network:
    """Posts that come, rules that change, and the two lanes, one step of a run at a time."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.posts = ImagePosts(folder / "image_posts")
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}", self.clock)
        self.settings = settings_from(
            {
                **CREDENTIALS,
                "MODERATION_MODE": "live",
                "DATA_DIR": str(folder),
                "BACKFILL_MAX_SHARE": "1",
            }
        )
        self.posted: dict[str, tuple[datetime, int]] = {}
        self.since: dict[str, datetime] = {}
        self.rules: list[Rule] = []
        self.unhashed: dict[str, dict[str, int]] = defaultdict(dict)
        self.waiting: list[str] = []
        self.runs: dict[Lane, Task] = {}
        self.load()

    # What happens

    def publish(self, number: int, bits: int) -> None:
        """A post with an image so near the hash of that rule, whether that is in force or not."""
        self.clock.advance(seconds=1)
        rkey, value = f"p{len(self.posted)}", flip(HASHES[number], range(bits))
        row = post(rkey, at=self.clock(), blob_cid=rkey)
        hour = hour_key(self.clock())
        self.posts.write_batch([row], start=rkey, now=self.clock())
        self.posted[row.uri] = (self.clock(), number)
        self.unhashed[hour][rkey] = value
        if hour not in self.waiting:
            self.waiting.append(hour)

    def load(self) -> None:
        self.clock.advance(seconds=1)
        with self.warehouse.write() as connection:
            save_version(
                connection, RuleSet.of(tuple(self.rules), default_threshold=3), self.clock()
            )

    def add_rule(self) -> None:
        if len(self.since) < len(RULES):
            rule = RULES[len(self.since)]
            self.rules.append(rule)
            self.load()
            self.since[rule.id] = self.clock()

    def remove_rule(self) -> None:
        if self.rules:
            self.rules.pop(0)
            self.load()

    def hours_pass(self) -> None:
        """Only once the live lane is through, as it is within seconds."""
        self.finish("live")
        self.clock.advance(hours=3)

    # What the runs do

    def step(self, lane: Lane) -> bool:
        """Go on with a run of this lane, or start one; returns whether there was anything to do."""
        run = self.runs.get(lane) or self._start(lane)
        if run is None:
            return False
        self.runs[lane] = run
        if next(run, self) is self:
            del self.runs[lane]
        return True

    def finish(self, lane: Lane) -> None:
        while self.step(lane):
            pass

    def _start(self, lane: Lane) -> Task | None:
        if lane == "live":
            return self._live(self.waiting.pop(0)) if self.waiting else None
        hours = self.stale()
        return self._run(hours, "backfill") if hours else None

    def stale(self) -> list[str]:
        with self.warehouse.read() as connection:
            ruleset = current_version(connection)
            known = [
                dict(connection.execute(statement(name)).fetchall())
                for name in ("matching/partition_versions", "moderation/planned_versions")
            ]
        assert ruleset is not None
        settled_before = hour_key(self.clock() - SETTLED_AFTER)
        keys = self.posts.partition_keys()
        stale = {
            key
            for each in known
            for key in stale_hours(
                keys, each, version=ruleset.version, settled_before=settled_before
            )
        }
        ranges = hour_ranges(sorted(stale), longest=2)
        return [key for key in keys if ranges and ranges[-1].first <= key <= ranges[-1].last]

    def _live(self, hour: str) -> Task:
        hashes = self.unhashed.pop(hour, {})
        if hashes:
            with self.warehouse.write() as connection:
                add_images(connection, hashes)
        yield
        yield from self._run([hour], "live")

    def _run(self, hours: list[str], lane: Lane) -> Task:
        for _ in match_hours(
            hours,
            warehouse=self.warehouse,
            posts=self.posts,
            margin=2,
            matched_at=self.clock(),
            whole_past=lane == "backfill",
            pace=PACE,
        ):
            yield
        plan_hours(
            Planning(hours, lane, "run", self.clock(), is_rematch=lane == "backfill"),
            settings=self.settings,
            ledger=self.ledger,
            warehouse=self.warehouse,
            posts=self.posts,
        )

    # What must be true

    def check(self) -> None:
        rows = self.ledger.changed_since(NOW - timedelta(days=1))
        found: dict[tuple[str, str], list[Action]] = defaultdict(list)
        for row in rows:
            found[row.source_uri, row.rule_id].append(row)
        for (uri, rule_id), actions in found.items():
            assert [action.lane for action in actions] == [self.lane(uri, rule_id)]
        for uri, (_, number) in self.posted.items():
            rule = RULES[number]
            if rule in self.rules:
                silent = rule.backfill == "none" and self.lane(uri, rule.id) == "backfill"
                assert ((uri, rule.id) in found) != silent, (uri, rule.id)
        with self.warehouse.read() as connection:
            matches = connection.execute(
                "FROM rule_matches SEMI JOIN (FROM rule_hashes SEMI JOIN version_in_force "
                "USING (version)) USING (rule_id) SELECT blob_cid, rule_id ORDER BY ALL"
            ).fetchall()
        assert matches == sorted(
            (uri.rpartition("/")[2], RULES[number].id)
            for uri, (_, number) in self.posted.items()
            if RULES[number] in self.rules
        )

    def lane(self, uri: str, rule_id: str) -> Lane:
        return "live" if self.posted[uri][0] >= self.since[rule_id] else "backfill"


STEPS: list[st.SearchStrategy[Callable[[Network], object]]] = [
    st.builds(
        lambda number, bits: lambda network: network.publish(number, bits),
        st.integers(0, len(RULES) - 1),
        st.integers(0, 3),
    ),
    st.just(lambda network: network.step("live")),
    st.just(lambda network: network.step("backfill")),
    st.sampled_from([Network.add_rule, Network.add_rule, Network.remove_rule, Network.hours_pass]),
]


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.one_of(STEPS), max_size=30))
def test_whatever_comes_when_every_post_is_decided_once_by_its_lane(
    steps: list[Callable[[Network], object]],
) -> None:
    with TemporaryDirectory() as folder:
        network = Network(Path(folder))
        for step in steps:
            step(network)
        # Runs that are at work end, and then there is nothing left to do.
        for lane in ("live", "backfill", "live", "backfill"):
            network.finish(lane)
        network.check()
