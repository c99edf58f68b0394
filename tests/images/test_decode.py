import csv
import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from phash_dagster.hashing import AverageHash, hamming_distance, parse_hex, to_hex
from phash_dagster.images import decode as module
from phash_dagster.images.decode import DecodedImage, DecodeLimits, decode
from phash_dagster.images.model import ImageRejected, Outcome
from tests.hashing.pictures import picture

LIMITS = DecodeLimits()
PHOTO = picture("rings-64x48-rgb")


def encoded(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def rejection(data: bytes, limits: DecodeLimits = LIMITS) -> ImageRejected:
    with pytest.raises(ImageRejected) as caught:
        decode(data, limits)
    return caught.value


def outcome(data: bytes, limits: DecodeLimits = LIMITS) -> Outcome:
    return rejection(data, limits).outcome


def average_hash(decoded: DecodedImage) -> str:
    return to_hex(AverageHash().hash(decoded.image).value, 64)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(fields))
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + fields + checksum + empty


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")


@pytest.mark.parametrize(
    "format", ["PNG", "BMP", "PPM", "JPEG", "WEBP", pytest.param("AVIF", marks=needs_avif)]
)
def test_a_supported_format_is_decoded(format: str) -> None:  # noqa: A002
    decoded = decode(encoded(PHOTO, format), LIMITS)
    assert (decoded.width, decoded.height, decoded.format) == (64, 48, format.lower())
    assert decoded.image.mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_png_becomes_grey_or_colour(mode: str) -> None:
    grey = picture("rings-64x48-grey")
    image = grey.convert("I").convert("I;16") if mode == "I;16" else PHOTO.convert(mode)
    expected = "RGB" if mode in {"P", "RGBA"} else "L"
    assert decode(encoded(image, "PNG"), LIMITS).image.mode == expected


def test_a_cmyk_jpeg_becomes_colour() -> None:
    assert decode(encoded(PHOTO.convert("CMYK"), "JPEG"), LIMITS).image.mode == "RGB"


def test_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encoded(PHOTO, "JPEG", exif=exif), LIMITS)
    assert turned.image.tobytes() == decode(encoded(PHOTO, "JPEG"), LIMITS).image.tobytes()


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "MPO"])
def test_only_the_first_frame_of_several_counts(format: str) -> None:  # noqa: A002
    first, second = PHOTO, PHOTO.rotate(180)
    options = {"lossless": True} if format == "WEBP" else {}
    alone = encoded(first, "JPEG" if format == "MPO" else format, **options)
    both = encoded(first, format, save_all=True, append_images=[second], **options)
    decoded = decode(both, LIMITS)
    assert decoded.format == format.lower()
    assert decoded.image.tobytes() == decode(alone, LIMITS).image.tobytes()


@pytest.mark.parametrize("transparent", [False, True])
def test_what_the_first_frame_of_a_gif_leaves_out_is_black(transparent: bool) -> None:
    frame = Image.new("P", (2, 1), 1)
    frame.putpalette([200, 0, 0, 0, 90, 0])
    options = {"transparency": 1} if transparent else {}
    data = bytearray(encoded(frame, "GIF", **options))
    data[6:10] = struct.pack("<HH", 4, 3)  # the canvas; the frame stays 2 by 1
    start = data.index(b",")
    data[start + 1 : start + 5] = struct.pack("<HH", 1, 1)  # and moves off the corner
    decoded = decode(bytes(data), LIMITS)
    assert (decoded.width, decoded.height) == (4, 3)
    covered = {(1, 1), (2, 1)}
    for x in range(4):
        for y in range(3):
            expected = (0, 90, 0) if (x, y) in covered else (0, 0, 0)
            assert decoded.image.getpixel((x, y)) == expected


