"""The servers' own life: on loopback only, and gone with the test run, however it ends."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.testnet.testnet import Testnet
from tests.testnet.waiting import wait_until

pytestmark = pytest.mark.testnet

ROOT = Path(__file__).parents[2]
_START_AND_HANG = """
import json, time
from tests.testnet.network import throwaway_postgres, running_network
with {manager}() as running:
    print(json.dumps(str(running)), flush=True)
    time.sleep(600)
"""


def is_alive(process: psutil.Process) -> bool:
    """A zombie is gone: in a container nobody may collect it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listening() -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }


def start_and_hang(manager: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", _START_AND_HANG.format(manager=manager)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())
    return process


@pytest.mark.parametrize("manager", ["throwaway_postgres", "running_network"])
def test_a_killed_test_run_leaves_no_process_and_no_file(manager: str) -> None:
    process = start_and_hang(manager)
    children = psutil.Process(process.pid).children(recursive=True)
    (cluster,) = {Path(child.cwd()) for child in children if child.name() == "sh"}
    process.kill()
    process.communicate()
    assert wait_until(lambda: not any(map(is_alive, children)))
    assert wait_until(lambda: not cluster.exists())


def test_the_servers_listen_on_loopback_only(testnet: Testnet) -> None:
    urls = (testnet.plc_url, testnet.pds_url, testnet.ozone_url)
    ours = {int(url.rpartition(":")[2]) for url in urls}
    found = {(ip, port) for ip, port in listening() if port in ours}
    assert found == {("127.0.0.1", port) for port in ours}


def test_the_labeler_did_resolves_to_ozone(testnet: Testnet) -> None:
    document = testnet.http.get(f"{testnet.plc_url}/{testnet.labeler_did}").json()
    (service,) = document["service"]
    assert service["id"] == "#atproto_labeler"
    assert service["serviceEndpoint"] == testnet.ozone_url


def test_an_authors_did_resolves_to_the_pds(testnet: Testnet) -> None:
    author = testnet.create_author()
    document = testnet.http.get(f"{testnet.plc_url}/{author.did}").json()
    (service,) = document["service"]
    assert service["type"] == "AtprotoPersonalDataServer"
    assert service["serviceEndpoint"] == testnet.pds_url


def test_an_uploaded_image_comes_back_unchanged_once_a_post_refers_to_it(
    testnet: Testnet, jpeg: bytes
) -> None:
    author = testnet.create_author()
    image = testnet.upload_blob(author, jpeg, "image/jpeg")
    post = testnet.create_post(author, [image])
    response = testnet.get_blob(author.did, post.blob_cids[0])
    assert (response.status_code, response.content) == (200, jpeg)
