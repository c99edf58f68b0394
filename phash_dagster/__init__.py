"""Image-hash moderation for Bluesky and other AT Protocol networks, as a Dagster pipeline."""

from importlib.metadata import version

__version__ = version("phash-dagster")
