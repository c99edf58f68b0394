"""RDB files, JSON dumps and running servers give the same entries."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import redis
from fakeredis import TcpFakeServer

from phash_dagster.legacy.keys import Entry
from phash_dagster.legacy.sources import LegacySourceError, read_entries
from tests.legacy.dumps import CID, HASH, KEYS, URI, running_redis, write_rdb

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
CLAIM = f"claim:post:label:{URI}:troll"
LATER = NOW + timedelta(days=2)


@pytest.fixture
def real_server(tmp_path: Path) -> Iterator[redis.Redis]:
    """Redis itself."""
    with running_redis(tmp_path) as client:
        yield client


@pytest.fixture
def fake_server() -> Iterator[redis.Redis]:
    """What speaks Redis's protocol where Redis is not installed."""
    served = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    served.daemon_threads = True
    thread = Thread(target=served.serve_forever, daemon=True)
    thread.start()
    with redis.Redis(host="127.0.0.1", port=served.server_address[1]) as client:
        yield client
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture(params=["fake", "real"])
def server(request: pytest.FixtureRequest) -> redis.Redis:
    """A server on loopback."""
    found: redis.Redis = request.getfixturevalue(f"{request.param}_server")
    return found


def address(client: redis.Redis) -> str:
    found = client.get_connection_kwargs()
    return f"redis://{found['host']}:{found['port']}/0"


def test_an_rdb_file_is_read_with_its_times(tmp_path: Path) -> None:
    path = write_rdb(tmp_path / "dump.rdb", KEYS, {CLAIM: LATER})
    entries = list(read_entries(str(path), NOW))
    assert {entry.key: entry.value for entry in entries} == KEYS
    assert [entry.expires_at for entry in entries if entry.key == CLAIM] == [LATER]


def test_what_has_expired_is_left_out(tmp_path: Path) -> None:
    path = write_rdb(tmp_path / "dump.rdb", KEYS, {CLAIM: NOW - timedelta(seconds=1)})
    assert CLAIM not in {entry.key for entry in read_entries(str(path), NOW)}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({f"phash:{CID}": HASH, CLAIM: {"value": "1", "ttl": 172_800}}),
        json.dumps([{f"phash:{CID}": HASH}, {CLAIM: {"value": "1", "ttl": 172_800}}]),
        "\n".join(
            (
                json.dumps({"key": f"phash:{CID}", "value": HASH, "ttl": -1}),
                json.dumps({"key": CLAIM, "value": "1", "ttl": 172_800}),
            )
        ),
    ],
    ids=["object", "list", "lines"],
)
def test_json_is_read_in_the_usual_forms(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dump.json"
    path.write_text(text)
    assert list(read_entries(str(path), NOW)) == [
        Entry(f"phash:{CID}", HASH, None),
        Entry(CLAIM, "1", LATER),
    ]


def test_a_running_server_is_read_and_not_written(server: redis.Redis) -> None:
    for key, value in KEYS.items():
        server.set(key, value)
    server.expire(CLAIM, 172_800)
    server.rpush("phash:queue", "of another type")
    found = {entry.key: entry for entry in read_entries(address(server), NOW)}
    assert found.keys() == set(KEYS) - {"queue:pending"}
    assert found[f"phash:{CID}"] == Entry(f"phash:{CID}", HASH, None)
    at = found[CLAIM].expires_at
    assert at is not None
    assert abs(at - LATER) < timedelta(minutes=1)
    assert server.dbsize() == len(KEYS) + 1


def test_the_dump_of_a_real_server_holds_the_same_as_the_server(
    real_server: redis.Redis, tmp_path: Path
) -> None:
    for key, value in KEYS.items():
        real_server.set(key, value)
    real_server.expire(CLAIM, 172_800)
    # Redis writes small numbers as such, and compresses what is long and repeats itself.
    real_server.set("claim:account:label:did:plc:a:spam", "-7")
    real_server.set("phash:" + "b" * 300, "12345678901234567890")
    real_server.set("phash:digits", "123456789")
    real_server.set("phash:long", HASH * 100)
    real_server.rpush("phash:queue", "of another type")
    real_server.save()
    dumped = {
        entry.key: entry
        for entry in read_entries(str(tmp_path / "dump.rdb"), NOW)
        if entry.key != "queue:pending"
    }
    asked = {entry.key: entry for entry in read_entries(address(real_server), NOW)}
    values = {key: entry.value for key, entry in asked.items()}
    assert {key: entry.value for key, entry in dumped.items()} == values
    assert len(values) == len(KEYS) - 1 + 4
    assert values["phash:long"] == HASH * 100
    assert {key for key, entry in dumped.items() if entry.expires_at} == {CLAIM}


def test_many_keys_are_read_in_batches(server: redis.Redis) -> None:
    server.mset({f"phash:{CID}{number}": HASH for number in range(2_500)})
    assert len(list(read_entries(address(server), NOW))) == 2_500


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(LegacySourceError, match=r"127\.0\.0\.1 cannot be read") as caught:
        list(read_entries("redis://user:hush@127.0.0.1:1/0", NOW))
    assert "hush" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LegacySourceError, match=r"nothing\.rdb cannot be read"):
        list(read_entries(str(tmp_path / "nothing.rdb"), NOW))


@pytest.mark.parametrize("content", [b"REDIS0009\xfe\x00\x00\x40", b"REDIS9999"])
def test_a_damaged_rdb_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(content)
    with pytest.raises(LegacySourceError, match="is damaged, or of a Redis that is too new"):
        list(read_entries(str(path), NOW))


@pytest.mark.parametrize("content", [b"no json", b"\xff\xfe", b"{"])
def test_what_is_neither_says_what_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dump.txt"
    path.write_bytes(content)
    with pytest.raises(LegacySourceError, match="neither an RDB file nor JSON"):
        list(read_entries(str(path), NOW))
