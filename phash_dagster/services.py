"""The three parts of a production stack, each a process of its own that a supervisor looks after.

The code server holds the pipeline: it evaluates sensors and starts runs. The daemon decides when,
the web server shows it. They find each other through Dagster's storage and the code server's
socket. Each function here becomes its Dagster process and does not return.
"""

import os
import signal
import sys
from typing import Final, NoReturn

from phash_dagster.settings import Settings
from phash_dagster.stack import StackError, code_socket, exclusive, prepare_home, recover
from phash_dagster.stack import shipped_file as shipped

_LONGEST_SOCKET_PATH: Final = 107
"""Bytes. Linux: `sun_path` holds 108 with the final NUL."""

_DEFINITIONS: Final = "phash_dagster.definitions"


def serve_code(settings: Settings) -> NoReturn:
    """Become the code server, having cleaned up after the one before.

    Runs are its children and end with it, so whatever was in progress is failed and retried.

    Raises:
        StackError: Another stack is running on this `DATA_DIR`, or its path is too long.
    """
    socket = code_socket(settings)
    if len(os.fsencode(socket)) > _LONGEST_SOCKET_PATH:
        raise StackError(
            f"{socket} is longer than the {_LONGEST_SOCKET_PATH} bytes that the path of a socket "
            "may have: choose a shorter DATA_DIR"
        )
    with exclusive(settings) as lock:
        environment = prepare_home(settings, os.environ)
        recover(environment)
        socket.unlink(missing_ok=True)
        # The lock goes with the process that this one becomes.
        os.set_inheritable(lock.fileno(), True)
        _become(code_server_command(settings), environment)


def serve_daemon(settings: Settings) -> NoReturn:
    """Become the daemon: sensors, schedules, the queue of runs."""
    _become(daemon_command(), prepare_home(settings, os.environ))


def serve_web(settings: Settings, *, host: str, port: int, read_only: bool = False) -> NoReturn:
    """Become the web server; with `read_only` nothing can be started or changed through it."""
    _become(web_command(host, port, read_only=read_only), prepare_home(settings, os.environ))


def code_server_command(settings: Settings) -> list[str]:
    """The command line of the code server."""
    where = ["-m", _DEFINITIONS, "--socket", str(code_socket(settings))]
    # Each run is another process of the same interpreter.
    return _dagster("dagster", "api", "grpc", *where, "--use-python-environment-entry-point")


def daemon_command() -> list[str]:
    """The command line of the daemon."""
    return _dagster("dagster._daemon", "run", *_workspace())


def web_command(host: str, port: int, *, read_only: bool = False) -> list[str]:
    """The command line of the web server."""
    only = ("--read-only",) if read_only else ()
    return _dagster("dagster_webserver", "-h", host, "-p", str(port), *only, *_workspace())


def _workspace() -> list[str]:
    return ["-w", str(shipped("services.yaml"))]


def _dagster(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Go on as this command.

    What a shell starts in the background ignores SIGINT, and Dagster lets SIGTERM do what SIGINT
    does: it could not be stopped. So both mean again what they mean by default.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.execve(command[0], command, environment)  # noqa: S606 - our own command
