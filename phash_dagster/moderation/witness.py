"""Tells a row that Ozone cannot take from an Ozone that takes nothing."""

from collections.abc import Callable

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.ozone_errors import OzoneError

Question = Callable[[Action], object]
"""Asks Ozone for the event of an action; raises an `OzoneError` if there is no answer."""


class Witness:
    """Decides whether a failure counts against the row, or belongs to an outage.

    Some rows get a server error each time: a subject that breaks Ozone, a bug of its. Such a row
    must end, and must not end because Ozone was down when it was its turn. An answer does not tell
    the two apart: an Ozone without its database says the same. So a failure counts against a row
    only if all of this holds:

    1. Ozone accepted another event earlier in the same run;
    2. it answered the request just before the row's first attempt;
    3. it answers a question just after the last one: whether it has the event it accepted before.

    A probe of a breaker that is half-open is the first event of its run, so it counts against
    nobody. What follows:

    - An outage of everything that lasts longer than the attempts on one row (half a second; ten
      where Ozone does not answer at all) counts against no row, however often it comes.
    - An outage of writing alone, as of a database whose disk is full, counts against the rows
      tried as it begins, until the breaker opens, and once each: in the runs after that nothing
      is accepted. It takes as many such outages as `RETRY_ATTEMPTS`, each beginning with the same
      row's turn though that row comes last, to make a good row dead.
    - A row that is alone in its fault fails between rows that are accepted, and is dead after
      `RETRY_ATTEMPTS` runs. One that is alone in the ledger is never dead: nobody can say then
      whose fault it is. It is tried once a minute, until others come and are sent before it.
    """

    def __init__(self, ask: Question) -> None:
        self._ask = ask
        self._accepted: Action | None = None
        self._answers = False

    def accepted(self, action: Action) -> None:
        """Ozone took an event."""
        self._accepted = action
        self._answers = True

    def answered(self) -> None:
        """Ozone said something about an event, be it that it has it or that it refuses it."""
        self._answers = True

    def unanswered(self) -> bool:
        """There was no usable answer for a row, after all attempts: whether this counts."""
        counts = self._answers and self._accepted is not None and self._still_answers()
        self._answers = counts
        return counts

    def _still_answers(self) -> bool:
        if self._accepted is None:
            return False
        try:
            self._ask(self._accepted)
        except OzoneError:
            return False
        return True
