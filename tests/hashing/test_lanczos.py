import numpy as np
import pytest
from hypothesis import given, settings

from phash_dagster.hashing import lanczos
from phash_dagster.hashing.lanczos import FAST_ERROR, FAST_MAX_SIDE, resize_exactly, resize_fast
from tests.hashing import reference
from tests.hashing.strategies import grey_images


@settings(max_examples=40, deadline=None)
@given(grey_images())
def test_the_exact_resize_adds_up_in_the_order_of_the_definition(grey: lanczos.Grey) -> None:
    assert resize_exactly(grey).tolist() == np.array(reference.resample(grey)).tolist()


@pytest.mark.parametrize("shape", [(150, 1), (1, 150), (150, 2), (2, 150)])
def test_the_exact_resize_of_a_thin_image_adds_up_in_order_too(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    assert resize_exactly(grey).tolist() == np.array(reference.resample(grey)).tolist()


@pytest.mark.parametrize("shape", [(3, 3), (8, 9), (701, 40), (40, 701), (1500, 2000), (9000, 64)])
@pytest.mark.parametrize("base", [128, 254])
def test_the_fast_resize_stays_within_its_bound(shape: tuple[int, int], base: int) -> None:
    grey = (base + np.random.default_rng(2).integers(0, 2, shape)).astype(np.uint8)
    assert np.abs(resize_fast(grey) - resize_exactly(grey)).max() < FAST_ERROR / 2


def test_the_fast_resize_refuses_sides_for_which_its_bound_was_not_checked() -> None:
    with pytest.raises(ValueError, match="9001 x 8"):
        resize_fast(np.zeros((8, FAST_MAX_SIDE + 1), np.uint8))


def test_the_weights_of_every_output_pixel_add_up_to_one() -> None:
    for length in (1, 7, 8, 9, 1000):
        assert np.allclose(lanczos._weight_matrix(length).sum(axis=1), 1, atol=1e-5)


def test_weights_that_threads_share_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        lanczos._weight_matrix(100)[0, 0] = 1
