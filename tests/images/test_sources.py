"""Files, folders, URLs and records, hashed several at once and told in order."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from phash_dagster.hashing import AverageHash
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.files import HashedImage, HashResult, ImageHasher, UnhashedImage
from phash_dagster.images.sources import SourceHasher, expand, hash_all
from phash_dagster.settings import Settings
from tests.images.hosts import settings
from tests.images.test_files import HASH, png

HASHER = ImageHasher((AverageHash(),), DecodeLimits())


def no_settings() -> Settings:
    raise AssertionError("the settings were read")


def run(*names: str, allow_private: bool | None = None) -> list[tuple[HashResult, ...]]:
    """One tuple per name; without `allow_private` nothing remote may be asked."""

    def wanted() -> Settings:
        return settings(allow_private_network=allow_private)

    return hash_all(names, HASHER, no_settings if allow_private is None else wanted, io.BytesIO())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(70):
        path = tmp_path / str(number % 3) / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(f"blocks-64x48-{'rgb' if number % 2 else 'grey'}"))
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "1" / "broken.png").write_bytes(png()[:50])
    return tmp_path


def test_a_folder_stands_for_every_image_in_it_in_order(folder: Path) -> None:
    [results] = run(str(folder))
    sources = [result.source for result in results]
    assert len(sources) == 71
    assert sources == sorted(sources)
    assert [r.source for r in results if isinstance(r, UnhashedImage)] == [
        str(folder / "1" / "broken.png")
    ]


def test_hashes_of_many_at_once_are_those_of_each_alone(folder: Path) -> None:
    [results] = run(str(folder))
    alone = [HASHER.hash_path(result.source, io.BytesIO()) for result in results]
    assert list(results) == alone


def test_no_more_sources_are_begun_than_are_handed_on_soon(folder: Path) -> None:
    begun = 0

    def counted() -> Iterator[object]:
        nonlocal begun
        for source in expand([str(folder)] * 20):
            begun += 1
            yield source

    with SourceHasher(HASHER, no_settings, io.BytesIO()) as hasher:
        results = hasher.results(counted())  # type: ignore[arg-type]
        next(results)
        assert begun < 20 * 70 / 2


def test_a_file_that_was_named_is_told_even_if_it_is_no_image(folder: Path) -> None:
    [[result]] = run(str(folder / "notes.txt"))
    assert isinstance(result, UnhashedImage)
    assert result.reason.startswith("unsupported: text")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "ftp://host/x.png", "c://x"])
def test_a_name_that_can_be_no_file_is_a_reason(name: str) -> None:
    [[result]] = run(name)
    assert isinstance(result, UnhashedImage)


class Images(BaseHTTPRequestHandler):
    """Serves one image, and a page for all other paths."""

    def do_GET(self) -> None:
        body = png() if self.path == "/rings" else b"<!doctype html>"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Images) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_url_gets_its_hash(site: str) -> None:
    [[image], [page]] = run(f"{site}/rings", f"{site}/page.png", allow_private=True)
    assert isinstance(image, HashedImage)
    assert (image.source, image.hashes[0].hash) == (f"{site}/rings", HASH)
    assert isinstance(page, UnhashedImage)
    assert page.reason.startswith("unsupported: HTML page")


@pytest.mark.parametrize("address", ["https://127.0.0.1/x", "https://10.1.2.3/x", "https://[::1]/"])
def test_an_address_within_the_own_network_is_refused_with_what_to_do(address: str) -> None:
    [[result]] = run(address, allow_private=False)
    assert isinstance(result, UnhashedImage)
    assert result.reason.startswith("blocked: network guard: ")
    assert "ALLOW_PRIVATE_NETWORK=true" in result.reason


def test_files_and_urls_keep_their_order(site: str, tmp_path: Path) -> None:
    path = tmp_path / "rings.png"
    path.write_bytes(png())
    names = [f"{site}/rings", str(path), f"{site}/page", str(path)]
    found = run(*names, allow_private=True)
    assert [result.source for [result] in found] == names
