"""Whatever plans, crashes, losses and returns come in whatever order, an event happens once."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from phash_dagster.moderation.actions import Action, Claim, Event, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary, Pacing
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneRefusedError, OzoneUnavailableError
from phash_dagster.moderation.rate_limit import RateLimit
from phash_dagster.settings import Mode
from tests.moderation.builders import (
    NOW,
    TTL,
    ManualClock,
    action_on_account,
    action_on_post,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FATES = ["applied", "answer lost", "not reached", "refused", "killed before", "killed after"]
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Thousands of transactions, each synced: no test of the disk."""
WINDOWS = (NOW - EPOCH) // TTL
SHORTLY_BEFORE_A_WINDOW_ENDS = EPOCH + (WINDOWS + 1) * TTL - timedelta(hours=18)
ONE_ATTEMPT = EmitOptions(rate_limit_ms=0, attempts=1, settle_seconds=0.0)


class KilledError(BaseException):
    """The emitter ends here and now."""


@dataclass
class UnreliableOzone:
    """Applies events, or not, and answers, or not, as its fates say; then everything goes well."""

    clock: ManualClock
    fates: list[str] = field(default_factory=list)
    applied: dict[Claim, list[datetime]] = field(default_factory=dict)
    service: str = "ozone"
    rate_limit: RateLimit | None = None
    _known: set[tuple[Event, str, str]] = field(default_factory=set)

    def emit(self, action: Action) -> EmitResult:
        fate = self.fates.pop(0) if self.fates else "applied"
        if fate == "killed before":
            raise KilledError
        if fate == "not reached":
            raise OzoneUnavailableError("no answer (ConnectError)")
        duplicate = (action.event, action.external_id, action.subject_did) in self._known
        if fate == "refused" and not duplicate:
            raise OzoneRefusedError("InvalidRequest")
        if not duplicate:
            self._apply(action)
        if fate == "killed after":
            raise KilledError
        if fate == "answer lost":
            raise OzoneUnavailableError("no answer (ReadTimeout)")
        return EmitResult(1, duplicate)

    def find_event(self, action: Action) -> int | None:
        known = (action.event, action.external_id, action.subject_did) in self._known
        return 1 if known else None

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        return []

    def whose_too(self, action: Action) -> str | None:
        return None

    def _apply(self, action: Action) -> None:
        self._known.add((action.event, action.external_id, action.subject_did))
        self.applied.setdefault(action.claim, []).append(self.clock())


MODES = st.sampled_from(["live", "live", "shadow"])


class LedgerMachine(RuleBasedStateMachine):
    """Planners, emitters and time, in any order."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.url = f"sqlite:///{self.folder / 'ledger.sqlite'}"
        self.clock = ManualClock(SHORTLY_BEFORE_A_WINDOW_ENDS)
        self.ozone = UnreliableOzone(self.clock)
        self.ledger = Ledger(self.url, self.clock)
        self.unrecorded: list[list[Action]] = []

    @rule(rkey=st.sampled_from("12"), mode=MODES)
    def plan_and_record(self, rkey: str, mode: Mode) -> None:
        self.ledger.record(self._planned(rkey, mode), claim_ttl=TTL)

    @rule(rkey=st.sampled_from("12"), mode=MODES)
    def plan(self, rkey: str, mode: Mode) -> None:
        """A planner looks up claims, and is held up before it records what is free."""
        self.unrecorded.append(self._planned(rkey, mode))

    @rule()
    def record(self) -> None:
        """A planner that was held up goes on."""
        if self.unrecorded:
            self.ledger.record(self.unrecorded.pop(0), claim_ttl=TTL)

    def _planned(self, rkey: str, mode: Mode) -> list[Action]:
        wanted = list(self._wanted(rkey, mode))
        claimed = self.ledger.claims([row.claim for row in wanted], self.clock() - TTL)
        return [row for row in wanted if not claimed.block(row.claim, row.mode)]

    def _wanted(self, rkey: str, mode: Mode) -> Iterator[Action]:
        now = self.clock()
        yield action_on_post(rkey, mode=mode, planned_at=now)
        yield action_on_account(mode=mode, planned_at=now)

    @rule(fates=st.lists(st.sampled_from(FATES), max_size=4))
    def emit(self, fates: list[str]) -> None:
        self.ozone.fates = list(fates)
        try:
            self._emit()
        except KilledError:
            self.ledger.close()
            self.ledger = Ledger(self.url, self.clock)

    @rule()
    def suppress(self) -> None:
        """Everything that waits turns out to be gone, and may come back."""
        for row in self.ledger.planned(100):
            self.ledger.mark_suppressed(row.action_id, "account deactivated")

    @rule(days=st.sampled_from([0.5, 1, 4, TTL.days]))
    def wait(self, days: float) -> None:
        self.clock.advance(days=days)

    @invariant()
    def an_event_happens_once_in_a_claim_window(self) -> None:
        for claim, times in self.ozone.applied.items():
            for earlier, later in pairwise(times):
                assert later - earlier > TTL, claim

    def teardown(self) -> None:
        """Once all goes well again, nothing is left over and what counts as sent was applied."""
        self.ozone.fates = []
        self.clock.advance(minutes=2)  # it may have been left alone for a minute
        assert self._emit().left_planned == 0
        sent = {row.claim for row in self.ledger.in_state(State.SENT)}
        assert sent <= self.ozone.applied.keys()
        self.ledger.close()
        shutil.rmtree(self.folder)

    def _emit(self) -> EmitSummary:
        return emit_actions(self.ledger, self.ozone, ONE_ATTEMPT, pacing=Pacing(clock=self.clock))


LedgerMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    # Explaining a failure traces every line, which takes minutes here; shrinking it suffices.
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow],
)
TestLedger = pytest.mark.slow(LedgerMachine.TestCase)
