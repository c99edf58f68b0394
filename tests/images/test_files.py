import errno
import io
from pathlib import Path

import pytest
from PIL.Image import Image

from phash_dagster.hashing import AverageHash, DifferenceHash, HashValue
from phash_dagster.images import files as module
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.files import (
    HashedImage,
    HashResult,
    ImageHasher,
    NamedHash,
    UnhashedImage,
    files_below,
)
from tests.hashing.pictures import picture

RINGS = "rings-64x48-grey"
HASH = "f1e0c0c0c0c0e0f1"
"""As in golden.csv."""


def png(name: str = RINGS) -> bytes:
    file = io.BytesIO()
    picture(name).save(file, "PNG")
    return file.getvalue()


def hasher(limits: DecodeLimits | None = None) -> ImageHasher:
    return ImageHasher((AverageHash(),), limits or DecodeLimits())


def run(path: str | Path, stdin: bytes = b"", limits: DecodeLimits | None = None) -> HashResult:
    return hasher(limits).hash_path(str(path), io.BytesIO(stdin))


def reason(result: HashResult | None) -> str:
    assert isinstance(result, UnhashedImage)
    return result.reason


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "rings.png"
    path.write_bytes(png())
    return path


def test_a_file_gets_its_hash_and_its_size(image: Path) -> None:
    expected = NamedHash("average", HASH, AverageHash().hash(picture(RINGS)).quality)
    assert run(image) == HashedImage(str(image), (expected,), 64, 48, "png")


def test_a_dash_reads_standard_input() -> None:
    result = run("-", stdin=png())
    assert isinstance(result, HashedImage)
    assert (result.source, result.hashes[0].hash) == ("-", HASH)


def test_hashes_come_in_the_order_of_the_algorithms(image: Path) -> None:
    both = ImageHasher((DifferenceHash(), AverageHash()), DecodeLimits())
    result = both.hash_path(str(image), io.BytesIO())
    assert isinstance(result, HashedImage)
    assert [each.algorithm for each in result.hashes] == ["difference", "average"]


def test_the_name_of_a_file_says_nothing(image: Path) -> None:
    disguised = image.rename(image.with_name("page.html"))
    result = run(disguised)
    assert isinstance(result, HashedImage)
    assert result.format == "png"


def test_a_missing_file_is_a_reason(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.png")
    assert run(path) == UnhashedImage(path, "no such file")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "permission denied"),
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_reason(
    error: OSError, expected: str, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", fail)
    assert reason(run(image)) == expected
    assert reason(hasher().hash_if_image(str(image))) == expected


def test_a_path_with_a_null_byte_is_a_reason() -> None:
    assert reason(run("a\0b")).startswith("is not a path: ")


def test_a_file_that_does_not_decode_is_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_text("<!DOCTYPE html><p>404")
    assert reason(run(path)).startswith("unsupported: HTML page; supported are AVIF")


def test_too_little_memory_is_a_reason(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(data: bytes, limits: DecodeLimits) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "decode", exhausted)
    assert "not enough memory" in reason(run(image))


def test_no_more_than_the_limit_is_read(image: Path) -> None:
    limits = DecodeLimits(max_bytes=100)
    too_large = "too_large: more than the 100 bytes allowed"
    assert reason(run(image, limits=limits)) == too_large
    assert reason(hasher(limits).hash_if_image(str(image))) == too_large


def test_a_file_found_in_a_folder_counts_if_its_bytes_are_an_image(
    image: Path, tmp_path: Path
) -> None:
    notes, broken = tmp_path / "notes.png", tmp_path / "broken"
    notes.write_text("no picture at all")
    broken.write_bytes(png()[:60])
    assert hasher().hash_if_image(str(notes)) is None
    assert hasher().hash_if_image(str(image)) == run(image)
    assert reason(hasher().hash_if_image(str(broken))).startswith("corrupt")


def test_a_folder_is_walked_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a/deep/er/x", "z.png", ".hidden"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    below = [str(Path(str(path)).relative_to(tmp_path)) for path in files_below(str(tmp_path))]
    assert below == [".hidden", "z.png", "a/deep/er/x", "b/1.png", "b/2.png"]


def test_a_folder_that_cannot_be_listed_is_a_reason(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert list(files_below(missing)) == [UnhashedImage(missing, "no such file")]


def test_an_algorithm_that_fails_is_a_reason(image: Path) -> None:
    class Broken(AverageHash):
        def hash(self, image: Image) -> HashValue:
            raise ZeroDivisionError("surprise")

    result = ImageHasher((Broken(),), DecodeLimits()).hash_path(str(image), io.BytesIO())
    assert reason(result) == "average: ZeroDivisionError: 'surprise'"
