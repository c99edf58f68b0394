"""Finds out what became of rows that were `sending` when their emitter ended, or had no answer."""

from collections.abc import Callable
from typing import NamedTuple

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.emit_options import EmitOptions, Pacing, RunReport
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone_errors import OzoneRefusedError, OzoneUnavailableError

FOUND = "found at Ozone"
NOT_THERE = "Ozone has no such event"

FindEvent = Callable[[Action], int | None]
"""Asks Ozone for the event of an action; raises an `OzoneError`."""


class _Missing(NamedTuple):
    row: Action
    since: float


class Settling:
    """Asks Ozone for the event of each row that is `sending`.

    Ozone's own check of an `externalId` is not asked: it takes an event for new while it is still
    applying the same one, and of a takedown it says that there is one, not whose. An event that is
    found makes its row `sent`. One that Ozone says it does not have, twice and some time apart, was
    not sent: its row becomes `planned` again, and whether it is still wanted is looked at before
    it is sent. So nothing is sent anew that was deleted, undone or taken out of the rules
    meanwhile, and nothing while Ozone does not answer.

    Where Ozone refuses the question, the `externalId` has to do.
    """

    def __init__(
        self,
        ledger: Ledger,
        find: FindEvent,
        report: RunReport,
        options: EmitOptions,
        pacing: Pacing,
        *,
        settle_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._find = find
        self._report = report
        self._options = options
        self._pacing = pacing
        self._settle_seconds = settle_seconds
        self._missing: list[_Missing] = []

    def first_look(self) -> None:
        """Ask for every row, until a question has no answer."""
        for row in self._ledger.in_state(State.SENDING):
            try:
                if not self._is_found(row):
                    self._missing.append(_Missing(row, self._pacing.monotonic()))
            except OzoneUnavailableError:
                return  # it stays as it is, for another run

    def second_look(self) -> bool:
        """Ask again for those that were missing long enough; whether one is planned again."""
        due = [one for one in self._missing if self._seconds_left(one) <= 0]
        replanned = False
        for one in due:
            self._missing.remove(one)
            try:
                if not self._is_found(one.row):
                    replanned |= self._plan_again(one.row)
            except OzoneUnavailableError:
                continue
        if replanned:
            self._report.count(suppressed=self._ledger.sending.set_rejected_aside())
        return replanned

    def seconds_until_due(self) -> float | None:
        """How long until the last of the rows that are missing can be asked for again."""
        return max((self._seconds_left(one) for one in self._missing), default=None)

    def _seconds_left(self, one: _Missing) -> float:
        return one.since + self._settle_seconds - self._pacing.monotonic()

    def _is_found(self, row: Action) -> bool:
        try:
            event_id = self._find(row)
        except OzoneRefusedError:
            return False
        if event_id is None:
            return False
        self._ledger.mark_sent(row.action_id, event_id, self._pacing.clock(), FOUND)
        self._report.count(duplicates=1)
        return True

    def _plan_again(self, row: Action) -> bool:
        is_dead = row.failed_runs >= self._options.runs
        state = State.DEAD if is_dead else State.PLANNED
        reason = row.reason or NOT_THERE
        self._ledger.sending.mark_unanswered(row.action_id, state, reason, charged=False)
        self._report.count(dead=int(is_dead))
        return not is_dead
