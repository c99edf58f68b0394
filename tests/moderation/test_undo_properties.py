"""Whatever people decide while rules change and the emitter fails or dies, Ozone ends up right."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from phash_dagster.moderation.actions import (
    Action,
    Claim,
    Event,
    GoneSubjects,
    Review,
    State,
)
from phash_dagster.moderation.decisions import PostMatch, decide
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary, Pacing
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneRefusedError, OzoneUnavailableError
from phash_dagster.moderation.plan import PlanContext, plan, wanted_claims
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.subjects import Subjects
from phash_dagster.moderation.undo import (
    OPPOSITES,
    Standing,
    Support,
    UndoPlan,
    UndoRequest,
    standing,
)
from phash_dagster.moderation.undo_evidence import Evidence, supported
from phash_dagster.moderation.unwanted import unwanted_reason
from phash_dagster.rules import Rule, RuleSet
from phash_dagster.settings import settings_from
from tests.moderation.bench import CREDENTIALS, a_rule
from tests.moderation.builders import HASH, NOW, TTL, TTL_DAYS, ManualClock

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Thousands of transactions, each synced: no test of the disk."""
SETTINGS = settings_from({**CREDENTIALS, "MODERATION_MODE": "live"})
ONE_ATTEMPT = EmitOptions(rate_limit_ms=0, attempts=1, settle_seconds=0.0)
FATES = ["applied", "answer lost", "not reached", "refused", "killed before", "killed after"]
SOMEBODY = "somebody"

POSTS = {"1": "did:plc:a", "2": "did:plc:a", "3": "did:plc:b"}
"""Posts by their record keys, and who wrote them."""
MATCHES = {"1": "a", "2": "ab", "3": "ab"}
"""Which rules match the image of each post."""

RULES: dict[str, Rule] = {
    "a": a_rule("troll", id="a", labelAcct=True, takedownPost=True, reportPost=True),
    "b": a_rule("troll", id="b", labelAcct=True),
}


def uri(rkey: str) -> str:
    return f"at://{POSTS[rkey]}/app.bsky.feed.post/{rkey}"


def matches() -> list[PostMatch]:
    return [
        PostMatch(
            uri=uri(rkey),
            cid=f"cid-{rkey}",
            did=did,
            blob_cid=f"blob-{rkey}",
            position=0,
            rule_id=rule_id,
            rule_hash=HASH,
            distance=1,
        )
        for rkey, did in POSTS.items()
        for rule_id in MATCHES[rkey]
    ]


class KilledError(BaseException):
    """The emitter ends here and now."""


@dataclass
class ModelOzone:
    """Applies events, or not, and answers, or not, as its fates say; then everything goes well."""

    clock: ManualClock
    before_event: Callable[[Action], None]
    fates: list[str] = field(default_factory=list)
    applied: dict[Claim, list[datetime]] = field(default_factory=dict)
    put_by: dict[Standing, dict[str, None]] = field(default_factory=dict)
    """Who put what stands since it was last taken back: `externalId` of actions, or SOMEBODY."""
    service: str = "ozone"
    rate_limit: RateLimit | None = None
    known: set[tuple[str, str]] = field(default_factory=set)

    def emit(self, action: Action) -> EmitResult:
        self.before_event(action)
        fate = self.fates.pop(0) if self.fates else "applied"
        if fate == "killed before":
            raise KilledError
        if fate == "not reached":
            raise OzoneUnavailableError("no answer (ConnectError)", may_have_arrived=False)
        duplicate = (action.event.value, action.external_id) in self.known
        if fate == "refused" and not duplicate:
            raise OzoneRefusedError("InvalidRequest")
        if not duplicate:
            self._apply(action)
        if fate == "killed after":
            raise KilledError
        if fate == "answer lost":
            raise OzoneUnavailableError("no answer (ReadTimeout)")
        return EmitResult(1, duplicate)

    def _apply(self, action: Action) -> None:
        self.known.add((action.event.value, action.external_id))
        self.applied.setdefault(action.claim, []).append(self.clock())
        place = standing_of(action)
        if action.event in OPPOSITES:
            self.put_by.setdefault(place, {})[action.external_id] = None
        elif action.undoes is not None:
            self.put_by.pop(place, None)

    def find_event(self, action: Action) -> int | None:
        return 1 if (action.event.value, action.external_id) in self.known else None

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        return [
            Label(place.claim.subject, place.cid, value_of(place), negated=False, expires_at=None)
            for place in self.put_by
            if place.claim.subject in subjects
        ]

    def whose_too(self, action: Action) -> str | None:
        return SOMEBODY if SOMEBODY in self.put_by.get(standing_of(action), {}) else None


