"""Makes the golden images, once, and writes down the hashes they must have.

    python -m tests.images.make_golden --expected
    python -m tests.images.make_golden --images

`--expected` writes `expected.csv` and `versions.json` anew from the files that are there: for when
an algorithm's version was raised on purpose. `--images` adds the files that are missing; an
existing file is never made again, since encoders change.
"""

import argparse
import csv
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from phash_dagster.hashing import built_in_algorithms, hasher_version, to_hex
from phash_dagster.images import golden
from phash_dagster.images.decode import DecodeLimits, decode
from phash_dagster.images.golden import library_versions

FOLDER: Final = Path(golden.__file__).parent
EXPECTATIONS: Final = ("expected.csv", "versions.json")

# Odd sizes: the last column and row of a JPEG's blocks and halved colours count too.
LOSSY: Final = (187, 141)
LOSSLESS: Final = (53, 41)


def photo(seed: int, size: tuple[int, int] = LOSSY) -> Image.Image:
    """A picture of strong colours and detail whose coarse cells are nearly alike.

    Many bits of its hashes hang on a level or less, so that a decoder that rounds otherwise moves
    some: a clear picture would hide that.
    """
    random = np.random.default_rng([seed, 9])
    colours = np.full((size[1], size[0], 3), 125.0)
    for cells, strength in ((8, 4), (29, 45), (70, 25)):
        rows = max(2, cells * size[1] // size[0])
        for channel in range(3):
            layer = random.uniform(-1, 1, (rows, cells)).astype(np.float32)
            enlarged = Image.fromarray(layer).resize(size, Image.Resampling.BICUBIC)
            colours[..., channel] += strength * np.asarray(enlarged)
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def small(seed: int) -> Image.Image:
    """A picture for formats that keep every pixel."""
    return photo(seed, LOSSLESS)


def veiled(image: Image.Image) -> Image.Image:
    """The picture under an alpha channel that falls from left to right."""
    ramp = np.linspace(0, 255, image.width).astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(ramp, (image.height, 1))))
    return image


def encoded(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002
    """The picture as a file."""
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def turned(image: Image.Image) -> bytes:
    """A JPEG whose orientation says that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", quality=80, exif=exif)


def png_rgb_16(image: Image.Image) -> bytes:
    """A PNG of 16 bits per colour, which Pillow does not write."""
    wide = np.asarray(image).astype(np.uint32) * 257 + 77
    rows = np.minimum(wide, 65_535).astype(">u2").reshape(image.height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def grey_16(image: Image.Image) -> Image.Image:
    """The picture in 16-bit grey."""
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 251 + 99)


def gif_with_a_margin(image: Image.Image) -> bytes:
    """A GIF whose only frame does not fill the canvas."""
    data = bytearray(encoded(image.quantize(64), "GIF"))
    data[6:10] = struct.pack("<HH", image.width + 20, image.height + 10)
    start = data.index(b",", 13 + 3 * 64)
    data[start + 1 : start + 5] = struct.pack("<HH", 7, 5)
    return bytes(data)


IMAGES: Final[Mapping[str, Callable[[], bytes]]] = {
    "jpeg_420.jpg": lambda: encoded(photo(1), "JPEG", quality=75, subsampling="4:2:0"),
    "jpeg_422.jpg": lambda: encoded(photo(2), "JPEG", quality=75, subsampling="4:2:2"),
    "jpeg_444.jpg": lambda: encoded(photo(3), "JPEG", quality=75, subsampling="4:4:4"),
    "jpeg_large.jpg": lambda: encoded(photo(4, (803, 605)), "JPEG", quality=12),
    "jpeg_rough.jpg": lambda: encoded(photo(5), "JPEG", quality=15),
    "jpeg_progressive.jpg": lambda: encoded(photo(6), "JPEG", quality=70, progressive=True),
    "jpeg_grey.jpg": lambda: encoded(photo(7).convert("L"), "JPEG", quality=75),
    "jpeg_cmyk.jpg": lambda: encoded(photo(8).convert("CMYK"), "JPEG", quality=60),
    "jpeg_rgb.jpg": lambda: encoded(photo(9), "JPEG", quality=50, keep_rgb=True),
    "jpeg_turned.jpg": lambda: turned(photo(10)),
    "png_rgb.png": lambda: encoded(small(11), "PNG"),
    "png_rgba.png": lambda: encoded(veiled(small(12)), "PNG"),
    "png_palette.png": lambda: encoded(photo(13).quantize(32), "PNG"),
    "png_palette_clear.png": lambda: encoded(photo(14).quantize(16), "PNG", transparency=3),
    "png_grey.png": lambda: encoded(small(15).convert("L"), "PNG"),
    "png_grey_alpha.png": lambda: encoded(veiled(small(16)).convert("LA"), "PNG"),
    "png_grey_16.png": lambda: encoded(grey_16(small(17)), "PNG"),
    "png_rgb_16.png": lambda: png_rgb_16(small(18)),
    "png_bits.png": lambda: encoded(photo(19).convert("1"), "PNG"),
    "webp_lossy.webp": lambda: encoded(photo(20), "WEBP", quality=70),
    "webp_lossless.webp": lambda: encoded(small(21), "WEBP", lossless=True),
    "webp_alpha.webp": lambda: encoded(veiled(photo(22)), "WEBP", quality=60),
    "gif.gif": lambda: encoded(photo(23).quantize(32), "GIF"),
    "gif_margin.gif": lambda: gif_with_a_margin(small(24)),
    "avif_420.avif": lambda: encoded(photo(25), "AVIF", quality=60, subsampling="4:2:0"),
    "avif_444.avif": lambda: encoded(photo(26), "AVIF", quality=60, subsampling="4:4:4"),
    "bmp.bmp": lambda: encoded(small(27), "BMP"),
}


def make_images() -> None:
    """Write the files that are missing."""
    for name, make in IMAGES.items():
        path = FOLDER / name
        if not path.exists():
            path.write_bytes(make())
            print(f"{name}: {path.stat().st_size} bytes")


def write_expectations() -> None:
    """Write the hashes of the files that are there, and what they were made with."""
    with (FOLDER / "expected.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "algorithm", "hash", "hasher_version"))
        for name in IMAGES:
            image = decode((FOLDER / name).read_bytes(), DecodeLimits()).image
            for algorithm in built_in_algorithms():
                text = to_hex(algorithm.hash(image).value, algorithm.bits)
                writer.writerow((name, algorithm.name, text, hasher_version(algorithm)))
    versions = json.dumps(library_versions(), indent=2)
    (FOLDER / "versions.json").write_text(f"{versions}\n", encoding="utf-8")


def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", action="store_true", help="make the images that are missing")
    parser.add_argument("--expected", action="store_true", help="write the expected hashes anew")
    options = parser.parse_args()
    if options.images:
        make_images()
    if options.expected:
        write_expectations()


if __name__ == "__main__":
    main()
