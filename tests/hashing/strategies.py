"""Images for property tests."""

import numpy as np
from hypothesis import strategies as st

from phash_dagster.hashing.lanczos import Grey

sides = st.integers(1, 24)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def grey_images(draw: st.DrawFn) -> Grey:
    """Small images: noise over the whole range, noise around one level, or one level."""
    shape = draw(sides), draw(sides)
    base, spread = draw(st.integers(0, 255)), draw(st.sampled_from((0, 1, 2, 255)))
    noise = np.random.default_rng(draw(seeds)).integers(-spread, spread + 1, shape)
    return np.clip(base + noise, 0, 255).astype(np.uint8)
