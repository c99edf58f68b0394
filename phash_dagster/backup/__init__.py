"""Backups of a running pipeline, and what it takes to go on from one. Knows no Dagster."""

from typing import Final

RESTORING: Final = ".restoring"
"""A folder in `DATA_DIR` while a restore is going on. Nothing starts while it is there."""
