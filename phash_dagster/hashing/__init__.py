"""Perceptual hashes of decoded images: one class per algorithm behind one interface."""

from phash_dagster.hashing.average import AverageHash, LumaVariant
from phash_dagster.hashing.interface import (
    HashAlgorithm,
    HashValue,
    hamming_distance,
    hasher_version,
    parse_hex,
    to_hex,
)
from phash_dagster.hashing.pixels import plain_pixels
from phash_dagster.hashing.registry import algorithm_names, get_algorithm

__all__ = [
    "AverageHash",
    "HashAlgorithm",
    "HashValue",
    "LumaVariant",
    "algorithm_names",
    "get_algorithm",
    "hamming_distance",
    "hasher_version",
    "parse_hex",
    "plain_pixels",
    "to_hex",
]
