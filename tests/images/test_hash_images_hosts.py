"""Whole runs against hosts that fail, stall, lie or move, and a run that is killed."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm
from phash_dagster.images.hash_images import SAVE_EVERY, hash_hours
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.identifiers import plc_did
from tests.images.small_network import STALL, Answer, Run, SmallNetwork, wait_until
from tests.images.test_content_id import blob_cid

pytestmark = pytest.mark.slow

PICTURE = pictures.encode(pictures.photo(1, (64, 48)))
CID = blob_cid(PICTURE)
AUTHOR = plc_did("author")


@pytest.fixture
def network() -> Iterator[SmallNetwork]:
    with SmallNetwork(hosts=2) as small:
        yield small


@pytest.fixture
def run(network: SmallNetwork, tmp_path: Path) -> Run:
    network.homes[AUTHOR] = 0
    return Run(network.environment(tmp_path))


def hash_all(run: Run, **changed: object) -> dict[str, int]:
    found = hash_hours(
        run.posts.partition_keys(),
        [get_algorithm("average")],
        settings=run.settings.model_copy(update=changed),
        warehouse=run.warehouse,
        posts=run.posts,
        clock=utc_now,
    )
    return dict(found)


def other_cid(number: int) -> str:
    return blob_cid(f"blob {number}".encode())


@pytest.mark.parametrize(
    ("answered", "outcome"),
    [
        (PICTURE, "hashed"),
        (b"other bytes", "cid_mismatch"),
        (404, "not_found"),
        (400, "not_found"),
        (429, "waiting"),
        (500, "waiting"),
        (503, "waiting"),
        (STALL, "waiting"),
    ],
)
def test_what_the_pds_answers_decides_when_the_cdn_lacks_an_image(
    network: SmallNetwork, run: Run, answered: Answer, outcome: str
) -> None:
    network.pds[0] = answered
    run.post([(CID, AUTHOR)])
    assert hash_all(run, blob_download_timeout_secs=0.3) == {outcome: 1}
    assert run.outcomes() == {CID: outcome}


def test_the_rendition_tells_where_bytes_came_from(network: SmallNetwork, run: Run) -> None:
    network.pds[0] = PICTURE
    run.post([(CID, AUTHOR)])
    hash_all(run)
    assert run.query("FROM image_hashes SELECT source, rendition") == [("pds", "original")]


def test_a_host_that_fails_is_left_alone_by_later_runs(network: SmallNetwork, run: Run) -> None:
    network.pds[0] = 503
    for number in range(5):
        run.post([(other_cid(number), AUTHOR)])
        assert hash_all(run) == {"waiting": 1}
    assert network.asked("pds 0") == 3
    [(until,)] = run.query("FROM host_circuits SELECT open_until WHERE host NOT LIKE 'http%'")
    waits = run.query(
        "FROM image_outcomes SELECT reason, next_retry_at WHERE reason LIKE '%is not asked before%'"
    )
    assert len(waits) == 2
    for reason, next_retry in waits:
        assert f"{network.pds_name(0)} is not asked before" in str(reason)
        assert next_retry == until


def test_the_pds_of_an_author_is_resolved_once_over_several_runs(
    network: SmallNetwork, run: Run
) -> None:
    network.pds[0] = PICTURE
    run.post([(CID, AUTHOR)])
    hash_all(run)
    assert hash_all(run) == {}
    assert run.query("FROM account_endpoints SELECT did, pds") == [
        (AUTHOR, f"http://{network.pds_name(0)}")
    ]
    with run.warehouse.write() as connection:
        for table in ("image_hashes", "image_outcomes"):
            connection.execute(f"DELETE FROM {table}")
    assert hash_all(run) == {"hashed": 1}
    assert network.asked("plc") == 1


def test_an_endpoint_is_not_remembered_when_the_lifetime_is_zero(
    network: SmallNetwork, run: Run
) -> None:
    for number in range(2):
        run.post([(other_cid(number), AUTHOR)])
        hash_all(run, identity_cache_hours=0)
    assert network.asked("plc") == 2


def test_an_account_that_moved_between_two_runs_is_found(network: SmallNetwork, run: Run) -> None:
    run.post([(other_cid(1), AUTHOR)])
    assert hash_all(run) == {"not_found": 1}
    network.homes[AUTHOR] = 1
    network.pds[1] = PICTURE
    run.post([(CID, AUTHOR)])
    assert hash_all(run) == {"hashed": 1}
    assert run.query("FROM account_endpoints SELECT pds") == [(f"http://{network.pds_name(1)}",)]


def test_a_host_that_stalls_does_not_keep_other_images_from_being_saved(
    network: SmallNetwork, run: Run
) -> None:
    """All the others are in the database while the images of the slow host are still awaited."""
    network.pds[0] = STALL
    slow = [(other_cid(number), AUTHOR) for number in range(20)]
    quick = [(other_cid(number), plc_did("quick")) for number in range(20, 60)]
    network.cdn = {cid: PICTURE for cid, _ in quick}
    run.post([*slow, *quick])
    with run.warehouse.write():
        pass
    work = threading.Thread(target=hash_all, args=(run,), kwargs={"processing_concurrency": 4})
    work.start()
    try:
        wait_until(lambda: len(run.outcomes()) == 40, "the other images")
        assert set(run.outcomes()) == {cid for cid, _ in quick}
    finally:
        network.release()
        work.join()
    assert len(run.outcomes()) == 60


@pytest.mark.slow
def test_a_run_that_is_killed_is_completed_by_the_next_and_nothing_is_fetched_twice(
    network: SmallNetwork, run: Run, tmp_path: Path
) -> None:
    cids = [other_cid(number) for number in range(5 * SAVE_EVERY)]
    network.cdn = dict.fromkeys(cids, PICTURE)
    run.post([(cid, AUTHOR) for cid in cids])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.images.hash_everything"],
        env=network.environment(tmp_path),
    ) as process:
        wait_until(lambda: network.asked("cdn") > 2 * SAVE_EVERY, "the middle of the run")
        process.send_signal(signal.SIGKILL)
    saved = set(run.outcomes())
    assert 0 < len(saved) < len(cids)
    assert hash_all(run) == {"hashed": len(cids) - len(saved)}
    assert run.outcomes() == dict.fromkeys(cids, "hashed")
    assert run.query("SELECT count(*), count(DISTINCT blob_cid) FROM image_hashes") == [
        (len(cids), len(cids))
    ]
    assert {network.requests["cdn", cid] for cid in saved} == {1}
    assert hash_all(run) == {}


def test_no_image_bytes_are_written(network: SmallNetwork, run: Run, tmp_path: Path) -> None:
    network.cdn[CID] = PICTURE
    run.post([(CID, AUTHOR)])
    hash_all(run)
    pieces = [PICTURE[start : start + 24] for start in range(0, len(PICTURE) - 24, 24)]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not any(piece in content for piece in pieces), f"image bytes in {path}"


def test_what_is_hashed_is_saved_while_name_servers_of_strangers_are_silent(
    network: SmallNetwork, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, resolve = threading.Event(), socket.getaddrinfo

    def silent(host: str, *arguments: Any, **options: Any) -> Any:
        if host.startswith("slow"):
            answered.wait(60)
            raise OSError("silent")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    monkeypatch.setattr(network, "pds_name", lambda number: f"slow-{number}.example")
    authors = [plc_did(f"author {number}") for number in range(64)]
    network.homes = {author: number for number, author in enumerate(authors)}
    network.cdn[CID] = PICTURE
    run.post([(CID, AUTHOR), *((other_cid(n), author) for n, author in enumerate(authors))])
    run.outcomes()  # makes the file
    hashing = threading.Thread(target=hash_all, args=(run,))
    hashing.start()
    try:
        wait_until(lambda: run.outcomes().get(CID) == "hashed", "the image", seconds=20)
    finally:
        answered.set()
        hashing.join(60)
