"""What a look finds. Plain values."""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from phash_dagster.clock import Clock, utc_now
from phash_dagster.settings import Settings


class Status(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and a person should know this."""
    PROBLEM = "problem"
    """It does not work, or will not for long."""
    SKIPPED = "skipped"
    """It was not looked at, since it is not configured."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one thing.

    Attributes:
        about: What was looked at.
        status: How it is.
        found: What was found. May quote servers.
        advice: What to do; empty where nothing is to be done.
    """

    about: str
    status: Status
    found: str
    advice: str = ""


def ok(about: str, found: str) -> Finding:
    """All is well with it."""
    return Finding(about, Status.OK, found)


def skipped(about: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(about, Status.SKIPPED, why)


def warning(about: str, found: str, advice: str) -> Finding:
    """A person should know this."""
    return Finding(about, Status.WARNING, found, advice)


def problem(about: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(about, Status.PROBLEM, found, advice)


def free_bytes(folder: Path) -> int:
    """Bytes that are free where this folder is."""
    return shutil.disk_usage(folder).free


def addresses(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, by the system's resolver.

    Raises:
        OSError: The name does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine that is looked at; tests bring another.

    Attributes:
        clock: Its time.
        free_bytes: What is free where a folder is.
        addresses: Its resolver.
        environment: The variables of its processes, for those that are Dagster's own.
        listen_seconds: How long each Jetstream host is listened to.
    """

    clock: Clock = utc_now
    free_bytes: Callable[[Path], int] = free_bytes
    addresses: Callable[[str, int], Sequence[str]] = addresses
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    listen_seconds: float = 3.0


class Skews:
    """By how much servers' clocks differ from ours, as their answers say. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, timedelta] = {}

    def note(self, server: str, skew: timedelta) -> None:
        """Our clock less that of a server."""
        with self._lock:
            self._found[server] = skew

    def found(self) -> dict[str, timedelta]:
        """By name of the server."""
        with self._lock:
            return dict(self._found)


@dataclass(frozen=True, slots=True)
class Patient:
    """What every check is given."""

    settings: Settings
    around: Surroundings
    skews: Skews = field(default_factory=Skews)
