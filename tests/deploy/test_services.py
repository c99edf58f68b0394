"""Code server, daemon and web server as services of their own, with Dagster's storage in SQLite."""

import json
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.services import serve_code
from phash_dagster.settings import settings_from
from phash_dagster.stack import StackError, exclusive
from tests.deploy.services import Service, code_check, code_service
from tests.pipeline.conftest import wait_until_ready
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOCATIONS = """
{
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError { __typename } } }
  }
}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[LocalPipeline]:
    with Sandbox() as sandbox:
        variables = {**sandbox.settings_environment(), "MICROBATCH_SECONDS": "2"}
        yield LocalPipeline.under(tmp_path, variables)


def ask(port: int, query: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_the_three_find_each_other_and_the_pipeline_runs(pipeline: LocalPipeline) -> None:
    port = free_port()
    (pipeline.settings.rules_dir / "blobs.json").write_text("[]")
    code, daemon = code_service(pipeline), Service("daemon", pipeline)
    web = Service("web", pipeline, "--port", str(port))
    try:
        daemon.start()
        web.start()
        python = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/server_info')"
        web.wait_until_ready(sys.executable, "-c", python)
        daemon.wait_until_ready(sys.executable, "-m", "dagster._daemon", "liveness-check")
        [location] = ask(port, LOCATIONS)["workspaceOrError"]["locationEntries"]
        assert location == {
            "name": "phash_dagster",
            "locationOrLoadError": {"__typename": "RepositoryLocation"},
        }
        wait_until_ready(pipeline)
        with (
            pytest.raises(StackError, match="another phash-dagster is running"),
            exclusive(pipeline.settings),
        ):
            pass
    finally:
        for service in (web, daemon, code):
            service.stop()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("-h", "127.0.0.1", "-p", "3000")),
        (("--read-only", "--port", "3001"), ("-h", "127.0.0.1", "-p", "3001", "--read-only")),
        (("--host", "0.0.0.0"), ("-h", "0.0.0.0", "-p", "3000")),
    ],
    ids=["default", "read-only", "host"],
)
def test_the_web_server_listens_on_loopback_unless_told_otherwise(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    expected: tuple[str, ...],
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(
        "phash_dagster.services._become", lambda command, _: commands.append(command)
    )
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    CliRunner().invoke(app, ["serve", "web", *options])
    [command] = commands
    module = command.index("dagster_webserver")
    assert tuple(command[module + 1 : module + 1 + len(expected)]) == expected
    assert ("--read-only" in command) == ("--read-only" in options)


def test_a_code_server_that_was_killed_leaves_nothing_in_the_way(pipeline: LocalPipeline) -> None:
    code = code_service(pipeline)
    try:
        assert code.process is not None
        code.process.send_signal(signal.SIGKILL)
        code.process.wait()
        code.start()
        code.wait_until_ready(*code_check(pipeline.environment))
    finally:
        code.stop()


def test_a_stopped_code_server_ends_and_takes_everything_with_it(pipeline: LocalPipeline) -> None:
    code = code_service(pipeline)
    assert code.process is not None
    children = psutil.Process(code.process.pid).children(recursive=True)
    code.process.send_signal(signal.SIGTERM)
    assert code.process.wait(120) == 0
    deadline = time.monotonic() + 30
    while any(child.is_running() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_a_shell_starts_in_the_background_can_be_stopped_too() -> None:
    become = (
        "import os, signal, sys; from phash_dagster.services import _become; "
        "_become([sys.executable, '-c', "
        "'import signal; print(signal.getsignal(2).__name__, signal.getsignal(15))'], "
        "dict(os.environ))"
    )
    # As `nohup phash-dagster serve code &` in a script.
    shell = f"trap '' INT TERM; exec {shlex.join([sys.executable, '-c', become])}"
    result = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert result.stdout == "default_int_handler 0\n"


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="shorter DATA_DIR"):
        serve_code(settings_from({"DATA_DIR": str(tmp_path / ("x" * 100))}))
