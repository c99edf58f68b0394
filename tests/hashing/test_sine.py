import ctypes
import platform

import numpy as np
import pytest

from phash_dagster.hashing.sine import sine


def angles(count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Angles as the filter weights need them: within three half turns."""
    return np.linspace(-3 * np.pi, 3 * np.pi, count, dtype=np.float32)


def test_the_sine_is_within_one_last_place_of_the_true_one() -> None:
    x = angles(20_001)
    true = np.sin(x.astype(np.float64))
    assert np.all(np.abs(sine(x) - true) <= np.spacing(np.abs(true).astype(np.float32)))


def test_the_sine_of_nothing_is_nothing() -> None:
    assert sine(np.zeros(1, np.float32))[0] == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="compares with glibc's sinf")
def test_the_sine_is_that_of_glibc_bit_for_bit() -> None:
    sinf = ctypes.CDLL("libm.so.6").sinf
    sinf.restype, sinf.argtypes = ctypes.c_float, [ctypes.c_float]
    x = angles(20_001)
    assert sine(x).tolist() == [sinf(value) for value in x.tolist()]