def test_an_empty_file_is_corrupt() -> None:
    assert str(rejection(b"")) == "corrupt: the file is empty"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<svg/>", "SVG drawing, which is never rendered"),
        (b"<!doctype html>", "HTML page"),
        (b"\x00\x00\x00\x14ftypheic\x00\x00\x00\x00heic", "HEIC"),
    ],
)
def test_other_files_are_unsupported_and_named(data: bytes, name: str) -> None:
    expected = f"unsupported: {name}; supported are AVIF, BMP, GIF, JPEG, PNG, PPM, WEBP"
    assert str(rejection(data)) == expected


def test_avif_is_unsupported_where_pillow_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    rejected = rejection(b"\x00\x00\x00\x14ftypavif\x00\x00\x00\x00avif")
    assert rejected.outcome is Outcome.unsupported


def test_colours_that_cannot_be_hashed_are_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(image: Image.Image) -> Image.Image:
        raise ValueError("images of mode F cannot be hashed")

    monkeypatch.setattr(module, "plain_pixels", refuse)
    assert outcome(encoded(PHOTO, "PNG")) is Outcome.unsupported


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM"])
def test_a_truncated_file_is_corrupt_never_half_an_image(format: str) -> None:  # noqa: A002
    whole = encoded(PHOTO, format)
    for tenth in range(1, 10):
        assert outcome(whole[: len(whole) * tenth // 10]) is Outcome.corrupt


def test_a_damaged_header_is_corrupt() -> None:
    assert str(rejection(b"\xff\xd8\xff\xd9")) == "corrupt: JPEG: the header is damaged"


def test_more_bytes_than_allowed_are_too_large() -> None:
    data = encoded(PHOTO, "PNG")
    decode(data, DecodeLimits(max_bytes=len(data)))
    assert outcome(data, DecodeLimits(max_bytes=len(data) - 1)) is Outcome.too_large


def test_the_pixels_are_counted_before_they_are_decoded() -> None:
    rejected = rejection(png_header(8000, 7000))
    assert rejected.outcome is Outcome.too_large
    assert rejected.reason == "8000 x 7000 pixels; allowed are 50000000 in all"


# From 89 MP on Pillow warns of its own accord, from 179 MP on it refuses.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 100_000])
def test_a_bomb_of_pixels_is_too_large(side: int) -> None:
    assert outcome(png_header(side, side)) is Outcome.too_large


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_too_large_where_warnings_are_errors() -> None:
    assert outcome(png_header(10_000, 10_000)) is Outcome.too_large


def test_a_side_longer_than_allowed_is_too_large() -> None:
    assert "on a side" in rejection(png_header(70_000, 10)).reason


def test_an_image_of_one_pixel_and_a_thin_one_are_decoded() -> None:
    for size in ((1, 1), (1, 10_000), (10_000, 1)):
        assert decode(encoded(Image.new("L", size), "PNG"), LIMITS).image.size == size


def test_an_image_without_pixels_is_corrupt() -> None:
    assert outcome(b"P6\n0 5\n255\n") is Outcome.corrupt


def test_a_jpeg_of_very_many_scans_is_too_large() -> None:
    data = encoded(PHOTO, "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    bomb = data[:-2] + scan * 200 + data[-2:]
    assert "scans" in rejection(bomb, DecodeLimits(max_pixels=64 * 48)).reason
    decode(bomb, LIMITS)


def test_a_big_image_that_pillow_decodes_in_python_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = b"P3\n2 2\n255\n" + b"9 8 7 " * 4
    assert decode(text, LIMITS).image.getpixel((1, 1)) == (9, 8, 7)
    monkeypatch.setattr(module, "MAX_SLOW_PIXELS", 3)
    assert outcome(text) is Outcome.too_large


def test_running_out_of_memory_says_nothing_about_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(image: Image.Image) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(module, "plain_pixels", exhausted)
    with pytest.raises(MemoryError):
        decode(encoded(PHOTO, "PNG"), LIMITS)


SEEDS = [
    encoded(PHOTO, "JPEG"),
    encoded(PHOTO, "JPEG", progressive=True),
    encoded(PHOTO.convert("RGBA"), "PNG"),
    encoded(PHOTO.convert("P"), "PNG"),
    encoded(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]),
    encoded(PHOTO, "WEBP"),
    encoded(PHOTO, "BMP"),
    encoded(PHOTO, "PPM"),
    *([encoded(PHOTO, "AVIF")] if features.check("avif") else []),
]


@st.composite
def damaged_images(draw: st.DrawFn) -> bytes:
    """A valid file with a few bytes changed, cut out or cut off."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, min(len(data) - 1, draw(st.sampled_from((64, 4096)))))))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data[: draw(st.sampled_from((len(data), len(data) // 2)))])


def ends_in_pixels_or_a_reason(data: bytes) -> bool:
    try:
        decoded = decode(data, DecodeLimits(max_pixels=1_000_000))
    except ImageRejected as rejected:
        return rejected.outcome in {Outcome.corrupt, Outcome.unsupported, Outcome.too_large}
    return decoded.image.mode in {"L", "RGB"} and average_hash(decoded) != ""


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=250, deadline=None)
@given(damaged_images())
def test_damaged_images_end_in_pixels_or_a_reason(data: bytes) -> None:
    assert ends_in_pixels_or_a_reason(data)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", *(seed[:16] for seed in SEEDS)]), st.binary(max_size=200))
def test_any_bytes_end_in_pixels_or_a_reason(head: bytes, tail: bytes) -> None:
    assert ends_in_pixels_or_a_reason(head + tail)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_captured_files_hash_as_with_the_decoders_of_the_rust_library(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "hashes"
    jpeg_distances = []
    for row in rows(folder / "average_hash_vectors.csv"):
        decoded = decode((folder / "images" / row["file"]).read_bytes(), LIMITS)
        answer = average_hash(decoded)
        assert answer == row["pixel_hash"], row["file"]
        distance = hamming_distance(parse_hex(answer, 64), parse_hex(row["file_hash"], 64))
        if decoded.format in {"jpeg", "mpo"}:
            jpeg_distances.append(distance)
        else:
            assert distance == 0, row["file"]
    # Chroma upsampling rounds differently there: 98 % of JPEGs agree, nearly all within one bit.
    assert max(jpeg_distances) <= 1
    assert jpeg_distances.count(0) >= 0.98 * len(jpeg_distances)


# Where Pillow and the Rust library disagree on what still is an image.
HASHED_ONLY_HERE = {"badcrc_idat.png", "ok.avif"}
HASHED_ONLY_THERE = {"noeoi.jpg", "trunc_10.jpg", "trunc_99.jpg"}
ONE_BIT_OFF = {"rgb_colorspace.jpg"}


def hash_or_err(data: bytes) -> str:
    try:
        return average_hash(decode(data, LIMITS))
    except ImageRejected:
        return "ERR"


def test_bad_files_end_as_with_the_rust_library_but_for_the_known_ones(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "bad_images"
    differing = {
        row["file"]
        for row in rows(folder / "outcomes.csv")
        if hash_or_err((folder / row["file"]).read_bytes()) != row["rust_library_answer"]
    }
    assert differing == HASHED_ONLY_HERE | HASHED_ONLY_THERE | ONE_BIT_OFF


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("svg.svg", Outcome.unsupported),
        ("ok.heic", Outcome.unsupported),
        ("json.jpg", Outcome.unsupported),
        ("mp4.mp4", Outcome.unsupported),
        ("zero.jpg", Outcome.corrupt),
        ("soi.jpg", Outcome.corrupt),
        ("trunc_10.jpg", Outcome.corrupt),
        ("corrupt_idat.png", Outcome.corrupt),
        ("bomb_hdr_100000x100000.png", Outcome.too_large),
    ],
)
def test_each_bad_file_has_its_outcome(shared_dir: Path, name: str, expected: Outcome) -> None:
    assert outcome((shared_dir / "data" / "bad_images" / name).read_bytes()) is expected
