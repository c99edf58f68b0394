"""The CDN: it re-encodes what it can read, and does not have the rest."""

import io

import httpx
import pytest
from PIL import Image

from phash_dagster.sandbox import Account, Sandbox, images
from phash_dagster.sandbox.cdn import render


@pytest.fixture
def author(sandbox: Sandbox) -> Account:
    return sandbox.world.create_account("author.test")


def _url(sandbox: Sandbox, did: str, cid: str, output: str = "jpeg") -> str:
    return f"{sandbox.cdn_url}/img/feed_fullsize/plain/{did}/{cid}@{output}"


@pytest.mark.parametrize("output", ["jpeg", "png", "webp"])
def test_an_image_is_served_in_the_format_asked_for(
    sandbox: Sandbox, author: Account, client: httpx.Client, output: str
) -> None:
    cid = sandbox.world.upload(author, images.encode(images.photo(1), "WEBP"))

    response = client.get(_url(sandbox, author.did, cid, output))

    assert response.headers["content-type"] == f"image/{output}"
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.format, image.size) == (output.upper(), images.DEFAULT_SIZE)


def test_a_large_image_is_made_to_fit() -> None:
    large = images.encode(Image.new("RGB", (3000, 1500), "red"))

    served = render(large, "jpeg", 2000)

    assert served is not None
    assert Image.open(io.BytesIO(served)).size == (2000, 1000)


@pytest.mark.parametrize(
    "data",
    [images.svg(1), images.truncated(images.encode(images.photo(1))), b"", b"%PDF-1.7"],
    ids=["svg", "truncated", "empty", "pdf"],
)
def test_what_cannot_be_decoded_is_not_found(
    sandbox: Sandbox, author: Account, client: httpx.Client, data: bytes
) -> None:
    cid = sandbox.world.upload(author, data)

    assert client.get(_url(sandbox, author.did, cid)).status_code == 404


def test_a_blob_is_found_under_its_author_only(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    cid = sandbox.world.upload(author, images.encode(images.photo(1)))
    other = sandbox.world.create_account("other.test")

    assert client.get(_url(sandbox, author.did, cid)).status_code == 200
    assert client.get(_url(sandbox, other.did, cid)).status_code == 404


def test_what_was_deleted_is_still_in_the_cache(
    sandbox: Sandbox, author: Account, client: httpx.Client
) -> None:
    post = sandbox.world.publish_post(author, [images.encode(images.photo(1))])
    sandbox.world.delete_post(post.uri)

    assert client.get(_url(sandbox, author.did, post.blob_cids[0])).status_code == 200


@pytest.mark.parametrize(
    "path", ["img/poster/plain/did:plc:a/bafy@jpeg", "img/feed_fullsize/plain/did:plc:a/bafy@gif"]
)
def test_an_unknown_preset_or_format_is_a_bad_request(
    sandbox: Sandbox, client: httpx.Client, path: str
) -> None:
    assert client.get(f"{sandbox.cdn_url}/{path}").status_code == 400