def standing_of(action: Action) -> Standing:
    """What an action puts or takes back."""
    event = {back: put for put, back in OPPOSITES.items()}.get(action.event, action.event)
    return standing(replace(action, event=event))


def value_of(place: Standing) -> str:
    return "!takedown" if place.claim.event is Event.TAKEDOWN else place.claim.value


RULE_IDS = st.sampled_from("ab")


class ReviewMachine(RuleBasedStateMachine):
    """A planner, an emitter, moderators, rules that change, and time, in any order."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.url = f"sqlite:///{self.folder / 'ledger.sqlite'}"
        self.clock = ManualClock(NOW)
        self.ledger = Ledger(self.url, self.clock)
        self.ozone = ModelOzone(self.clock, self.check_what_leaves)
        self.in_force = {"a": "live", "b": "live"}
        self.meanwhile: list[Callable[[], object]] = []
        self.undone: set[str] = set()
        """`externalId` of the actions that were taken back or stopped."""
        self.batches = 0

    # The pipeline

    @rule(rkeys=st.sets(st.sampled_from("123"), min_size=1), held=st.booleans())
    def plan(self, rkeys: set[str], held: bool) -> None:
        """Plan for some posts, within budgets or over them."""
        ruleset = self._ruleset()
        wanted = [match for match in matches() if match.uri[-1] in rkeys]
        decisions = decide(wanted, ruleset, self.clock())
        context = self._context()
        since = self.clock() - TTL
        claimed = self.ledger.claims(wanted_claims(decisions, context), since)
        rows = plan(decisions, ruleset, context, claimed, GoneSubjects()).rows
        if held:
            rows = tuple(
                replace(row, state=State.HELD, reason="over budget")
                if row.state is State.PLANNED
                else row
                for row in rows
            )
        self.ledger.record(rows, claim_ttl=TTL)

    @rule(fates=st.lists(st.sampled_from(FATES), max_size=5))
    def emit(self, fates: list[str]) -> None:
        self.ozone.fates = list(fates)
        try:
            self._emit()
        except KilledError:
            self.ledger.close()
            self.ledger = Ledger(self.url, self.clock)
        self.meanwhile.clear()

    @rule(rule_id=RULE_IDS, mode=st.sampled_from(["live", "shadow", "absent"]))
    def change_rule(self, rule_id: str, mode: str) -> None:
        self.in_force[rule_id] = mode

    @rule(days=st.sampled_from([0.5, 4, TTL.days]))
    def wait(self, days: float) -> None:
        self.clock.advance(days=days)

    # People

    @rule(every=st.integers(1, 3))
    def release(self, every: int) -> None:
        self.ledger.reviews.release(self._in(State.HELD)[::every], "ana")

    @rule(every=st.integers(1, 3))
    def reject(self, every: int) -> None:
        rows = self._in(State.HELD, State.PLANNED, State.FAILED, State.DEAD)
        self.ledger.reviews.reject(rows[::every], "ana")

    @rule()
    def retry(self) -> None:
        rows = self._in(State.FAILED, State.DEAD)
        self.ledger.reviews.retry(rows, "ana", claim_ttl=TTL)

    @rule(rule_id=RULE_IDS, allow_again=st.booleans())
    def undo(self, rule_id: str, allow_again: bool) -> None:
        """Undo a rule in the midst of whatever is going on."""
        self._undo(RowFilter(rules=(rule_id,)), allow_again=allow_again)

    @rule(rule_id=RULE_IDS)
    def undo_while_the_next_event_is_sent(self, rule_id: str) -> None:
        self.meanwhile.append(lambda: self._undo(RowFilter(rules=(rule_id,))))

    @rule(number=st.integers(0, 3))
    def undo_a_batch(self, number: int) -> None:
        self._undo(RowFilter(batches=(f"run-{number}",)))

    @rule(number=st.integers(0, 9), by_hand=st.booleans())
    def act_by_hand(self, number: int, by_hand: bool) -> None:
        """Somebody puts a label that stands already, or takes it back."""
        standing_now = list(self.ozone.put_by)
        if not standing_now:
            return
        place = standing_now[number % len(standing_now)]
        if by_hand:
            self.ozone.put_by[place][SOMEBODY] = None
        else:
            self.ozone.put_by.pop(place)

    @rule(rule_id=RULE_IDS)
    def undo_and_look(self, rule_id: str) -> None:
        """Once all is sent: what no other live rule supports is gone, and nothing else is."""
        self._settle()
        before = {place: dict(who) for place, who in self.ozone.put_by.items()}
        rows = {row.external_id: row for row in self._rows()}
        which = RowFilter(rules=(rule_id,))
        support = self._support(which)
        self._undo(which)
        self._settle()
        for place, who in before.items():
            putters = [rows[each] for each in who if each in rows]
            is_meant = bool(putters) and putters[-1].rule_id == rule_id
            stays = not is_meant or place in support or SOMEBODY in who
            assert (place in self.ozone.put_by) == stays, place
        assert self.ozone.put_by.keys() <= before.keys()

    # What must hold

    def check_what_leaves(self, action: Action) -> None:
        """Nothing leaves that is held or rejected at that moment."""
        row = self.ledger.get(action.action_id)
        assert row is not None
        assert row.state is State.SENDING
        assert row.review is not Review.REJECTED
        while self.meanwhile:
            self.meanwhile.pop()()

    @invariant()
    def an_event_happens_once_in_a_claim_window(self) -> None:
        for claim, times in self.ozone.applied.items():
            if claim.event in OPPOSITES.values():
                continue  # one for each action that it takes back
            for earlier, later in pairwise(times):
                assert later - earlier > TTL, claim

    def teardown(self) -> None:
        """Once all goes well again nothing is left, and nothing stands that was undone."""
        self._settle()
        for place, who in self.ozone.put_by.items():
            if SOMEBODY not in who:
                assert list(who)[-1] not in self.undone, place
        self.ledger.close()
        shutil.rmtree(self.folder)

    def _settle(self) -> None:
        self.meanwhile.clear()
        self.ozone.fates = []
        self.clock.advance(minutes=2)  # it may have been left alone for a minute
        assert self._emit().left_planned == 0

    def _undo(self, which: RowFilter, *, allow_again: bool = False) -> UndoPlan:
        rows = [row for row in self._rows() if _is_meant(row, which)]
        request = UndoRequest(
            which=which,
            by="ana",
            batch_id="undo",
            run_id="undo",
            now=self.clock(),
            mode="live",
            allow_again=allow_again,
        )
        with Ledger(self.url, self.clock) as ledger:
            done = ledger.undoing.carry_out(
                [row.action_id for row in rows], self._support(which), request
            )
        self.undone |= {
            row.external_id for row in (*done.taken_back, *done.repeated, *done.undone_before)
        }
        return done

    def _support(self, which: RowFilter) -> dict[Standing, Support]:
        rows = [row for row in self._rows() if _is_meant(row, which) and row.mode == "live"]
        evidence = Evidence(self._ruleset(), tuple(matches()))
        return dict(supported(evidence, which, rows, SETTINGS, self.clock()))

    def _emit(self) -> EmitSummary:
        return emit_actions(
            self.ledger,
            self.ozone,
            ONE_ATTEMPT,
            pacing=Pacing(clock=self.clock, sleep=lambda _: None),
            look_again=self._suppress_unwanted,
        )

    def _suppress_unwanted(self) -> int:
        now, ruleset = self.clock(), self._ruleset()
        reasons = {
            row.action_id: unwanted_reason(row, Subjects(), ruleset, now)
            for row in self.ledger.in_state(State.PLANNED)
        }
        return sum(
            self.ledger.mark_suppressed(action_id, reason)
            for action_id, reason in reasons.items()
            if reason
        )

    def _ruleset(self) -> RuleSet:
        rules = [
            RULES[rule_id].model_copy(update={"mode": mode})
            for rule_id, mode in self.in_force.items()
            if mode != "absent"
        ]
        return RuleSet.of(tuple(rules), default_threshold=3)

    def _context(self) -> PlanContext:
        self.batches += 1
        return PlanContext(
            mode="live",
            lane="live",
            backfill_mode="live",
            now=self.clock(),
            claim_ttl_days=TTL_DAYS,
            batch_id=f"run-{self.batches % 4}",
            run_id="run",
        )

    def _rows(self) -> list[Action]:
        return self.ledger.changed_since(datetime.min.replace(tzinfo=NOW.tzinfo))

    def _in(self, *states: State) -> list[int]:
        return [row.action_id for row in self._rows() if row.state in states]


def _is_meant(row: Action, which: RowFilter) -> bool:
    return (not which.rules or row.rule_id in which.rules) and (
        not which.batches or row.batch_id in which.batches
    )


ReviewMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    # Explaining a failure traces every line, which takes minutes here; shrinking it suffices.
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow],
)
TestReviews = pytest.mark.slow(ReviewMachine.TestCase)
