"""Looks at everything the pipeline needs, changes nothing, and says what to do about the rest."""

from phash_dagster.doctor.model import Finding, Status, Surroundings
from phash_dagster.doctor.run import examine

__all__ = ["Finding", "Status", "Surroundings", "examine"]
