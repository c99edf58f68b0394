"""A Debian of its own, with systemd as its first process, in a container on this machine.

It shares the network with this machine, so that what listens on loopback here is reached there.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

RELEASE: Final = "trixie"
PACKAGES: Final = (
    "ca-certificates",
    "curl",
    "dbus",
    "git",
    "make",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
)
"""Beside a minimal system: what somebody has who wants to install something from a checkout."""

OF_THIS_MACHINE: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/pip.conf")
"""How it reaches the registries of packages."""

VARIABLES: Final = ("SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "PIP_INDEX_URL")
"""The same, where it is said by variables."""

START_SECONDS: Final = 60.0


def make_root(root: Path) -> None:
    """Install Debian into a folder, unless it is there already.

    Raises:
        SystemExit: A program that this needs is missing, or we are not root.
    """
    if os.geteuid():
        raise SystemExit("needs root, to make a system of its own")
    for program, package in (
        ("debootstrap", "debootstrap"),
        ("systemd-nspawn", "systemd-container"),
    ):
        if shutil.which(program) is None:
            raise SystemExit(f"needs {program}: apt-get install {package}")
    if not (root / "etc" / "debian_version").exists():
        wanted = f"--include={','.join(PACKAGES)}"
        command = ["debootstrap", "--variant=minbase", wanted, RELEASE, str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in OF_THIS_MACHINE:
        if Path(name).exists():
            target = root / name.removeprefix("/")
            target.unlink(missing_ok=True)
            shutil.copyfile(name, target)


@dataclass(frozen=True)
class Machine:
    """The running system.

    Attributes:
        root: Its root folder, as seen from here.
        first: The number of its first process, as seen from here.
    """

    root: Path
    first: int

    def run(self, line: str, *, check: bool = True) -> str:
        """Type a line in root's shell there; returns what it prints.

        Raises:
            AssertionError: It failed, and `check`.
        """
        inside = ("nsenter", "--target", str(self.first), "--all", "--wdns=/root")
        done = subprocess.run(
            [*inside, "env", "-i", *self._environment(), "bash", "-ec", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def _environment(self) -> list[str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        network = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
        return ["HOME=/root", f"PATH={path}", "LANG=C.UTF-8", "TERM=dumb", *network]

    def write(self, path: str, text: str) -> None:
        """Make a file hold this text; its owner and mode stay."""
        (self.root / path.removeprefix("/")).write_text(text, encoding="utf-8")

    def is_active(self, unit: str) -> bool:
        """Whether systemd says that it runs."""
        return self.run(f"systemctl is-active {shlex.quote(unit)}", check=False) == "active\n"


@contextmanager
def running(root: Path) -> Iterator[Machine]:
    """Boot it; at the end it is switched off."""
    # Where this machine has control groups of the first kind, systemd would not start on them.
    environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    command = ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet", f"--directory={root}"]
    options = ["--resolv-conf=off", "--console=pipe", "--boot"]
    process = subprocess.Popen(
        [*command, *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        machine = Machine(root, _first_process(process))
        _wait_until_booted(machine)
        yield machine
    finally:
        process.terminate()  # as if its power button were pressed
        try:
            process.wait(180)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_process(process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children():
            if child.name() == "systemd":
                return child.pid
        time.sleep(0.2)
    raise SystemExit("systemd did not start: may containers be made here?")


def _wait_until_booted(machine: Machine) -> None:
    deadline = time.monotonic() + START_SECONDS
    while machine.run("systemctl is-system-running", check=False).strip() not in (
        "running",
        "degraded",
    ):
        if time.monotonic() > deadline:
            raise SystemExit(machine.run("systemctl list-jobs", check=False))
        time.sleep(0.5)
