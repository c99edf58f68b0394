"""An Ozone that answers as a test wrote down, and time that a test spends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit_options import EmitOptions, Pacing
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneError, OzoneUnavailableError
from phash_dagster.moderation.rate_limit import RateLimit
from tests.moderation.builders import NOW, action_on_post

AT_ONCE = EmitOptions(rate_limit_ms=0, first_wait_seconds=0.0, settle_seconds=0.0)
NOT_TAKEN = OzoneUnavailableError("502 UpstreamFailure", may_have_arrived=False)
NO_ANSWER = OzoneUnavailableError("no answer (ReadTimeout)")

Reply = EmitResult | Exception


@dataclass
class ScriptedOzone:
    """Answers the n-th event with the n-th reply, then accepts; questions by what it has."""

    replies: list[Reply] = field(default_factory=list)
    asked: list[Action] = field(default_factory=list)
    on_request: Callable[[Action], None] = lambda _: None
    events: dict[str, int] = field(default_factory=dict)
    """Ozone's ids by `externalId`."""
    labels: list[Label] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    """Who else put what stands on a subject."""
    question_replies: list[OzoneError | None] = field(default_factory=list)
    """What the next questions are answered with; None: as they should be."""
    questions: list[str] = field(default_factory=list)
    rate_limit: RateLimit | None = None
    service: str = "ozone"

    def emit(self, action: Action) -> EmitResult:
        self.asked.append(action)
        self.on_request(action)
        reply = self.replies.pop(0) if self.replies else EmitResult(len(self.asked))
        if isinstance(reply, Exception):
            raise reply
        if reply.event_id is not None:
            self.events[action.external_id] = reply.event_id
        return reply

    def find_event(self, action: Action) -> int | None:
        self._question(f"event {action.subject_cid}")
        return self.events.get(action.external_id)

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        self._question(f"labels of {len(subjects)}")
        return [label for label in self.labels if label.subject in subjects]

    def whose_too(self, action: Action) -> str | None:
        self._question(f"whose {action.subject_cid}")
        return self.others.get(action.subject)

    def _question(self, name: str) -> None:
        self.questions.append(name)
        reply = self.question_replies.pop(0) if self.question_replies else None
        if reply is not None:
            raise reply


@dataclass
class FakeTime:
    """Time that passes by sleeping only, for both clocks; and by being set."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    set_forward: timedelta = timedelta()
    """How much the system's clock, and no other, was moved."""

    @property
    def pacing(self) -> Pacing:
        return Pacing(clock=self.clock, sleep=self.sleep, monotonic=self.monotonic)

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.now) + self.set_forward

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


def waiting(count: int) -> list[Action]:
    """Planned rows on posts by one author."""
    return [action_on_post(f"{number:04}") for number in range(count)]


def busy(seconds: float) -> OzoneUnavailableError:
    return OzoneUnavailableError("429 RateLimitExceeded", seconds, may_have_arrived=False)


def states(ledger: Ledger) -> list[State]:
    return [row.state for row in ledger.changed_since(NOW - timedelta(days=1))]


def asked_cids(ozone: ScriptedOzone) -> list[str | None]:
    """CIDs of the records whose events were asked for, in that order."""
    return [action.subject_cid for action in ozone.asked]
