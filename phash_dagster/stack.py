"""Starts Dagster on this machine: its home folder, its environment, its processes."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

import yaml

from phash_dagster.backup import RESTORING
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

_PACKAGE = Path(__file__).parent
_STOP_SECONDS = 20.0
"""How long processes are given to end by themselves before they are killed."""

_EVENT_LOG = """
event_log_storage:
  module: phash_dagster.defs.event_log
  class: BatchedSqliteEventLog
  config:
    base_dir: {folder}
"""

CODE_SOCKET = "PHASH_CODE_SOCKET"
"""The variable by which `services.yaml` finds the code server."""

_POSTGRESQL = """
storage:
  postgres:
    postgres_url:
      env: DAGSTER_STORAGE_URL
"""


class StackError(RuntimeError):
    """The processes cannot be started; the text says why and what to do."""


def shipped_file(name: str) -> Path:
    """`dagster.yaml` and its like: inside the package when installed, else beside it."""
    installed = _PACKAGE / name
    return installed if installed.exists() else _PACKAGE.parent / name


def home_of(settings: Settings, environment: Mapping[str, str]) -> Path:
    """The folder that Dagster keeps its state in: `DAGSTER_HOME`, or one under `DATA_DIR`."""
    own = environment.get("DAGSTER_HOME")
    return Path(own).absolute() if own else settings.data_dir / "dagster"


def prepare_home(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Make the folder that Dagster keeps its state in, and the environment that names it.

    `DAGSTER_HOME` is used if it is set, and its own `dagster.yaml` if it has one. Otherwise the
    home is under `DATA_DIR`, with the shipped `dagster.yaml`, renewed at each start. That one also
    names our storage of events, for which it must name the folder, or that in PostgreSQL.
    """
    home = home_of(settings, environment)
    home.mkdir(parents=True, exist_ok=True)
    instance_file, ours = home / "dagster.yaml", _is_ours(settings, home)
    if is_instance_file_ours(settings, home):
        postgresql = bool(settings.dagster_storage_url)
        _replace(instance_file, instance_settings(home if ours else None, postgresql=postgresql))
    return home_environment(settings, environment)


def is_instance_file_ours(settings: Settings, home: Path) -> bool:
    """Whether `dagster.yaml` in Dagster's home is the shipped one, renewed at each start."""
    return _is_ours(settings, home) or not (home / "dagster.yaml").exists()


def _is_ours(settings: Settings, home: Path) -> bool:
    return home == settings.data_dir / "dagster"


