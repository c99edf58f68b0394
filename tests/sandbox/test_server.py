"""The sandbox starts, stops, leaves nothing behind, and can come back."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from phash_dagster.sandbox import Failure, Sandbox, SandboxError
from phash_dagster.settings import load_settings

PATIENCE_SECONDS = 5.0


def test_it_listens_on_loopback_at_ports_that_the_system_chose(sandbox: Sandbox) -> None:
    assert sandbox.origin.startswith("http://127.0.0.1:")
    assert not sandbox.origin.endswith(":0")


def test_stopping_ends_the_thread_and_frees_the_ports(client: httpx.Client) -> None:
    # Another sandbox may be running in this process for other tests.
    before = set(threading.enumerate())
    sandbox = Sandbox()
    sandbox.start()
    port = int(sandbox.origin.rsplit(":", 1)[1])

    sandbox.stop()

    assert set(threading.enumerate()) <= before
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
    with pytest.raises(httpx.ConnectError):
        client.get(f"{sandbox.pds_url}/xrpc/_health")


def test_it_comes_back_at_the_same_place_with_everything_it_had(client: httpx.Client) -> None:
    sandbox = Sandbox()
    with sandbox:
        origin = sandbox.origin
        author = sandbox.world.create_account("author.test")
    with sandbox:
        assert sandbox.origin == origin
        assert client.get(f"{sandbox.plc_url}/{author.did}").status_code == 200


def test_it_cannot_be_started_twice(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="running already"):
        sandbox.start()


def test_stopping_what_does_not_run_is_no_fault() -> None:
    Sandbox().stop()


def test_two_sandboxes_do_not_meet(sandbox: Sandbox, client: httpx.Client) -> None:
    with Sandbox() as other:
        author = other.world.create_account("author.test")

        assert other.origin != sandbox.origin
        assert client.get(f"{sandbox.plc_url}/{author.did}").status_code == 404


def test_the_pipelines_settings_accept_its_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    for name, value in sandbox.settings_environment().items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert settings.jetstream_url == sandbox.jetstream_url
    assert settings.ozone_pds == sandbox.pds_url
    assert settings.allow_private_network
    assert settings.missing_credentials == ()
    assert settings.moderation_mode == "shadow"


def test_it_stops_although_a_client_of_jetstream_is_connected() -> None:
    sandbox = Sandbox()
    sandbox.start()
    with connect(sandbox.jetstream_url, proxy=None) as connection:
        started = time.monotonic()
        sandbox.stop()

        assert time.monotonic() - started < PATIENCE_SECONDS
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=PATIENCE_SECONDS)


def test_it_stops_although_a_request_is_waiting(client: httpx.Client) -> None:
    sandbox = Sandbox()
    sandbox.start()
    sandbox.world.fail_next("pds", 1, Failure(delay=600))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"{sandbox.pds_url}/xrpc/_health")
        while sandbox.world.traffic.requests("pds").total() == 0:
            time.sleep(0.01)
        started = time.monotonic()
        sandbox.stop()

        assert time.monotonic() - started < PATIENCE_SECONDS
        # Cut off, or answered with an error on the way out.
        error = waiting.exception(timeout=PATIENCE_SECONDS)
        assert isinstance(error, httpx.TransportError) or waiting.result().is_server_error
