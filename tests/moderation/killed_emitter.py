"""Sends what a ledger holds, and kills itself at the n-th step.

A step is what a power cut could come before: a transaction, a request, an answer, a session that is
kept. Runs in processes that are forked from one that has imported everything, so that a test can
try hundreds of them.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import atproto  # noqa: F401 - imported here, once for all runs
import httpx
from pydantic import SecretStr
from sqlalchemy.engine.default import DefaultDialect

from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.moderation.pds_session import OzoneAccount
from tests.processes import FORKS
from tests.steps import Steps

NEVER: Final = 1_000_000
SETTLE_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Job:
    """What a process is to send, and from where."""

    ledger_url: str
    session_file: Path
    pds: str
    handle: str
    password: str
    labeler_did: str


def emit_until_killed(job: Job, kill_at: int) -> bool:
    """Send in a process of its own; whether it came to its end.

    Raises:
        RuntimeError: It ended in another way.
    """
    process = started(job, kill_at)
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the emitter ended with {process.exitcode}")
    return process.exitcode == 0


def started(job: Job, kill_at: int) -> BaseProcess:
    """Begin to send in a process of its own."""
    process = FORKS.Process(target=_emit, args=(job, kill_at))
    process.start()
    return process


def _emit(job: Job, kill_at: int) -> None:
    _watch(Steps(kill_at))
    account = OzoneAccount(job.pds, job.handle, SecretStr(job.password), job.labeler_did)
    options = EmitOptions(rate_limit_ms=0, settle_seconds=SETTLE_SECONDS)
    with (
        Ledger(job.ledger_url) as ledger,
        OzoneClient(account, keep_session_in=job.session_file) as ozone,
    ):
        emit_actions(ledger, ozone, options)


def _watch(steps: Steps) -> None:
    """Make a step of what changes the disk, and of each request and each answer."""
    DefaultDialect.do_commit = _around(steps, DefaultDialect.do_commit)  # type: ignore[method-assign]
    httpx.HTTPTransport.handle_request = _around(  # type: ignore[method-assign]
        steps, httpx.HTTPTransport.handle_request
    )
    os.fsync = steps.before(os.fsync)
    Path.replace = steps.before(Path.replace)  # type: ignore[method-assign]


def _around(steps: Steps, function: Callable[..., Any]) -> Callable[..., Any]:
    def stepping(*arguments: Any, **options: Any) -> Any:
        steps.pass_one()
        result = function(*arguments, **options)
        steps.pass_one()
        return result

    return stepping
