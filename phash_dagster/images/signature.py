"""Tells from the first bytes of a file what it is; names and MIME types are never believed."""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Signature:
    """What a file is: `description` for people; `format` as Pillow names it, if we decode it."""

    description: str
    format: str | None = None


SUPPORTED: Final = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
"""Formats that are decoded; a multi-picture JPEG (MPO) counts as JPEG."""

HEAD_BYTES: Final = 1024
"""What is looked at of a file; the rest does not matter."""

# First match wins.
_SIGNATURES: Final[tuple[tuple[re.Pattern[bytes], Signature], ...]] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE if text else re.DOTALL), signature)
    for pattern, text, signature in (
        (rb"\xff\xd8", False, Signature("JPEG", "JPEG")),
        (rb"\x89PNG\r\n\x1a\n", False, Signature("PNG", "PNG")),
        (rb"GIF8[79]a", False, Signature("GIF", "GIF")),
        (rb"RIFF....WEBP", False, Signature("WebP", "WEBP")),
        (rb"BM", False, Signature("BMP", "BMP")),
        (rb"P[1-6]\s", False, Signature("PPM", "PPM")),
        (rb"....ftyp", False, Signature("ISO media file")),
        (rb"\x00\x00\x01\x00", False, Signature("icon (ICO)")),
        (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", False, Signature("JPEG 2000")),
        (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", False, Signature("JPEG XL")),
        (rb"II\*\x00|MM\x00\*", False, Signature("TIFF")),
        (rb"8BPS", False, Signature("Photoshop document")),
        (rb"%PDF-", False, Signature("PDF document")),
        (rb"\x1a\x45\xdf\xa3", False, Signature("WebM or Matroska video")),
        (rb"PK\x03\x04", False, Signature("ZIP archive")),
        (rb"\x1f\x8b", False, Signature("gzip archive")),
        (rb"\s*(<\?xml.*|<!--.*)?<svg", True, Signature("SVG drawing, which is never rendered")),
        (rb"\s*(<!doctype html|<html|<head|<body)", True, Signature("HTML page")),
        (rb"\s*<\?xml", True, Signature("XML document")),
        (rb"\s*[{\[]\s*[\"{\[\]}]", False, Signature("JSON document")),
        (rb"[\t\n\r\x20-\x7e]+\Z", False, Signature("text")),
    )
)

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})


def signature(data: bytes) -> Signature:
    """What the file is by its first bytes; `format` is None for all that is not decoded."""
    head = data[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    for pattern, found in _SIGNATURES:
        if pattern.match(head):
            return _iso_media(head) if head[4:8] == b"ftyp" else found
    return Signature(f"file of unknown type (first bytes {head[:8].hex(' ')})")


def _iso_media(head: bytes) -> Signature:
    """AVIF, HEIC and MP4 share a container; the brands in its first box tell them apart."""
    size = int.from_bytes(head[:4], "big")
    # Box: size, "ftyp", major brand, its version, then compatible brands of 4 bytes each.
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)), 4))}
    if brands & _AVIF_BRANDS:
        return Signature("AVIF", "AVIF")
    if brands & _HEIC_BRANDS:
        return Signature("HEIC")
    return Signature("MP4 or other ISO media")
