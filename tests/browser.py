"""Chromium, Debian's, for tests and for the pictures in `docs/images/`."""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright


def find_chromium() -> str | None:
    """The program; None where the package chromium is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, closed at the end."""
    with sync_playwright() as playwright:
        # Containers run as root, where Chromium's own sandbox cannot be set up.
        opened = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


def save_picture(taken: bytes, path: Path) -> None:
    """Save a screenshot small, and say where."""
    picture = Image.open(io.BytesIO(taken))
    picture.convert("RGB").quantize(64).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
