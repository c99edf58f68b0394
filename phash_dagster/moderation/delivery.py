"""Sends planned rows and writes down what became of each."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit_options import EmitOptions, Pacing, RunReport
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_sending import EmitterReplacedError, Sent, Term
from phash_dagster.moderation.ozone import EmitResult
from phash_dagster.moderation.ozone_circuit import OzoneCircuit, Pause
from phash_dagster.moderation.ozone_errors import (
    OzoneError,
    OzoneRefusedError,
    OzoneUnavailableError,
)
from phash_dagster.moderation.sender import Sender
from phash_dagster.moderation.witness import Witness

MOST_CHARGED: Final = 3
"""Rows of one rule and event that may fail in a run though Ozone answers. The others of that kind
are for the next run, so that they do not take the time of the rest."""

TAKEN_SECONDS: Final = 5.0
"""How long a row may be taken before its request leaves. Then it is given back, and taken anew
only if no other emitter has begun its term."""

_QUICK_SECONDS: Final = 1.0
"""Rows that were sent in less time were too few to be taken at once."""


class Delivery:
    """Takes some rows at a time, sends them one by one, and writes back what became of them."""

    def __init__(
        self,
        ledger: Ledger,
        sender: Sender,
        circuit: OzoneCircuit,
        witness: Witness,
        report: RunReport,
        *,
        options: EmitOptions,
        pacing: Pacing,
        term: Term,
    ) -> None:
        self._ledger = ledger
        self._sender = sender
        self._circuit = circuit
        self._witness = witness
        self._report = report
        self._options = options
        self._pacing = pacing
        self._term = term
        self._at_once = 1
        self._charged: Counter[tuple[str, Event]] = Counter()
        self.tried: set[int] = set()
        """Numbers of the rows that this run has taken up; it takes up none twice."""

    def send_some(self, rows: Sequence[Action], is_over: Callable[[], bool]) -> list[Action]:
        """Send the first of these rows, and return those that are still to be sent.

        Args:
            rows: Planned rows.
            is_over: Asked before each row whether the run is.

        Raises:
            OzoneMisconfiguredError: Nothing can be sent with these settings.
            EmitterReplacedError: Another emitter has begun its term.
        """
        rows = [row for row in rows if self._is_of_this_run(row)]
        first, rest = rows[: self._at_once], rows[self._at_once :]
        untried = deque(self._ledger.sending.take(first, self._term))
        passed_over: list[Action] = []
        sent: list[Sent] = []
        start = self._pacing.monotonic()
        try:
            while untried and self._pacing.monotonic() - start < TAKEN_SECONDS:
                if is_over() or self._must_pause():
                    break
                row = untried.popleft()
                if not self._is_of_this_run(row) or self._ledger.sending.is_rejected(row.action_id):
                    passed_over.append(row)
                    continue
                self.tried.add(row.action_id)
                self._send(row, sent)
                self._report.tell()
        finally:
            # Also when interrupted: only the row that was under way is left to be settled.
            back = [*untried, *passed_over]
            written = self._ledger.sending.write_back(sent, back)
            self._written(written, len(sent) + len(back))
        quick = self._pacing.monotonic() - start < _QUICK_SECONDS
        most = self._options.most_taken
        self._at_once = min(self._at_once * 2, most) if quick else max(self._at_once // 2, 1)
        return [*untried, *rest]

    def _is_of_this_run(self, row: Action) -> bool:
        return (
            row.action_id not in self.tried and self._charged[row.rule_id, row.event] < MOST_CHARGED
        )

    def _send(self, row: Action, sent: list[Sent]) -> None:
        """Send one row."""
        attempts = 1 if self._circuit.is_half_open else self._options.attempts
        try:
            if row.undoes is not None and (whose := self._sender.whose_too(row)):
                self._settle(row, whose)
                return
            result = self._sender.send(row, attempts=attempts)
        except OzoneRefusedError as error:
            self._has_answered()
            self._written(self._ledger.mark_failed(row.action_id, str(error)))
            self._report.count(failed=1)
        except OzoneUnavailableError as error:
            self._had_no_answer(row, error)
        except OzoneError as error:
            self._written(self._ledger.back_to_planned(row.action_id, str(error)))
            raise
        else:
            self._has_result(row, result, sent)

    def _has_result(self, row: Action, result: EmitResult, sent: list[Sent]) -> None:
        self._has_answered()
        if result.by_others:
            self._settle(row, result.note or "already so")
            return
        sent.append(Sent(row.action_id, result.event_id, self._pacing.clock(), result.note))
        if result.duplicate:
            self._report.count(duplicates=1)
        else:
            self._witness.accepted(row)
            self._report.count(sent=1)

    def _settle(self, row: Action, reason: str) -> None:
        """Leave things as they are, since others have a say in them."""
        self._written(self._ledger.mark_settled(row.action_id, reason))
        self._report.count(settled=1)

    def _has_answered(self) -> None:
        self._circuit.answered()
        self._witness.answered()

    def _had_no_answer(self, row: Action, error: OzoneUnavailableError) -> None:
        if error.retry_after is not None and not error.may_have_arrived:
            self._return(row, error, charged=False)
            self._stop_until(self._circuit.wait(error.retry_after, str(error)))
            return
        charged = self._witness.unanswered()
        self._charged[row.rule_id, row.event] += charged
        self._return(row, error, charged=charged)
        if pause := self._circuit.failed(str(error)):
            self._stop_until(pause)

    def _return(self, row: Action, error: OzoneUnavailableError, *, charged: bool) -> None:
        """Leave a row for the next run, or for none."""
        state = State.PLANNED
        if error.may_have_arrived:
            state = State.SENDING  # to be settled
        elif charged and row.failed_runs + 1 >= self._options.runs:
            state = State.DEAD
            self._report.count(dead=1)
        sending = self._ledger.sending
        reason = str(error)
        self._written(sending.mark_unanswered(row.action_id, state, reason, charged=charged))

    def _must_pause(self) -> bool:
        """Whether the server takes so few requests that the rest is for another run."""
        seconds = self._sender.long_pause()
        if seconds is None:
            return False
        self._stop_until(self._circuit.wait(seconds, "the PDS takes few more requests until then"))
        return True

    def _stop_until(self, pause: Pause) -> None:
        self._report.stop(str(pause), pause.until)

    def _written(self, changed: int, expected: int = 1) -> None:
        if changed == expected:
            return
        if not self._ledger.sending.is_current(self._term):
            raise EmitterReplacedError("another emitter settled what this one had taken")
        raise RuntimeError(
            "an action stopped being `sending` while it was sent: another process changes the "
            "ledger at the same time"
        )