def home_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that names the folder that Dagster keeps its state in; changes nothing."""
    home = home_of(settings, environment)
    return {
        **environment,
        **_bytecode_cache(home, environment),
        "DAGSTER_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # A run over a week of hours stores its events in a few transactions instead of hundreds.
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "DAGSTER_STORAGE_URL": settings.dagster_storage_url,
        CODE_SOCKET: str(code_socket(settings)),
        "DATA_DIR": str(settings.data_dir),
        "RULES_DIR": str(settings.rules_dir),
        # Dagster's remarks on its own interfaces, of no use to who runs the pipeline.
        "PYTHONWARNINGS": "ignore:Function `dev_command`,ignore:Parameter `backfill_policy`",
    }


def instance_settings(home: Path | None, *, postgresql: bool) -> str:
    """The text of the shipped `dagster.yaml`, with its storage.

    Args:
        home: The folder of a storage in SQLite that takes events in batches; None: Dagster's own.
        postgresql: Whether the storage is in PostgreSQL instead.
    """
    shipped = shipped_file("dagster.yaml").read_text("utf-8")
    if postgresql:
        return shipped + _POSTGRESQL
    if home is None:
        return shipped
    return shipped + _EVENT_LOG.format(folder=json.dumps(str(home / "history" / "runs")))


def storage_is_named_by_url(instance_file: Path) -> bool:
    """Whether a `dagster.yaml` has its storage where `DAGSTER_STORAGE_URL` says."""
    storage = (yaml.safe_load(instance_file.read_text("utf-8")) or {}).get("storage") or {}
    url = (storage.get("postgres") or {}).get("postgres_url")
    return bool(url == {"env": "DAGSTER_STORAGE_URL"})


def code_socket(settings: Settings) -> Path:
    """Where the code server listens: only who may write to `DATA_DIR` can reach it."""
    return settings.data_dir / "code.sock"


def _replace(path: Path, text: str) -> None:
    """Write a file that other processes may be reading."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _bytecode_cache(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Where compiled modules are kept if the environment, as in many containers, keeps none.

    Each run is a process of its own; compiling some 1,300 modules anew makes it start in 1.9 s
    instead of 1.0 s.
    """
    if not environment.get("PYTHONDONTWRITEBYTECODE"):
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(home / "pycache")}


@contextmanager
def exclusive(settings: Settings) -> Iterator[IO[str]]:
    """Hold `DATA_DIR` for one stack; give the file whose lock says so.

    A process that inherits the file keeps the lock for as long as it lives, so a stack whose
    starter was killed still counts as running.

    Raises:
        StackError: Another stack is running on this `DATA_DIR`, or it holds half a restore.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (settings.data_dir / ".running").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StackError(
                f"another phash-dagster is running on {settings.data_dir} (process "
                f"{file.read().strip() or 'unknown'}). Stop it first: two at once would take each "
                "other's runs for crashed ones."
            ) from None
        if (settings.data_dir / RESTORING).exists():
            raise StackError(
                f"a restore into {settings.data_dir} was interrupted. Empty the folder, and any "
                "PostgreSQL database that it was to fill, and restore again"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file


def recover(environment: Mapping[str, str]) -> list[str]:
    """Create Dagster's storage and fail the runs that a power cut interrupted; return their ids.

    Call it only while holding `exclusive`. Creating the storage first, in one process, also keeps
    two starting processes from doing it at the same time, which SQLite does not survive.
    """
    from phash_dagster.defs.recovery import fail_interrupted_runs

    with dagster_instance(environment) as instance:
        return fail_interrupted_runs(instance)


@contextmanager
def dagster_instance(environment: Mapping[str, str]) -> Iterator["DagsterInstance"]:
    """Dagster's storage, as processes with this environment see it.

    What `dagster.yaml` takes from the environment may come from a file `.env`, which only the
    settings read. So it is put into this process's own environment for as long as the block lasts.
    """
    from dagster import DagsterInstance

    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ.update(before)


def dagster_command(program: str, *arguments: str) -> list[str]:
    """A command line of Dagster on this pipeline's workspace.

    `program` is `dev` (web UI and daemon) or `daemon`.
    """
    workspace = ["-w", str(shipped_file("workspace.yaml"))]
    if program == "dev":
        return [sys.executable, "-m", "dagster", "dev", *workspace, *arguments]
    return [sys.executable, "-m", "dagster._daemon", "run", *workspace, *arguments]


@contextmanager
def running_daemon(
    settings: Settings, environment: Mapping[str, str], *, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Dagster's daemon in the background, in a process group of its own, until the block ends.

    It starts as after a power cut, if it was killed before. It runs in `DAGSTER_HOME`, where no
    `.env` of the user is read by accident.

    Args:
        settings: Of the pipeline; its `DATA_DIR` is held meanwhile.
        environment: All that the daemon and its runs get to see.
        log: File for what they print; what it holds is kept.

    Raises:
        StackError: Another stack is running on this `DATA_DIR`.
    """
    with exclusive(settings) as lock, log.open("ab") as output:
        recover(environment)
        process = subprocess.Popen(  # noqa: S603 - our own command
            dagster_command("daemon"),
            env=environment,
            cwd=environment["DAGSTER_HOME"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )
        try:
            yield process
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes], *, seconds: float = _STOP_SECONDS) -> None:
    """Ask a process to end, and after so many seconds, or when interrupted, kill its group."""
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal) end the block as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_dev(settings: Settings, *, host: str, port: int) -> int:
    """Run the Dagster web UI and daemon until interrupted; return the exit code.

    Raises:
        StackError: The port is in use, or another stack is running on this `DATA_DIR`.
    """
    _require_free_port(host, port)
    with exclusive(settings) as lock, signals_as_interrupts():
        environment = prepare_home(settings, os.environ)
        recover(environment)
        process = subprocess.Popen(  # noqa: S603 - our own command
            dagster_command("dev", "-h", host, "-p", str(port)),
            env=environment,
            pass_fds=[lock.fileno()],
            # Of its own, so that one Ctrl-C is one signal, and nothing of it is left behind.
            start_new_session=True,
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            stop(process)


def _require_free_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StackError(
                f"{host}:{port} cannot be used ({error.strerror}). Stop what listens there, "
                "or name another port: phash-dagster dev --port 3001"
            ) from None
