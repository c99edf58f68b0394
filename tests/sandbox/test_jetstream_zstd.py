"""Jetstream, version 2 of its wire: compression with a dictionary that the host serves."""

import json
from typing import Any

import httpx
import pytest
import zstandard

from phash_dagster.sandbox import Sandbox
from tests.sandbox.wire import open_stream, read_v2, refusal


def _dictionary_url(sandbox: Sandbox) -> str:
    http = sandbox.jetstream_v2_url.replace("ws://", "http://", 1)
    return http.replace("subscribeEvents", "getZstdDictionary")


def _fetch(sandbox: Sandbox, client: httpx.Client) -> tuple[int, zstandard.ZstdCompressionDict]:
    response = client.get(_dictionary_url(sandbox)).raise_for_status()
    return int(response.headers["x-zstd-dictionary-id"]), zstandard.ZstdCompressionDict(
        response.content
    )


def _decompressed(frame: str | bytes, dictionary: zstandard.ZstdCompressionDict) -> Any:
    assert isinstance(frame, bytes)
    return json.loads(zstandard.ZstdDecompressor(dict_data=dictionary).decompress(frame))


def _dictionary_id(frame: str | bytes) -> int:
    assert isinstance(frame, bytes)
    return zstandard.get_frame_parameters(frame).dict_id


def test_the_dictionary_names_its_id(sandbox: Sandbox, client: httpx.Client) -> None:
    number, dictionary = _fetch(sandbox, client)

    assert dictionary.dict_id() == number
    again = client.get(_dictionary_url(sandbox), params={"id": number})
    assert again.content == dictionary.as_bytes()


def test_compressed_frames_hold_the_frames_that_others_get(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    number, dictionary = _fetch(sandbox, client)
    sandbox.world.publish_post(sandbox.world.create_account("author.test"), [b"\xff\xd8\xff one"])
    plain = read_v2(sandbox)

    with open_stream(
        sandbox.jetstream_v2_url, [("zstdDictionary", number), ("cursor", 0)]
    ) as connection:
        frames = [connection.recv(timeout=5) for _ in plain]

    assert [_decompressed(frame, dictionary)["payload"] for frame in frames] == plain
    assert {_dictionary_id(frame) for frame in frames} == {number}


def test_the_dictionary_makes_posts_smaller(sandbox: Sandbox, client: httpx.Client) -> None:
    _, dictionary = _fetch(sandbox, client)
    sandbox.world.publish_post(sandbox.world.create_account("author.test"), [b"\xff\xd8\xff one"])
    frame = json.dumps(read_v2(sandbox)[-1]).encode()

    with_it = zstandard.ZstdCompressor(dict_data=dictionary).compress(frame)

    assert len(with_it) < 0.8 * len(zstandard.ZstdCompressor().compress(frame))


def test_an_unknown_dictionary_is_refused_with_the_current_id(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    number, _ = _fetch(sandbox, client)

    status, body = refusal(sandbox.jetstream_v2_url, ("zstdDictionary", 12345))
    missing = client.get(_dictionary_url(sandbox), params={"id": 12345})

    assert (status, body["error"]) == (400, "UnknownZstdDictionary")
    assert f"current dictionary id is {number}" in body["message"]
    assert (missing.status_code, missing.json()["error"]) == (404, "DictionaryNotFound")


def test_a_replaced_dictionary_is_unknown_but_serves_on_where_it_is_in_use(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    number, dictionary = _fetch(sandbox, client)
    with open_stream(sandbox.jetstream_v2_url, [("zstdDictionary", number)]) as connection:
        sandbox.jetstream.dictionaries.rotate()
        live = sandbox.world.publish_post(sandbox.world.automod)

        message = _decompressed(connection.recv(timeout=5), dictionary)
    status, body = refusal(sandbox.jetstream_v2_url, ("zstdDictionary", number))

    assert message["payload"]["cid"] == live.cid
    assert (status, body["error"]) == (400, "UnknownZstdDictionary")
    assert _fetch(sandbox, client)[0] != number


def test_each_host_has_its_own(sandbox: Sandbox, client: httpx.Client) -> None:
    number, _ = _fetch(sandbox, client)

    status, body = refusal(sandbox.jetstream_fallback_v2_url, ("zstdDictionary", number))

    assert (status, body["error"]) == (400, "UnknownZstdDictionary")


@pytest.mark.parametrize("name", ["network.bsky.jetstream.planSnapshot", "com.example.other"])
def test_no_other_method_is_there(sandbox: Sandbox, client: httpx.Client, name: str) -> None:
    url = _dictionary_url(sandbox).replace("network.bsky.jetstream.getZstdDictionary", name)

    assert client.get(url).status_code == 501
