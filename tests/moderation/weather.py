"""An Ozone with outages, and with rows that it always breaks on, in time that a test spends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_errors import OzoneUnavailableError
from phash_dagster.moderation.rate_limit import RateLimit
from tests.moderation.scripted_ozone import FakeTime

Kind = Literal["down", "hanging", "read-only"]
"""`down` fails at once; `hanging` answers nothing, and applies at its end what was asked of it;
`read-only` answers questions and takes no event."""

REQUEST_SECONDS = 0.05
PATIENCE_SECONDS = 10.0
"""After which a PDS gives up on an Ozone that does not answer."""
COMMIT_SECONDS = 3.0
"""How long after its end a hanging Ozone still applies what was asked of it."""


@dataclass(frozen=True)
class Outage:
    start: float
    seconds: float
    kind: Kind = "down"

    @property
    def end(self) -> float:
        return self.start + self.seconds


@dataclass
class StormyOzone:
    """Keeps what it was sent. `broken` are CIDs of records that it fails on, always."""

    time: FakeTime
    outages: Sequence[Outage] = ()
    broken: frozenset[str] = frozenset()
    broken_hangs: bool = False
    service: str = "ozone"
    rate_limit: RateLimit | None = None
    applied: Counter[str] = field(default_factory=Counter)
    """How often each `externalId` was applied."""
    requests: list[float] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)
    _under_way: list[tuple[float, Action]] = field(default_factory=list)

    def emit(self, action: Action) -> EmitResult:
        outage = self._pass(action)
        if action.subject_cid in self.broken:
            if self.broken_hangs:
                self.time.now += PATIENCE_SECONDS
                raise OzoneUnavailableError("502 UpstreamFailure")
            raise OzoneUnavailableError("502 InternalServerError", may_have_arrived=False)
        if outage:
            raise OzoneUnavailableError("502 InternalServerError", may_have_arrived=False)
        if action.external_id in self._ids:
            return EmitResult(self._ids[action.external_id], duplicate=True)
        return EmitResult(self._apply(action))

    def find_event(self, action: Action) -> int | None:
        self._pass()
        return self._ids.get(action.external_id)

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        self._pass()
        return []

    def whose_too(self, action: Action) -> str | None:
        self._pass()
        return None

    def _pass(self, action: Action | None = None) -> Outage | None:
        """Spend the time of a request; the outage if it is one that only events fail in."""
        self.requests.append(self.time.now)
        self.time.now += REQUEST_SECONDS
        self._finish()
        outage = next((o for o in self.outages if o.start <= self.time.now < o.end), None)
        if outage is None or outage.kind == "read-only":
            return outage
        if outage.kind == "down":
            raise OzoneUnavailableError("502 UpstreamFailure", may_have_arrived=False)
        if action is not None and action.subject_cid not in self.broken:
            self._under_way.append((outage.end + COMMIT_SECONDS, action))
        self.time.now += PATIENCE_SECONDS
        raise OzoneUnavailableError("502 UpstreamFailure")

    def _finish(self) -> None:
        """Apply what was asked for during an outage that hung: unseen by the check for twins."""
        done = [one for one in self._under_way if one[0] <= self.time.now]
        self._under_way = [one for one in self._under_way if one[0] > self.time.now]
        for _, action in done:
            self._apply(action)

    def _apply(self, action: Action) -> int:
        self.applied[action.external_id] += 1
        return self._ids.setdefault(action.external_id, len(self._ids) + 1)
