"""The 32-bit sine of the GNU C library, which the Rust library calls for its filter weights.

It is a polynomial in 64-bit floats, rounded once; 1.3 % of its results are not the nearest 32-bit
float to the true sine, and neither are they what NumPy computes. One weight off in its last bit
can move a grey value across a half, so we compute the same ones, on every platform.

Source: glibc 2.28 and later, sysdeps/ieee754/flt-32/s_sinf.c and s_sincosf_data.c (taken from
ARM's optimized-routines, math/sinf.c).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_ANGLE: Final = 120.0
"""Radians below which the library reduces angles in the simple way done here."""

_Doubles = NDArray[np.float64]

_UNREDUCED = 0.75
_HALF_PI = float.fromhex("0x1.921fb54442d18p0")
_TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
_SINE = tuple(
    map(
        float.fromhex,
        ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13"),
    )
)
_COSINE = tuple(
    map(
        float.fromhex,
        (
            "-0x1.ffffffd0c621cp-2",
            "0x1.55553e1068f19p-5",
            "-0x1.6c087e89a359dp-10",
            "0x1.99343027bf8c3p-16",
        ),
    )
)


def sine(angle: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sine of angles in radians, bit for bit as glibc's `sinf`, below `MAX_ANGLE`."""
    x = angle.astype(np.float64)
    quarter_turns = np.where(np.abs(x) < _UNREDUCED, 0, np.rint(x * _TWO_OVER_PI))
    reduced = x - quarter_turns * _HALF_PI
    quadrant = quarter_turns.astype(np.int64) & 3
    result = np.where(quadrant & 1, _cosine_polynomial(reduced), _sine_polynomial(reduced))
    return np.where(quadrant & 2, -result, result).astype(np.float32)


def _sine_polynomial(x: _Doubles) -> _Doubles:
    a, b, c = _SINE
    square = x * x
    cube = x * square
    return (x + cube * a) + (cube * square) * (b + square * c)


def _cosine_polynomial(x: _Doubles) -> _Doubles:
    a, b, c, d = _COSINE
    square = x * x
    fourth = square * square
    return ((1.0 + square * a) + fourth * b) + (fourth * square) * (c + square * d)
