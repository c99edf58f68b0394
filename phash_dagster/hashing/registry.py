"""Finds hash algorithms by name: the built-in ones and those of installed packages."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from phash_dagster.hashing.average import AverageHash
from phash_dagster.hashing.interface import HashAlgorithm

ENTRY_POINT_GROUP: Final = "phash_dagster.hash_algorithms"
"""Group of entry points that name a class or function which returns a `HashAlgorithm`."""

_BUILT_IN: Final[Mapping[str, Callable[[], HashAlgorithm]]] = {
    "average": AverageHash,
    "average-integer": partial(AverageHash, "integer"),
}


def algorithm_names() -> tuple[str, ...]:
    """The names that `get_algorithm` knows, in alphabetical order."""
    return tuple(sorted({*_BUILT_IN, *_installed()}))


def get_algorithm(name: str) -> HashAlgorithm:
    """The algorithm of that name. A package cannot replace a built-in one.

    Raises:
        ValueError: No algorithm has this name.
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
    algorithm = entry_point.load()()
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
    return algorithm
