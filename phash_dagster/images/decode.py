"""Turns bytes of strangers into pixels, or says why not.

The conventions are those of the Rust `image` library, since hashes must agree with it: the first
frame of an animation, EXIF orientation and colour profiles ignored, alpha dropped. Where the two
part ways, since Pillow decodes and not Rust:

- A JPEG that is cut, or lacks only its end marker, is `corrupt`. Rust fills up what is missing and
  hashes that, which is a guess.
- A PNG whose checksum of the compressed pixels is wrong, or that lacks its end marker, is decoded
  if the pixels themselves are all there (zlib has a checksum of its own). Rust refuses it.
- AVIF is decoded if this Pillow carries it, else `unsupported`; Rust built without it refuses.
- JPEGs with halved colours round differently in 2 % of hashes, nearly always by one bit; so does a
  JPEG in RGB. 16-bit RGB is cut to its upper 8 bits, not rounded.

Damage within the compressed data of a JPEG can be told neither by Pillow nor by Rust: what a
browser shows is hashed.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image, ImageFile, UnidentifiedImageError, features

from phash_dagster.hashing import plain_pixels
from phash_dagster.images.model import ImageRejected, Outcome, excerpt
from phash_dagster.images.signature import SUPPORTED, signature


@dataclass(frozen=True)
class DecodeLimits:
    """What an image may cost. Sizes are read from its header, before pixels are allocated.

    `max_pixels` is width times height; Pillow refuses above 178,956,970 whatever is allowed here.
    `max_side` bounds width and height each; its default is the longest side of a JPEG.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_side: int = 65_535


@dataclass(frozen=True)
class DecodedImage:
    """Pixels in 8-bit grey (`L`) or `RGB`, of `width` by `height`; `format` in lower case."""

    image: Image.Image
    width: int
    height: int
    format: str


MAX_JPEG_PASSES: Final = 100
"""Scans of a JPEG as large as `max_pixels`; a smaller one may have more. Honest files have about
10, but a scan costs its sender only some 40 bytes and the decoder a pass over all pixels."""

MAX_EXIF_PARTS: Final = 100
"""EXIF segments of a JPEG; honest files have one or two. Pillow puts each behind all before it, so
a file of many small ones behind a large one would keep a processor busy for an hour."""

MAX_PPM_COMMENTS: Final = 1000
"""Comments of a PPM as text; files from programs have one."""

MAX_SLOW_PIXELS: Final = 1_000_000
"""Pixels allowed in rare encodings that Pillow decodes in Python: run-length BMP, PPM of
other than 8 bits or as text."""


def decode(data: bytes, limits: DecodeLimits) -> DecodedImage:
    """Decode the first frame of an image file.

    Which decoder sees the bytes is decided by the bytes alone. Safe to call from several threads.

    Raises:
        ImageRejected: `unsupported` for what is no image or one in a format not decoded,
            `too_large` beyond a limit, `corrupt` for an image that does not decode in full.
    """
    if not data:
        raise ImageRejected(Outcome.corrupt, "the file is empty")
    if len(data) > limits.max_bytes:
        raise _too_large(f"more than the {limits.max_bytes} bytes allowed")
    decoder = _decoder_for(data)
    if decoder == "JPEG" and data.count(b"Exif\0\0") > MAX_EXIF_PARTS:
        raise _too_large(f"JPEG with more than {MAX_EXIF_PARTS} EXIF segments")
    try:
        with Image.open(BytesIO(data), formats=[decoder]) as image:
            _check_size(image, limits)
            if any(tile.codec_name == "ppm_plain" for tile in image.tile):
                _check_comments(data)
            if decoder == "JPEG":
                _check_scans(image, data, limits)
            return _first_frame(image)
    except (ImageRejected, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = f"{decoder} of more pixels than Pillow opens; allowed are {limits.max_pixels}"
        raise _too_large(reason) from error
    except UnidentifiedImageError as error:
        raise ImageRejected(Outcome.corrupt, f"{decoder}: the header is damaged") from error
    except Exception as error:
        # Decoders meet damaged files with almost any exception; whichever it is, these bytes
        # are no image, and only memory, which may be there next time, says nothing about them.
        reason = f"{decoder}: {type(error).__name__}: {excerpt(str(error), 200)}"
        raise ImageRejected(Outcome.corrupt, reason) from error


def _decoder_for(data: bytes) -> str:
    found = signature(data)
    if found.format is None:
        supported = ", ".join(SUPPORTED)
        raise ImageRejected(Outcome.unsupported, f"{found.description}; supported are {supported}")
    if found.format == "AVIF" and not features.check("avif"):
        raise ImageRejected(Outcome.unsupported, "AVIF, which this build of Pillow cannot decode")
    return found.format


def _check_size(image: ImageFile.ImageFile, limits: DecodeLimits) -> None:
    width, height = image.size
    size = f"{width} x {height} pixels"
    if width * height > limits.max_pixels:
        raise _too_large(f"{size}; allowed are {limits.max_pixels} in all")
    if max(width, height) > limits.max_side:
        raise _too_large(f"{size}; allowed are {limits.max_side} on a side")
    in_python = any(tile.codec_name in Image.DECODERS for tile in image.tile)
    if in_python and width * height > MAX_SLOW_PIXELS:
        raise _too_large(f"{size}; allowed are {MAX_SLOW_PIXELS} in this rare encoding")


def _check_comments(data: bytes) -> None:
    # Pillow takes them out one by one, and copies up to a megabyte for each.
    if data.count(b"#") > MAX_PPM_COMMENTS:
        raise _too_large(f"PPM with more than {MAX_PPM_COMMENTS} comments")


def _check_scans(image: ImageFile.ImageFile, data: bytes, limits: DecodeLimits) -> None:
    # The marker cannot appear within compressed data; previews and trailers may add a few.
    scans = data.count(b"\xff\xda")
    pixels = image.width * image.height
    if scans * pixels > MAX_JPEG_PASSES * limits.max_pixels:
        raise _too_large(f"JPEG of {pixels} pixels in {scans} scans, too much work to decode")


def _too_large(reason: str) -> ImageRejected:
    return ImageRejected(Outcome.too_large, reason)


def _first_frame(image: ImageFile.ImageFile) -> DecodedImage:
    name = (image.format or "").lower()
    # Only until the pixels are loaded does Pillow know which part of a GIF its first frame covers.
    box = image.tile[0].extents if name == "gif" else None
    image.load()
    try:
        pixels = plain_pixels(image)
    except ValueError as error:
        raise ImageRejected(Outcome.unsupported, f"{image.format}: {error}") from error
    if box is not None and box != (0, 0, *image.size):
        pixels = _on_black(pixels, box)
    return DecodedImage(pixels, pixels.width, pixels.height, name)


def _on_black(pixels: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The box of the image on a black canvas: what a GIF's first frame leaves out is black."""
    canvas = Image.new(pixels.mode, pixels.size)
    canvas.paste(pixels.crop(box), box)
    return canvas
