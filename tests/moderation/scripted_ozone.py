"""An Ozone that answers as a test wrote down, and time that a test spends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit_options import EmitOptions
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneUnavailableError
from tests.moderation.builders import NOW

AT_ONCE = EmitOptions(rate_limit_ms=0, first_wait_seconds=0.0, settle_seconds=0.0)
NOT_TAKEN = OzoneUnavailableError("502 UpstreamFailure", may_have_arrived=False)
NO_ANSWER = OzoneUnavailableError("no answer (ReadTimeout)")

Reply = EmitResult | Exception


@dataclass
class ScriptedOzone:
    """Answers the n-th request with the n-th reply, then accepts."""

    replies: list[Reply] = field(default_factory=list)
    asked: list[Action] = field(default_factory=list)
    on_request: Callable[[Action], None] = lambda _: None

    def emit(self, action: Action) -> EmitResult:
        self.asked.append(action)
        self.on_request(action)
        reply = self.replies.pop(0) if self.replies else EmitResult(len(self.asked))
        if isinstance(reply, Exception):
            raise reply
        return reply


@dataclass
class FakeTime:
    """Time that passes by sleeping only."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


def busy(seconds: float) -> OzoneUnavailableError:
    return OzoneUnavailableError("429 RateLimitExceeded", seconds, may_have_arrived=False)


def states(ledger: Ledger) -> list[State]:
    return [row.state for row in ledger.changed_since(NOW - timedelta(days=1))]


def asked_cids(ozone: ScriptedOzone) -> list[str | None]:
    """CIDs of the records whose events were asked for, in that order."""
    return [action.subject_cid for action in ozone.asked]
