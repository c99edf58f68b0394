"""Leaves out what changes nothing: Ozone is asked before it is sent something."""

from collections.abc import Callable, Sequence

from phash_dagster.clock import Clock
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit_options import RunReport
from phash_dagster.moderation.labels import ASKED, Label, already_so, subject_batches
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone_errors import (
    OzoneError,
    OzoneMisconfiguredError,
    OzoneRefusedError,
)

LabelsOn = Callable[[Sequence[str]], list[Label]]
"""Asks Ozone for the labels on these subjects; raises an `OzoneError`."""


class AlreadyThere:
    """Asks for the labels of rows that were never tried, many at a time.

    What has been tried is left to its `externalId`: a label that is there may be its own. A row
    that asks for what is so becomes `suppressed` and holds its claim, so that it is not planned
    anew. Rows that the question had no answer for are sent unasked.
    """

    def __init__(
        self, ledger: Ledger, labels_on: LabelsOn, report: RunReport, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._labels_on = labels_on
        self._report = report
        self._clock = clock
        self._is_refused = False

    def leave_out(self, rows: Sequence[Action]) -> list[Action]:
        """The rows without those that would change nothing, which are settled.

        Raises:
            OzoneMisconfiguredError: Nothing can be asked or sent with these settings.
        """
        askable = [row for row in rows if row.attempts == 0 and row.event in ASKED]
        labels = self._ask(askable)
        settled = set()
        for row in askable:
            if row.subject not in labels:
                self._report.count(unasked=1)
                continue
            reason = already_so(row, labels[row.subject], self._clock())
            if reason and self._ledger.mark_settled(row.action_id, reason, expected=State.PLANNED):
                self._report.count(settled=1)
                settled.add(row.action_id)
        return [row for row in rows if row.action_id not in settled]

    def _ask(self, rows: Sequence[Action]) -> dict[str, list[Label]]:
        """The labels of each subject that there was an answer for."""
        found: dict[str, list[Label]] = {}
        for subjects in subject_batches(rows):
            if self._is_refused:
                break
            try:
                labels = self._labels_on(subjects)
            except OzoneMisconfiguredError:
                raise
            except OzoneRefusedError:
                self._is_refused = True  # it does not know the question: asking again is no use
                break
            except OzoneError:
                break
            found |= {subject: [] for subject in subjects}
            for label in labels:
                if label.subject in found:
                    found[label.subject].append(label)
        return found
