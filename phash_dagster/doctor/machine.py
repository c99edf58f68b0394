"""The machine: settings, versions, disk, clock, and whether the pipeline runs on it."""

import fcntl
import json
import platform
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

from phash_dagster.doctor.model import Finding, Patient, ok, problem, skipped, warning
from phash_dagster.hashing import get_algorithm
from phash_dagster.images.golden import check_golden
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.verdicts import STILL_READING
from phash_dagster.rules.load import rule_files
from phash_dagster.rules.parse import read_rule_file
from phash_dagster.settings import Settings

_GIGABYTE: Final = 1_000_000_000
LEAST_BYTES: Final = 1 * _GIGABYTE
FEW_BYTES: Final = 5 * _GIGABYTE
"""Free bytes below which there is a problem, or a warning. Bluesky's images take some hundred
megabytes a day as rows and hashes, and Dagster's own storage swings by as much."""

SMALL_SKEW: Final = timedelta(seconds=5)
LARGE_SKEW: Final = timedelta(seconds=60)
"""The header Date has whole seconds, and the answer has been on its way."""

_START: Final = "Start the pipeline in the way that is meant for this machine: docs/production.md."

_SHOWN_PACKAGES: Final = ("dagster", "duckdb", "pillow", "pyarrow", "sqlalchemy")


def look_at_settings(patient: Patient) -> Iterator[Finding]:
    """Whether the settings say what the operator is likely to mean."""
    settings = patient.settings
    yield _mode(settings)
    if settings.allow_private_network and not _is_all_local(settings):
        yield warning(
            "settings",
            "ALLOW_PRIVATE_NETWORK is set: strangers can make the pipeline ask hosts in your "
            "own network",
            "Unset it, except for tests.",
        )


def _mode(settings: Settings) -> Finding:
    missing = ", ".join(settings.missing_credentials)
    if settings.effective_mode == "live":
        return ok("settings", f"live: actions are sent as {settings.automod_handle}")
    if settings.moderation_mode == "live":
        return problem(
            "settings",
            f"MODERATION_MODE is live, and nothing is sent: {missing} is not set",
            f"Set {missing}, or MODERATION_MODE=shadow if nothing shall be sent.",
        )
    if 0 < len(settings.missing_credentials) < 4:
        return warning(
            "settings",
            f"shadow: actions are recorded, nothing is sent; of the credentials {missing} is "
            "not set",
            f"Set {missing} before you go live.",
        )
    return ok("settings", "shadow: actions are recorded, nothing is sent")


def _is_all_local(settings: Settings) -> bool:
    hosts = (settings.cdn_endpoint, settings.plc_endpoint, settings.pds_endpoint)
    return all("://127." in host or "://localhost" in host for host in hosts)


def look_at_algorithms(patient: Patient) -> Iterator[Finding]:
    """Whether every hash algorithm that is wanted can be computed here."""
    wanted = {name: ["HASH_ALGORITHMS"] for name in patient.settings.hash_algorithms}
    for name, file in algorithms_in(patient.settings.rules_dir):
        wanted.setdefault(name, []).append(file)
    problems = [found for name, by in wanted.items() if (found := _why_not_computed(name, by))]
    yield from problems or [ok("algorithms", f"{', '.join(sorted(wanted))} can be computed")]


def _why_not_computed(name: str, wanted_by: Sequence[str]) -> Finding | None:
    try:
        get_algorithm(name)
    except (ValueError, TypeError) as error:
        until = (
            "no image is hashed"
            if "HASH_ALGORITHMS" in wanted_by
            else "the last good rules stay in force"
        )
        return problem(
            "algorithms",
            f"{', '.join(wanted_by)} wants {name}: {error}",
            "Install what is missing and restart, or name another algorithm: docs/images.md. "
            f"Until then {until}.",
        )
    return None


