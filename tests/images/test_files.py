import errno
import io
from pathlib import Path

import pytest

from phash_dagster.hashing import AverageHash
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.files import HashedFile, UnhashedFile, hash_paths
from tests.hashing.pictures import picture

RINGS = "rings-64x48-grey"


def png(name: str = RINGS) -> bytes:
    file = io.BytesIO()
    picture(name).save(file, "PNG")
    return file.getvalue()


def run(
    *paths: str | Path, stdin: bytes = b"", limits: DecodeLimits | None = None
) -> list[HashedFile | UnhashedFile]:
    texts = map(str, paths)
    return list(hash_paths(texts, AverageHash(), limits or DecodeLimits(), io.BytesIO(stdin)))


def reason(result: HashedFile | UnhashedFile) -> str:
    assert isinstance(result, UnhashedFile)
    return result.reason


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "rings.png"
    path.write_bytes(png())
    return path


def test_a_file_gets_its_hash(image: Path) -> None:
    # The hash is the one in golden.csv.
    assert run(image) == [HashedFile(str(image), "f1e0c0c0c0c0e0f1", 75)]


def test_a_dash_reads_standard_input(image: Path) -> None:
    (from_file,) = run(image)
    assert isinstance(from_file, HashedFile)
    assert run("-", stdin=png()) == [HashedFile("-", from_file.hash, from_file.quality)]


def test_one_bad_file_does_not_stop_the_others(image: Path, tmp_path: Path) -> None:
    results = run(image, tmp_path / "missing.png", image)
    assert [type(result) for result in results] == [HashedFile, UnhashedFile, HashedFile]


def test_a_missing_file_is_a_reason(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.png")
    assert run(path) == [UnhashedFile(path, "no such file")]


def test_a_directory_is_a_reason(tmp_path: Path) -> None:
    assert reason(run(tmp_path)[0]) == "is a directory; name the files in it"


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
    assert reason(run(image)[0]) == expected


def test_a_path_with_a_null_byte_is_a_reason() -> None:
    assert reason(run("a\0b")[0]).startswith("is not a path: ")


def test_a_file_that_does_not_decode_is_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_text("<!DOCTYPE html><p>404")
    assert reason(run(path)[0]).startswith("unsupported: HTML page; supported are AVIF")


def test_no_more_than_the_limit_is_read(image: Path) -> None:
    limits = DecodeLimits(max_bytes=100)
    assert reason(run(image, limits=limits)[0]) == "too_large: more than the 100 bytes allowed"
