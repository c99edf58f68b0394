"""Makes all the checks, those that wait for others at the same time, and gives them in order."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Final

from phash_dagster.doctor import dagster_storage, machine, network, storage
from phash_dagster.doctor.model import Finding, Patient, Surroundings, problem
from phash_dagster.doctor.ozone import look_at_account
from phash_dagster.settings import Settings

Check = Callable[[Patient], Iterator[Finding]]

LONGEST_SECONDS: Final = 60.0
"""How long one check is waited for. All begin at once, so this bounds the whole."""

Progress = Callable[[str], None]


def checks(settings: Settings) -> dict[str, Check]:
    """Every check by what it is about, in the order in which people read them."""
    streams: dict[str, Check] = {
        f"jetstream {number}": network.look_at_jetstream(url, spare=number > 1)
        for number, url in enumerate(
            dict.fromkeys((settings.jetstream_url, *settings.jetstream_fallback_urls)), start=1
        )
    }
    return {
        "settings": machine.look_at_settings,
        "rules": storage.look_at_rules,
        "algorithms": machine.look_at_algorithms,
        "versions": machine.look_at_versions,
        "disk": machine.look_at_disk,
        "storage": storage.look_at_data_dir,
        "warehouse": storage.look_at_warehouse,
        "ledger": storage.look_at_ledger,
        "dagster": dagster_storage.look_at_dagster,
        "pipeline": machine.look_at_pipeline,
        "names": network.look_at_names,
        **streams,
        "cdn": network.look_at_cdn,
        "plc": network.look_at_plc,
        "pds": network.look_at_pds,
        "account": look_at_account,
        "alerts": network.look_at_webhook,
    }


def examine(
    settings: Settings,
    around: Surroundings | None = None,
    *,
    progress: Progress = lambda _: None,
    longest_seconds: float = LONGEST_SECONDS,
) -> Sequence[Finding]:
    """Look at everything. Nothing is changed, and what is not configured is not asked.

    Args:
        settings: Of the pipeline.
        around: The machine.
        progress: Told what is being waited for.
        longest_seconds: How long one check is waited for.
    """
    patient = Patient(settings, around or Surroundings())
    running = {name: _started(check, patient) for name, check in checks(settings).items()}
    findings: list[Finding] = []
    for name, future in running.items():
        progress(name)
        findings += _result(name, future, longest_seconds)
    # Last: it goes by what the others heard.
    return [*findings, *machine.look_at_clock(patient)]


def _started(check: Check, patient: Patient) -> "Future[list[Finding]]":
    """The check in a thread of its own, which nobody has to wait for in the end.

    Not of a pool: Python waits for those, and a resolver can hang for minutes.
    """
    future: Future[list[Finding]] = Future()

    def run() -> None:
        try:
            future.set_result(list(check(patient)))
        except BaseException as error:  # noqa: BLE001 - handed on to who waits
            future.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    return future


def _result(name: str, future: "Future[list[Finding]]", seconds: float) -> list[Finding]:
    done, _ = wait([future], timeout=seconds)
    if not done:
        return [
            problem(
                name,
                f"no result within {seconds:g} s",
                "Is the network slow, or the machine busy? Try again.",
            )
        ]
    if error := future.exception():
        # Whatever it is, the other findings are worth having.
        return [
            problem(
                name,
                f"looking at it failed: {type(error).__name__}: {error}",
                "This is a fault of phash-dagster: please report it.",
            )
        ]
    return future.result()
