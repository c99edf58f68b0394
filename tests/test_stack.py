"""Starting and stopping Dagster's processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance

from phash_dagster.defs.event_log import BatchedSqliteEventLog
from phash_dagster.settings import Settings, settings_from
from phash_dagster.stack import (
    StackError,
    exclusive,
    instance_settings,
    prepare_home,
    shipped_file,
    stop,
    storage_is_named_by_url,
)
from tests.ports import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_from({"DATA_DIR": str(tmp_path / "data")})


def test_runs_keep_compiled_modules_where_the_environment_keeps_none(settings: Settings) -> None:
    environment = prepare_home(settings, {"PYTHONDONTWRITEBYTECODE": "1"})
    assert environment["PYTHONDONTWRITEBYTECODE"] == ""
    assert Path(environment["PYTHONPYCACHEPREFIX"]).is_relative_to(environment["DAGSTER_HOME"])
    assert "PYTHONPYCACHEPREFIX" not in prepare_home(settings, {})


def test_the_home_is_under_the_data_folder_with_the_shipped_instance_settings(
    settings: Settings,
) -> None:
    environment = prepare_home(settings, {})
    home = Path(environment["DAGSTER_HOME"])
    assert home == settings.data_dir / "dagster"
    text, shipped = (home / "dagster.yaml").read_text(), shipped_file("dagster.yaml").read_text()
    assert text.startswith(shipped)
    with DagsterInstance.from_config(str(home)) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, BatchedSqliteEventLog)
        # Where Dagster itself keeps events, so that those of earlier releases are found.
        assert storage.path_for_shard("index") == str(home / "history" / "runs" / "index.db")


def test_instance_settings_of_the_user_are_left_alone(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "dagster.yaml").write_text("telemetry: {enabled: false}")
    environment = prepare_home(settings, {"DAGSTER_HOME": str(own)})
    assert environment["DAGSTER_HOME"] == str(own)
    assert (own / "dagster.yaml").read_text() == "telemetry: {enabled: false}"


def test_the_settings_tell_whether_a_variable_names_the_storage(tmp_path: Path) -> None:
    file = tmp_path / "dagster.yaml"
    for postgresql in (True, False):
        # What their comments say of DAGSTER_STORAGE_URL does not count.
        file.write_text(instance_settings(tmp_path, postgresql=postgresql))
        assert storage_is_named_by_url(file) is postgresql


def test_one_data_folder_has_one_stack(settings: Settings) -> None:
    with (
        exclusive(settings),
        pytest.raises(StackError, match=f"process {os.getpid()}"),
        exclusive(settings),
    ):
        pass
    with exclusive(settings):
        pass


def test_a_child_that_outlives_its_starter_still_counts(settings: Settings) -> None:
    with exclusive(settings) as lock:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
    with pytest.raises(StackError), exclusive(settings):
        pass
    child.kill()
    child.wait()
    with exclusive(settings):
        pass


def test_stopping_ends_the_whole_group_even_if_it_does_not_listen() -> None:
    script = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    grandchild = psutil.Process(int(process.stdout.readline()))
    process.stdout.close()
    stop(process, seconds=0.2)
    assert process.returncode == -signal.SIGKILL
    grandchild.wait(10)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_dev_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "JETSTREAM_URL": "ws://127.0.0.1:9/subscribe",
        "JETSTREAM_FALLBACK_URLS": "ws://127.0.0.1:9/subscribe",
    }
    dev = subprocess.Popen(
        [sys.executable, "-m", "phash_dagster.cli", "dev", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        children = children_of(dev, at_least=3)
        dev.send_signal(number)
        assert dev.wait(120) == 0
    finally:
        dev.kill()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert gone


def children_of(process: "subprocess.Popen[bytes]", *, at_least: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 180
    while True:
        found = psutil.Process(process.pid).children(recursive=True)
        if len(found) >= at_least:
            return found
        if time.monotonic() > deadline:
            process.terminate()  # with what it has started so far
            process.wait(60)
            raise AssertionError(f"only {len(found)} processes came up")
        time.sleep(0.5)
