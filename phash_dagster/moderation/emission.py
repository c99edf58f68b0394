"""One run of the emitter: in which order, and for how long."""

from collections.abc import Sequence
from typing import Final

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.already import AlreadyThere
from phash_dagster.moderation.delivery import Delivery
from phash_dagster.moderation.emit_options import (
    EmitOptions,
    EmitSummary,
    LookAgain,
    Pacing,
    Progress,
    RunReport,
)
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_sending import EmitterReplacedError, Term
from phash_dagster.moderation.ozone_circuit import OzoneCircuit, PauseKind
from phash_dagster.moderation.ozone_errors import OzoneMisconfiguredError
from phash_dagster.moderation.sender import EventSender, Sender
from phash_dagster.moderation.settling import Settling
from phash_dagster.moderation.witness import Witness

OUT_OF_TIME: Final = "the time for one run is up; the next run goes on"
REPLACED: Final = "another emitter has begun its work"

_PAGE: Final = 50
_MOST_ROWS: Final = 100_000
"""Rows that a run puts in order; more than it can send in its time."""


class Emission:
    """Settles, looks, asks and sends until nothing is left or something says stop."""

    def __init__(
        self,
        ledger: Ledger,
        ozone: EventSender,
        options: EmitOptions,
        pacing: Pacing,
        term: Term,
        *,
        look_again: LookAgain | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self._ledger = ledger
        self._options = options
        self._pacing = pacing
        self._report = RunReport(on_progress)
        self._look_again = look_again
        self._circuit = OzoneCircuit(ledger.sending, ozone.service, pacing.clock)
        sender = Sender(ozone, options, pacing)

        def find(row: Action) -> int | None:
            return sender.ask(lambda: ozone.find_event(row))

        self._delivery = Delivery(
            ledger,
            sender,
            self._circuit,
            Witness(find),
            self._report,
            options=options,
            pacing=pacing,
            term=term,
        )
        self._already = AlreadyThere(
            ledger,
            lambda subjects: sender.ask(lambda: ozone.labels_on(subjects)),
            self._report,
            pacing.clock,
        )
        self._settling = Settling(
            ledger,
            find,
            self._report,
            options,
            pacing,
            settle_seconds=max(options.settle_seconds, term.rival_seconds),
        )
        self._start = self._next_look = pacing.monotonic()

    def run(self) -> EmitSummary:
        """Do it, and say what was done.

        Raises:
            OzoneMisconfiguredError: Nothing can be sent with these settings.
        """
        if pause := self._circuit.pause():
            self._ledger.sending.count_rejection()
            if pause.kind is PauseKind.SETTINGS:
                raise OzoneMisconfiguredError(f"{pause.reason} ({pause.when})")
            self._report.stop(str(pause), pause.until)
            return self._report.summary
        try:
            self._work()
        except OzoneMisconfiguredError as error:
            self._circuit.refused(str(error))
            raise
        except EmitterReplacedError:
            self._report.stop(REPLACED)
        return self._report.summary

    def _work(self) -> None:
        self._settling.first_look()
        self._report.count(suppressed=self._ledger.sending.set_rejected_aside())
        self._send_planned()
        wait = self._settling.seconds_until_due()
        if wait is None or self._is_over(after=wait):
            return
        self._pacing.sleep(max(wait, 0.0))
        if self._settling.second_look():
            self._look(at_once=True)
            self._send_planned()

    def _send_planned(self) -> None:
        """Send the planned rows that this run has not tried, page by page."""
        only_undo = self._options.only_undo
        if self._circuit.is_half_open:
            probe = self._ledger.sending.any_planned(only_undo=only_undo)
            if probe:
                self._ledger.sending.count_probe()
            self._send_page(probe)
        goes_on = True
        while goes_on:
            goes_on = False
            numbers = self._ledger.sending.queue(_MOST_ROWS, only_undo=only_undo)
            for start in range(0, len(numbers), _PAGE):
                if self._is_over():
                    return
                self._send_page(numbers[start : start + _PAGE])
                if self._settling.second_look():
                    self._look(at_once=True)
                    goes_on = True

    def _send_page(self, numbers: Sequence[int]) -> None:
        self._look()
        rows: Sequence[Action] = self._ledger.sending.planned(numbers)
        if not self._circuit.is_half_open:  # then the first request is the probe
            rows = self._already.leave_out(rows)
        while rows and not self._is_over():
            self._look()
            rows = self._delivery.send_some(rows, self._is_over)

    def _is_over(self, after: float = 0.0) -> bool:
        """Whether no further row is taken up, now or so many seconds from now."""
        longest = self._options.max_seconds
        end = self._pacing.monotonic() + after
        if longest is not None and end - self._start >= longest:
            self._report.stop(OUT_OF_TIME)
        return self._report.has_stopped

    def _look(self, *, at_once: bool = False) -> None:
        """Suppress what is no longer wanted, if it is time for that."""
        if self._look_again and (at_once or self._pacing.monotonic() >= self._next_look):
            self._report.count(suppressed=self._look_again())
            self._next_look = self._pacing.monotonic() + self._options.look_again_seconds
