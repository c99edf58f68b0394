"""Sends what the ledger holds: settles what a crash left, then the planned rows, oldest first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol

import stamina

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit_options import (
    EmitOptions,
    EmitSummary,
    LookAgain,
    Pacing,
    Progress,
)
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import EmitResult, OzoneClient
from phash_dagster.moderation.ozone_errors import (
    OzoneError,
    OzoneRefusedError,
    OzoneUnavailableError,
)
from phash_dagster.moderation.pds_session import OzoneAccount
from phash_dagster.settings import Settings

_PAGE: Final = 200

LONGEST_EMISSION_SECONDS: Final = 60.0
"""How long `emit_planned` works, so that planning, which shares its pool, gets its turn."""

OUT_OF_TIME: Final = "the time for one run is up; the next run goes on"

NOT_READ: Final = "who is exempt is not known yet: {} was never read; see the check exempt_lists"


class EventSender(Protocol):
    """What emitting needs of `OzoneClient`."""

    def emit(self, action: Action) -> EmitResult:
        """Send one event, or raise an `OzoneError`."""


def emit_actions(
    ledger: Ledger,
    ozone: EventSender,
    options: EmitOptions | None = None,
    *,
    pacing: Pacing | None = None,
    on_progress: Progress | None = None,
    look_again: LookAgain | None = None,
) -> EmitSummary:
    """Send every planned row, one after the other, each at most once.

    First come the rows that a killed emitter left `sending`. Nobody knows whether Ozone has them,
    so they are sent again under the same `externalId`: Ozone answers `DuplicateExternalId` if it
    does, and then they are sent. New rows become `sending` on disk before their request leaves.

    A row that Ozone cannot take now is retried, then left planned for the next run; after several
    in a row the rest is left too. A row that Ozone may still be applying, as after a time-out, is
    not retried in the same run. Only one emitter works at a time, whatever starts it.

    Args:
        ledger: Where the rows are.
        ozone: Where they go.
        options: How insistently to send, and for how long.
        pacing: How to see and spend time.
        on_progress: Told of the state of affairs after each row.
        look_again: Called before the first row and every `look_again_seconds`: what is planned
            may be deleted, or taken out of the rules, while others are being sent.

    Raises:
        OzoneMisconfiguredError: Nothing can be sent, e.g. because the login is refused. The rows
            stay planned.
    """
    with ledger.emitter_lock() as alone:
        if not alone:
            return EmitSummary(left_planned=_waiting(ledger), stopped="another emitter is at work")
        run = _Emission(ledger, ozone, options or EmitOptions(), pacing or Pacing())
        if look_again:
            run.look_again_with(look_again)
        for summary in run.steps():
            if on_progress:
                on_progress(summary)
        return run.summary()


def emit_planned(
    ledger: Ledger,
    settings: Settings,
    clock: Clock = utc_now,
    *,
    look_again: LookAgain | None = None,
    unread_lists: Sequence[str] = (),
) -> EmitSummary:
    """Send what waits as the settings say: nothing in shadow mode, no login if nothing waits.

    Works for `LONGEST_EMISSION_SECONDS` at most, in one session with Ozone. While a list of exempt
    accounts was never read, as `unread_lists` says, nothing is sent: nobody knows who is on it.

    Raises:
        OzoneMisconfiguredError: As for `emit_actions`.
    """
    waiting = _waiting(ledger)
    if settings.effective_mode == "shadow" or not waiting:
        return EmitSummary(left_planned=waiting)
    if unread_lists:
        return EmitSummary(left_planned=waiting, stopped=NOT_READ.format(", ".join(unread_lists)))
    options = EmitOptions(
        rate_limit_ms=settings.rate_limit_ms,
        attempts=settings.retry_attempts,
        max_seconds=LONGEST_EMISSION_SECONDS,
    )
    account = OzoneAccount.from_settings(settings)
    with OzoneClient(account, clock=clock, keep_session_in=settings.session_path) as ozone:
        return emit_actions(
            ledger, ozone, options, pacing=Pacing(clock=clock), look_again=look_again
        )


class _Emission:
    """One run of the emitter."""

    def __init__(
        self, ledger: Ledger, ozone: EventSender, options: EmitOptions, pacing: Pacing
    ) -> None:
        self._ledger = ledger
        self._ozone = ozone
        self._options = options
        self._pacing = pacing
        self._summary = EmitSummary()
        self._unanswered = 0
        self._tried: set[int] = set()
        self._next_start = self._next_look = self._start = pacing.monotonic()
        self._look_again: LookAgain | None = None

    def look_again_with(self, look_again: LookAgain) -> None:
        """Have this called now and then, between rows."""
        self._look_again = look_again

    def steps(self) -> Iterator[EmitSummary]:
        """Take up row after row until none is left, the time is up or Ozone is down."""
        for row in self._rows():
            if self._is_time_up():
                self._summary = replace(self._summary, stopped=OUT_OF_TIME)
                return
            self._look()
            self._tried.add(row.action_id)
            if self._ledger.mark_sending(row.action_id, expected=row.state):
                self._settle(row)
                yield self._summary
            if self._summary.stopped:
                return

    def _rows(self) -> Iterator[Action]:
        """What waits, oldest first, each once; last what Ozone may be applying right now."""
        recent: list[Action] = []
        for state in (State.SENDING, State.PLANNED):
            for row in _pages(self._ledger, state):
                if row.action_id in self._tried:
                    continue  # was `sending`, had no answer, and is planned again
                if self._seconds_to_settle(row) > 0:
                    recent.append(row)
                else:
                    yield row
        for row in recent:
            self._pacing.sleep(self._seconds_to_settle(row))
            yield row

    def _seconds_to_settle(self, row: Action) -> float:
        """How long to leave a row alone, for what was sent of it to settle."""
        if row.attempts == 0 or row.updated_at is None:
            return 0.0
        age = (self._pacing.clock() - row.updated_at).total_seconds()
        # A clock that was set back makes no row wait longer than that.
        longest = self._options.settle_seconds
        return min(max(longest - age, 0.0), longest)

    def _is_time_up(self) -> bool:
        longest = self._options.max_seconds
        return longest is not None and self._pacing.monotonic() - self._start >= longest

    def _look(self) -> None:
        """Suppress what is no longer wanted, if it is time for that."""
        if self._look_again is None or self._pacing.monotonic() < self._next_look:
            return
        suppressed = self._summary.suppressed + self._look_again()
        self._summary = replace(self._summary, suppressed=suppressed)
        self._next_look = self._pacing.monotonic() + self._options.look_again_seconds

    def summary(self) -> EmitSummary:
        """What was done, with what the ledger still holds."""
        return replace(self._summary, left_planned=_waiting(self._ledger))

    def _settle(self, row: Action) -> None:
        """Send one row and write down what became of it."""
        try:
            result = self._send(row)
        except OzoneRefusedError as error:
            self._unanswered = 0
            _written(row, self._ledger.mark_failed(row.action_id, str(error)))
            self._summary = replace(self._summary, failed=self._summary.failed + 1)
        except OzoneUnavailableError as error:
            _written(row, self._ledger.back_to_planned(row.action_id, str(error)))
            self._count_unanswered(error)
        except OzoneError as error:
            _written(row, self._ledger.back_to_planned(row.action_id, str(error)))
            raise
        else:
            self._unanswered = 0
            self._record_sent(row, result)

    def _record_sent(self, row: Action, result: EmitResult) -> None:
        sent_at = self._pacing.clock()
        _written(row, self._ledger.mark_sent(row.action_id, result.event_id, sent_at, result.note))
        if result.duplicate:
            self._summary = replace(self._summary, duplicates=self._summary.duplicates + 1)
        else:
            self._summary = replace(self._summary, sent=self._summary.sent + 1)

    def _count_unanswered(self, error: OzoneUnavailableError) -> None:
        self._unanswered += 1
        if self._must_wait_long(error) or self._unanswered >= self._options.give_up_after:
            self._summary = replace(self._summary, stopped=f"Ozone is unavailable: {error}")

    def _send(self, row: Action) -> EmitResult:
        for attempt in stamina.retry_context(
            on=self._retry_wait,
            attempts=self._options.attempts,
            timeout=None,
            wait_initial=self._options.first_wait_seconds,
            wait_jitter=self._options.first_wait_seconds,
            wait_max=self._options.longest_wait_seconds,
        ):
            with attempt:
                self._pace()
                return self._ozone.emit(row)
        raise AssertionError("stamina gives at least one attempt")

    def _retry_wait(self, error: Exception) -> bool | float:
        """Whether to retry, and after how many seconds if the server says so."""
        if not isinstance(error, OzoneUnavailableError):
            return False
        if error.may_have_arrived or self._must_wait_long(error):
            return False
        return True if error.retry_after is None else error.retry_after

    def _must_wait_long(self, error: OzoneUnavailableError) -> bool:
        asked = error.retry_after
        return asked is not None and asked > self._options.longest_wait_seconds

    def _pace(self) -> None:
        """Wait until the spacing since the last request has passed."""
        wait = self._next_start - self._pacing.monotonic()
        if wait > 0:
            self._pacing.sleep(wait)
        self._next_start = self._pacing.monotonic() + self._options.rate_limit_ms / 1000


def _written(row: Action, changed: bool) -> None:
    if not changed:
        raise RuntimeError(
            f"action {row.action_id} stopped being `sending` while it was sent: another process "
            "changes the ledger at the same time"
        )


def _waiting(ledger: Ledger) -> int:
    """How many rows are still to send or to settle."""
    counts = ledger.counts()
    return counts.get(State.PLANNED, 0) + counts.get(State.SENDING, 0)


def _pages(ledger: Ledger, state: State) -> Iterator[Action]:
    """The rows of a state, each once, read in pages; rows that come back to it are not repeated."""
    last = 0
    while page := ledger.in_state(state, _PAGE, after=last):
        yield from page
        last = page[-1].action_id