def algorithms_in(rules_dir: Path) -> Iterator[tuple[str, str]]:
    """Each algorithm that a rule file names, and the file, also where the file is not valid.

    A rule is not valid where its algorithm is missing.
    """
    for path in rule_files(rules_dir):
        try:
            rules = json.loads(read_rule_file(path).decode("utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            continue  # the check of the rules says why
        named = [name for rule in _objects(rules) if isinstance(name := rule.get("algorithm"), str)]
        yield from ((name, path.name) for name in dict.fromkeys(named))


def _objects(rules: object) -> list[dict[str, object]]:
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def look_at_versions(_patient: Patient) -> Iterator[Finding]:
    """What is installed, and whether it still gives the hashes that it has to."""
    installed = ", ".join(f"{name} {version(name)}" for name in _SHOWN_PACKAGES)
    yield ok(
        "versions",
        f"phash-dagster {version('phash-dagster')}, Python {platform.python_version()}, "
        f"{installed}",
    )
    report = check_golden()
    changed = ", ".join(report.changed_versions)
    if report.moved:
        yield problem(
            "hashes",
            f"{len(report.moved)} of {report.compared} golden hashes moved; other versions than "
            f"recorded: {changed or 'none, as far as is known'}",
            "Go back to the recorded versions (`uv sync --frozen`): new hashes fit neither old "
            "ones nor the rules. See docs/images.md.",
        )
    else:
        differ = f", with other versions than recorded: {changed}" if changed else ""
        yield ok("hashes", f"all {report.compared} golden hashes are as recorded{differ}")


def look_at_disk(patient: Patient) -> Iterator[Finding]:
    """Whether there is room where the data is."""
    folder = existing_parent(patient.settings.data_dir)
    free = patient.around.free_bytes(folder)
    found = f"{free / _GIGABYTE:.1f} GB free at {patient.settings.data_dir}"
    advice = "Free some space, or move DATA_DIR to a larger disk; see docs/operating.md."
    if free < LEAST_BYTES:
        yield problem("disk", found, advice)
    elif free < FEW_BYTES:
        yield warning("disk", found, advice)
    else:
        yield ok("disk", found)


def existing_parent(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def look_at_pipeline(patient: Patient) -> Iterator[Finding]:
    """Whether the pipeline is running on this data, and doing something."""
    settings, now = patient.settings, patient.around.clock()
    if not settings.data_dir.is_dir():
        yield skipped("pipeline", "it has not run yet: there is no DATA_DIR")
        return
    # By the time of its file, so that nothing is opened.
    files = IngestRecords.under(settings.data_dir).files()
    latest = files[-1].stat().st_mtime if files else None
    age = timedelta(seconds=max(now.timestamp() - latest, 0)) if latest else None
    last = f"the last batch is {_length(age)} old" if age is not None else "no batch yet"
    process = running_process(settings.data_dir)
    if age is not None and age <= STILL_READING:
        yield ok("pipeline", f"running{process and f', process {process}'}; {last}")
    elif process:
        yield warning(
            "pipeline",
            f"running, process {process}, but nothing arrives: {last}",
            "Look at *Automation* in the Dagster UI: is jetstream_sensor on, and do its ticks "
            "succeed?",
        )
    elif age is None:
        yield skipped("pipeline", "it has not run yet")
    else:
        yield warning("pipeline", f"not running here; {last}", _START)


def running_process(data_dir: Path) -> str:
    """The process that holds this folder as `phash-dagster dev` does; empty: none."""
    try:
        with (data_dir / ".running").open() as file:
            try:
                # Shared and for a moment: it only tells whether somebody holds the lock.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "unknown"
    except OSError:
        return ""
    return ""


def look_at_clock(patient: Patient) -> Iterator[Finding]:
    """Whether this machine's time is that of the servers that answered."""
    skews = patient.skews.found()
    if not skews:
        yield skipped("clock", "no server told its time")
        return
    # One server's clock may be wrong; most are not.
    by_size = sorted(skews.items(), key=lambda item: abs(item[1]))
    server, skew = by_size[(len(by_size) - 1) // 2]
    seconds = skew.total_seconds()
    direction = "ahead of" if seconds > 0 else "behind"
    found = f"{abs(seconds):.0f} s {direction} that of {server}"
    advice = (
        "Let the system set its clock by NTP (`timedatectl set-ntp true`): lag, retries and the "
        "claim window go by it."
    )
    if abs(skew) > LARGE_SKEW:
        yield problem("clock", found, advice)
    elif abs(skew) > SMALL_SKEW:
        yield warning("clock", found, advice)
    else:
        yield ok("clock", f"within {abs(seconds):.0f} s of that of {server}")


def _length(time: timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
