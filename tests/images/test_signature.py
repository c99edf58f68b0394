import pytest

from phash_dagster.images.signature import signature


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\xff\xd8", "JPEG"),
        (b"\x89PNG\r\n\x1a\n\x00", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"RIFF\x00\x01\x02\x03WEBPVP8 ", "WEBP"),
        (b"BM\x00\x00", "BMP"),
        (b"P6\n4 4 255\n", "PPM"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "AVIF"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "AVIF"),
    ],
)
def test_decoded_formats_are_told_by_their_first_bytes(head: bytes, expected: str) -> None:
    assert signature(head).format == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41", "MP4 or other ISO media"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing, which is never rendered"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg>', "SVG drawing, which is never rendered"),
        (b"\xef\xbb\xbf\n<!DOCTYPE HTML><html>", "HTML page"),
        (b"<?xml version='1.0'?><rss/>", "XML document"),
        (b'{"error":"BlobNotFound"}', "JSON document"),
        (b"%PDF-1.7", "PDF document"),
        (b"\x00\x00\x01\x00\x01\x00", "icon (ICO)"),
        (b"II*\x00", "TIFF"),
        (b"Not Found\n", "text"),
        (b"RIFF\x00\x00\x00\x00WAVE", "file of unknown type (first bytes 52 49 46 46 00 00 00 00)"),
    ],
)
def test_what_is_not_decoded_gets_a_name(head: bytes, expected: str) -> None:
    found = signature(head)
    assert (found.format, found.description) == (None, expected)


def test_brands_are_not_looked_for_beyond_their_box() -> None:
    head = b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00isomavif"
    assert signature(head).format is None
