"""Perceptual hashes of decoded images: one class per algorithm behind one interface."""

from phash_dagster.hashing.average import AverageHash, LumaVariant
from phash_dagster.hashing.difference import DifferenceHash
from phash_dagster.hashing.interface import (
    AlgorithmUnavailableError,
    HashAlgorithm,
    HashValue,
    hamming_distance,
    hasher_version,
    parse_hex,
    to_hex,
)
from phash_dagster.hashing.pdq import PdqHash
from phash_dagster.hashing.perceptual import PerceptualHash
from phash_dagster.hashing.pixels import plain_pixels
from phash_dagster.hashing.registry import algorithm_names, built_in_algorithms, get_algorithm
from phash_dagster.hashing.words import from_words, to_words

__all__ = [
    "AlgorithmUnavailableError",
    "AverageHash",
    "DifferenceHash",
    "HashAlgorithm",
    "HashValue",
    "LumaVariant",
    "PdqHash",
    "PerceptualHash",
    "algorithm_names",
    "built_in_algorithms",
    "from_words",
    "get_algorithm",
    "hamming_distance",
    "hasher_version",
    "parse_hex",
    "plain_pixels",
    "to_hex",
    "to_words",
]
