"""Registers the `testnet` fixture, one instance for all directories that do the same."""

import io

import pytest
from PIL import Image


def pytest_configure(config: pytest.Config) -> None:
    """Load the plugin once, however many directories ask for it."""
    config.pluginmanager.import_plugin("tests.testnet.plugin")


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A small photograph-like JPEG."""
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(stream, "JPEG")
    return stream.getvalue()
