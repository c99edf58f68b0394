"""Finds hash algorithms by name: the built-in ones and those of installed packages."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from operator import index
from typing import Final

from PIL.Image import Image

from phash_dagster.hashing.average import AverageHash
from phash_dagster.hashing.difference import DifferenceHash
from phash_dagster.hashing.interface import AlgorithmUnavailableError, HashAlgorithm, HashValue
from phash_dagster.hashing.pdq import PdqHash
from phash_dagster.hashing.perceptual import PerceptualHash
from phash_dagster.hashing.words import check_bits, to_words

ENTRY_POINT_GROUP: Final = "phash_dagster.hash_algorithms"
"""Group of entry points that name a class or function which returns a `HashAlgorithm`."""

MAX_QUALITY: Final = 100

_BUILT_IN: Final[Mapping[str, Callable[[], HashAlgorithm]]] = {
    "average": AverageHash,
    "average-integer": partial(AverageHash, "integer"),
    "difference": DifferenceHash,
    "pdq": PdqHash,
    "perceptual": PerceptualHash,
}


def algorithm_names() -> tuple[str, ...]:
    """The names that `get_algorithm` knows, in alphabetical order.

    `pdq` is among them even where its package is missing.
    """
    return tuple(sorted({*_BUILT_IN, *_installed()}))


def built_in_algorithms() -> tuple[HashAlgorithm, ...]:
    """The algorithms that come with this package and can be used here, by name."""
    found = []
    for name in sorted(_BUILT_IN):
        with suppress(AlgorithmUnavailableError):
            found.append(_BUILT_IN[name]())
    return tuple(found)


def get_algorithm(name: str) -> HashAlgorithm:
    """The algorithm of that name. A package cannot replace a built-in one.

    Raises:
        ValueError: No algorithm has this name, or it has hashes too wide to store.
        AlgorithmUnavailableError: A package is missing or does not load; says what to do. A
            `ValueError`.
        TypeError: An installed package registers something else under it.
    """
    if built_in := _BUILT_IN.get(name):
        return built_in()
    if entry_point := _installed().get(name):
        return _load(entry_point)
    raise ValueError(f"no hash algorithm is named {name!r}; known: {', '.join(algorithm_names())}")


def _installed() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=ENTRY_POINT_GROUP)}


def _load(entry_point: EntryPoint) -> HashAlgorithm:
    try:
        algorithm = entry_point.load()()
    except Exception as error:
        raise AlgorithmUnavailableError(
            f"{entry_point.value}, registered as hash algorithm {entry_point.name!r}, does not "
            f"load: {type(error).__name__}: {error}; repair or remove its package"
        ) from error
    if not isinstance(algorithm, HashAlgorithm):
        raise TypeError(
            f"{entry_point.value} is registered as hash algorithm {entry_point.name!r} but returns "
            f"{type(algorithm).__name__}; it needs name, bits, version and hash(image)"
        )
    if algorithm.name != entry_point.name:
        raise TypeError(
            f"{entry_point.value} is registered as hash algorithm {entry_point.name!r} but calls "
            f"itself {algorithm.name!r}; the two must be equal"
        )
    check_bits(algorithm.bits)
    return _Installed(algorithm)


@dataclass(frozen=True)
class _Installed:
    """An algorithm of another package: what it does to the image and returns hurts no other."""

    algorithm: HashAlgorithm

    @property
    def name(self) -> str:
        return self.algorithm.name

    @property
    def bits(self) -> int:
        return self.algorithm.bits

    @property
    def version(self) -> str:
        return self.algorithm.version

    def hash(self, image: Image) -> HashValue:
        """The hash of a copy, since `thumbnail` and others change an image in place.

        Raises:
            TypeError: Its value or quality is no whole number.
            ValueError: It does not fit.
        """
        found = self.algorithm.hash(image.copy())
        value, quality = index(found.value), index(found.quality)
        to_words(value, self.bits)
        if not 0 <= quality <= MAX_QUALITY:
            raise ValueError(
                f"{self.name} returned the quality {quality}; it is 0 to {MAX_QUALITY}"
            )
        return HashValue(value, quality)
