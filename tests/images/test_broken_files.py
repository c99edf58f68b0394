"""Files that are cut, bombs, or not what they say: each ends in an outcome, never half an image."""

import io
import struct
import zlib

import pytest
from PIL import Image, features

from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.model import ImageRejected, Outcome
from tests.hashing.pictures import picture

LIMITS = DecodeLimits()
PHOTO = picture("rings-257x129-rgb")
TURNED = PHOTO.rotate(180)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def outcome(data: bytes) -> Outcome:
    with pytest.raises(ImageRejected) as caught:
        decode(data, LIMITS)
    return caught.value.outcome


def pixels_or_outcome(data: bytes) -> bytes | Outcome:
    try:
        return decode(data, LIMITS).image.tobytes()
    except ImageRejected as rejected:
        return rejected.outcome


def two(format: str, **options: object) -> bytes:  # noqa: A002
    return encoded(PHOTO, format, save_all=True, append_images=[TURNED], **options)


STILL = {
    "jpeg": encoded(PHOTO, "JPEG"),
    "jpeg 4:4:4": encoded(PHOTO, "JPEG", subsampling="4:4:4"),
    "jpeg progressive": encoded(PHOTO, "JPEG", progressive=True),
    "jpeg with restarts": encoded(PHOTO, "JPEG", restart_marker_blocks=4),
    "jpeg cmyk": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "png": encoded(PHOTO, "PNG"),
    "png 16 bits": encoded(PHOTO.convert("L").convert("I").convert("I;16"), "PNG"),
    "png clear palette": encoded(PHOTO.quantize(9), "PNG", transparency=2),
    "gif": encoded(PHOTO, "GIF"),
    "webp": encoded(PHOTO, "WEBP"),
    "webp lossless": encoded(PHOTO, "WEBP", lossless=True),
    "bmp": encoded(PHOTO, "BMP"),
    "ppm": encoded(PHOTO, "PPM"),
    **({"avif": encoded(PHOTO, "AVIF")} if features.check("avif") else {}),
}
MOVING = {
    "gif": two("GIF"),
    "png": two("PNG"),
    "webp": two("WEBP", lossless=True),
    "mpo": two("MPO"),
    **({"avif": two("AVIF")} if features.check("avif") else {}),
}


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("kind", STILL)
def test_a_file_cut_at_any_tenth_is_corrupt(kind: str, tenth: int) -> None:
    whole = STILL[kind]
    assert outcome(whole[: len(whole) * tenth // 10]) is Outcome.corrupt


@pytest.mark.parametrize("kind", STILL)
def test_a_file_cut_at_its_end_is_corrupt_or_all_there(kind: str) -> None:
    # PNG and GIF end in a marker after the last pixel; without it no pixel is missing.
    whole = STILL[kind]
    pixels = decode(whole, LIMITS).image.tobytes()
    for missing in range(1, 13):
        assert pixels_or_outcome(whole[:-missing]) in (pixels, Outcome.corrupt)


@pytest.mark.parametrize("kind", MOVING)
def test_an_animation_cut_anywhere_is_corrupt_or_its_whole_first_frame(kind: str) -> None:
    whole = MOVING[kind]
    pixels = decode(whole, LIMITS).image.tobytes()
    for tenth in range(1, 10):
        found = pixels_or_outcome(whole[: len(whole) * tenth // 10])
        assert found in (pixels, Outcome.corrupt)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_a_bomb_of_frames_only_the_first_is_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.new("RGB", (64, 48), (at % 251, at // 251, 7)) for at in range(600)]
    options = {"lossless": True} if kind == "WEBP" else {}
    bomb = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    loaded = []
    for plugin in (Image.Image, *_plugins(kind)):
        if seek := vars(plugin).get("seek"):

            def counted(image: Image.Image, frame: int, _seek: object = seek) -> None:
                loaded.append(frame)
                _seek(image, frame)  # type: ignore[operator]

            monkeypatch.setattr(plugin, "seek", counted)
    decoded = decode(bomb, LIMITS)
    assert decoded.image.getpixel((5, 5)) == (0, 0, 7)
    assert set(loaded) <= {0}


def _plugins(kind: str) -> list[type[Image.Image]]:
    Image.init()
    return [Image.OPEN[kind][0]]  # type: ignore[list-item]


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_png_whose_text_unfolds_to_gigabytes_is_corrupt() -> None:
    whole = encoded(PHOTO, "PNG")
    text = b"Comment\0\0" + zlib.compress(b"\0" * 300_000_000, 9)
    assert outcome(whole[:33] + png_chunk(b"zTXt", text) + whole[33:]) is Outcome.corrupt


def claiming(kind: str) -> bytes:
    """A small file whose header claims a square of about 65,000 pixels a side."""
    if kind == "jpeg":
        data = bytearray(STILL["jpeg"])
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
        return bytes(data)
    if kind == "gif":
        data = bytearray(STILL["gif"])
        data[6:10] = struct.pack("<HH", 65_000, 65_000)
        return bytes(data)
    if kind == "bmp":
        data = bytearray(STILL["bmp"])
        data[18:26] = struct.pack("<ii", 65_000, 65_000)
        return bytes(data)
    return b"P6\n65000 65000\n255\n" + bytes(99)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["jpeg", "gif", "bmp", "ppm"])
def test_a_small_file_that_claims_to_be_huge_is_too_large(kind: str) -> None:
    assert outcome(claiming(kind)) is Outcome.too_large


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Outcome.corrupt),
        (b"\0", Outcome.unsupported),
        (bytes(5000), Outcome.unsupported),
        (b"<!DOCTYPE html><title>Sign in</title>", Outcome.unsupported),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", Outcome.unsupported),
        (b'{"error":"NotFound"}', Outcome.unsupported),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", Outcome.unsupported),
        (b"\xff\xd8\xff\xe0", Outcome.corrupt),
        (b"\x89PNG\r\n\x1a\n", Outcome.corrupt),
    ],
)
def test_what_is_no_image_has_its_outcome(data: bytes, expected: Outcome) -> None:
    assert outcome(data) is expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
def test_tiny_and_thin_images_of_every_kind_are_decoded(mode: str, size: tuple[int, int]) -> None:
    data = encoded(Image.new(mode, size), "PNG")
    assert decode(data, LIMITS).image.size == size


def test_a_clear_colour_of_a_palette_keeps_its_colour() -> None:
    image = Image.new("P", (4, 1), 1)
    image.putpalette([1, 2, 3, 70, 80, 90])
    decoded = decode(encoded(image, "PNG", transparency=1), LIMITS)
    assert decoded.image.getpixel((0, 0)) == (70, 80, 90)


def test_a_jpeg_of_very_many_exif_segments_is_too_large_and_costs_nothing() -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG")
    large = b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)
    small = b"\xff\xe1\x00\x09Exif\0\0\0"
    data = b"\xff\xd8" + large * 90 + small * 1_000_000 + file.getvalue()[2:]
    with pytest.raises(ImageRejected, match="more than 100 EXIF segments") as caught:
        decode(data, DecodeLimits())
    assert caught.value.outcome is Outcome.too_large


def test_a_text_ppm_of_very_many_comments_is_too_large_and_costs_nothing() -> None:
    data = b"P3\n1 1 255\n" + b"#\n" * 2_000_000 + b"1 2 3"
    assert outcome(data) is Outcome.too_large
    assert decode(b"P3\n1 1 255\n" + b"#\n" * 100 + b"1 2 3", LIMITS).format == "ppm"
