"""Sends what the ledger holds: settles what a crash left, then the planned rows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from phash_dagster.clock import Clock, utc_now
from phash_dagster.moderation.actions import State
from phash_dagster.moderation.after_restore import settle_after_restore
from phash_dagster.moderation.delivery import TAKEN_SECONDS
from phash_dagster.moderation.emission import Emission
from phash_dagster.moderation.emit_options import (
    EmitOptions,
    EmitSummary,
    LookAgain,
    Pacing,
    Progress,
)
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.ozone_errors import OzoneUnavailableError
from phash_dagster.moderation.pds_client import CONNECT_SECONDS, READ_SECONDS
from phash_dagster.moderation.pds_session import OzoneAccount
from phash_dagster.moderation.sender import EventSender
from phash_dagster.settings import Settings

LONGEST_EMISSION_SECONDS: Final = 60.0
"""How long `emit_planned` works, so that planning, which shares its pool, gets its turn."""

NOT_READ: Final = "who is exempt is not known yet: {} was never read; see the check exempt_lists"

RIVAL: Final = timedelta(seconds=TAKEN_SECONDS + CONNECT_SECONDS + READ_SECONDS)
"""How long an emitter that lost its right, and has not noticed, may still send what it took."""


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

    First Ozone is asked for the events of the rows that a killed emitter left `sending`
    (`Settling`). Of the others those come first that failed least, then the oldest. Ozone is asked
    whether their subjects have the label already; what has it is settled without an event. Where
    that question has no answer they are sent all the same: a label that is there already stays as
    it is, one that is withheld leaves people unprotected, and what we sent ourselves the ledger
    and the `externalId` keep from being sent twice. New rows become `sending` on disk before
    their request leaves.

    A row that Ozone cannot take now is retried, then left for the next run. Whether that counts
    against the row, `Witness` decides; after so many runs it is dead. After failures in a row
    nothing is sent for a while (`OzoneCircuit`). Only one emitter works at a time, whatever starts
    it.

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
    with ledger.sending.term(RIVAL) as term:
        if term is None:
            summary = EmitSummary(stopped="another emitter is at work")
        else:
            summary = Emission(
                ledger,
                ozone,
                options or EmitOptions(),
                pacing or Pacing(),
                term,
                look_again=look_again,
                on_progress=on_progress,
            ).run()
    return replace(summary, left_planned=_waiting(ledger))


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
    accounts was never read, as `unread_lists` says, nobody knows who is on it, and nothing is sent
    but what takes something back.

    Raises:
        OzoneMisconfiguredError: As for `emit_actions`.
    """
    waiting = _waiting(ledger)
    if settings.effective_mode == "shadow" or not waiting:
        return EmitSummary(left_planned=waiting)
    not_read = NOT_READ.format(", ".join(unread_lists)) if unread_lists else None
    if not_read and not ledger.sending.queue(1, only_undo=True):
        return EmitSummary(left_planned=waiting, stopped=not_read)
    options = EmitOptions(
        rate_limit_ms=settings.rate_limit_ms,
        attempts=settings.retry_attempts,
        runs=settings.retry_attempts,
        max_seconds=LONGEST_EMISSION_SECONDS,
        only_undo=not_read is not None,
    )
    account = OzoneAccount.from_settings(settings)
    with OzoneClient(account, clock=clock, keep_session_in=settings.session_path) as ozone:
        try:
            settle_after_restore(
                ledger, ozone, settings.data_dir, now=clock(), ttl_days=settings.claim_ttl_days
            )
        except OzoneUnavailableError as error:
            reason = f"Ozone does not say what it got since the ledger's backup: {error}"
            return EmitSummary(left_planned=waiting, stopped=reason)
        summary = emit_actions(
            ledger, ozone, options, pacing=Pacing(clock=clock), look_again=look_again
        )
    return replace(summary, stopped=summary.stopped or not_read)


def _waiting(ledger: Ledger) -> int:
    """How many rows are still to send or to settle."""
    counts = ledger.counts()
    return counts.get(State.PLANNED, 0) + counts.get(State.SENDING, 0)
