"""The parts of a production stack as real processes, as a supervisor would run them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from phash_dagster.sandbox.pipeline import LocalPipeline

START_SECONDS = 180.0


class Service:
    """`phash-dagster serve NAME` in a process group of its own."""

    def __init__(self, name: str, pipeline: LocalPipeline, *options: str) -> None:
        self._command = [sys.executable, "-m", "phash_dagster.cli", "serve", name, *options]
        self._pipeline = pipeline
        self.log = pipeline.settings.data_dir.parent / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                env=self._pipeline.environment,
                cwd=self._pipeline.settings.data_dir.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        """What systemd and Docker do: a signal, then the rest of the group is killed."""
        if self.process is None:
            return
        self.process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_until_ready(self, *check: str) -> None:
        """Run the health check of deploy/ until it says yes."""
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(
            check, env=self._pipeline.environment, capture_output=True, check=False
        ).returncode:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.3)


def code_check(environment: Mapping[str, str]) -> tuple[str, ...]:
    socket = environment["PHASH_CODE_SOCKET"]
    return (sys.executable, "-m", "dagster", "api", "grpc-health-check", "--socket", socket)


def code_service(pipeline: LocalPipeline) -> Service:
    """A code server that is up."""
    service = Service("code", pipeline)
    service.start()
    service.wait_until_ready(*code_check(pipeline.environment))
    return service


@contextmanager
def running_services(pipeline: LocalPipeline) -> Iterator[tuple[Service, Service]]:
    """Code server and daemon, without a web server."""
    code, daemon = code_service(pipeline), Service("daemon", pipeline)
    try:
        daemon.start()
        yield code, daemon
    finally:
        daemon.stop()
        code.stop()


def tail(path: Path) -> str:
    return path.read_text(errors="replace")[-3000:] if path.exists() else ""
