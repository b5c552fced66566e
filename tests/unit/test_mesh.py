"""The mesh of background and noise: the same for any region, blind to sources, without holes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.physics.mesh import BLOCK, Mesh, robust_sky


def sky(shape, level=100.0, sigma=5.0, seed=0):
    return np.random.default_rng(seed).normal(level, sigma, shape).astype(np.float32)


def mesh_of(values, **more):
    return Mesh(open_array(values), (), **more)


IMAGE = sky((700, 600)) + np.linspace(0, 60, 600, dtype=np.float32)
IMAGE[100:300, 50:180] = np.nan
WHOLE = mesh_of(IMAGE).fields(Box((-40, -40), (740, 640)))


@given(st.integers(-40, 700), st.integers(-40, 600), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=25)
def test_a_region_equals_the_whole(y, x, height, width):
    part = mesh_of(IMAGE).fields(Box((y, x), (y + height, x + width)))
    at = np.s_[y + 40 : y + 40 + height, x + 40 : x + 40 + width]
    for got, whole in zip(part, WHOLE, strict=True):
        np.testing.assert_array_equal(got, whole[at])


def test_a_fine_region_equals_the_fine_whole():
    mesh = mesh_of(IMAGE)
    whole = mesh.fields(Box((0, 0), (1400, 1200)), 2)
    part = mesh_of(IMAGE).fields(Box((511, 300), (611, 702)), 2)
    np.testing.assert_array_equal(part, np.stack(whole)[:, 511:611, 300:702])
    # block means of the fine field are the coarse field, up to the kinks at block centres
    coarse = np.stack(mesh.fields(Box((0, 0), (700, 600))))
    means = np.stack(whole).reshape(2, 700, 2, 600, 2).mean((2, 4))
    np.testing.assert_allclose(means, coarse, atol=0.02)


def test_stated_values_need_no_pixel_and_kept_fields_are_safe():
    class Unreadable:
        plane_shape = (700, 600)

    mesh = Mesh(Unreadable(), (), level=3.0, sigma=2.0)
    level, sigma = mesh.fields(Box((0, 0), (5, 5)))
    assert (level == 3).all()
    assert (sigma == 2).all()
    with pytest.raises(ValueError, match="read-only"):
        level += 1


def test_levels_follow_a_gradient():
    level, sigma = mesh_of(IMAGE).fields(Box((400, 150), (401, 451)))
    assert np.polyfit(np.arange(301), level[0], 1)[0] == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(sigma, 5, rtol=0.1)  # a gradient is no noise


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15])
def test_sources_do_not_reach_the_sky(share):
    values = sky((256, 256))
    rng = np.random.default_rng(3)
    lit = rng.uniform(size=values.shape) < share
    values[lit] += rng.exponential(400, lit.sum()).astype(np.float32)
    level, sigma = robust_sky(values.ravel())
    assert level == pytest.approx(100, abs=1.5)
    assert sigma == pytest.approx(5, rel=0.1)


def clipped_in_rounds(values):
    """`robust_sky` as it is defined, with medians of whatever order."""
    kept = values.astype(np.float64)
    for _ in range(4):
        middle = np.median(kept)
        sigma = 1.4826 * np.median(middle - kept[kept <= middle])
        clipped = kept[np.abs(kept - middle) <= 3 * sigma] if sigma > 0 else kept
        if len(clipped) == len(kept):
            break
        kept = clipped
    return float(middle), float(sigma)


@given(st.integers(1, 400), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 6]))
def test_robust_sky_bit_for_bit(count, seed, decimals):
    values = np.random.default_rng(seed).standard_t(2, count).astype(np.float32).round(decimals)
    assert robust_sky(values) == clipped_in_rounds(values)


def test_robust_sky_of_few_values():
    assert robust_sky(np.array([7.0], np.float32)) == (7.0, 0.0)
    assert robust_sky(np.full(100, 3.0, np.float32)) == (3.0, 0.0)


def test_a_block_without_data_takes_its_neighbours():
    values = sky((3 * BLOCK, 3 * BLOCK))
    values[BLOCK : 2 * BLOCK, BLOCK : 2 * BLOCK] = np.nan
    mesh = mesh_of(values)
    assert np.isnan(mesh.block((1, 1))).all()
    level, sigma = mesh.fields(Box((300, 300), (320, 320)))
    np.testing.assert_allclose(level, 100, atol=0.5)
    np.testing.assert_allclose(sigma, 5, rtol=0.05)


def test_a_constant_block_takes_its_neighbours():
    values = sky((BLOCK, 2 * BLOCK))
    values[:, :BLOCK] = 0
    _, sigma = mesh_of(values).fields(Box((0, 0), (BLOCK, 2 * BLOCK)))
    np.testing.assert_allclose(sigma, 5, rtol=0.05)


def test_what_was_asked_before_makes_no_other_mesh():
    asked, fresh = mesh_of(IMAGE), mesh_of(IMAGE)
    fresh.image = asked.image
    for mesh in (asked, fresh):
        mesh.fields(Box((0, 0), (9, 9)))
    assert asked == fresh
    assert asked != mesh_of(IMAGE, level=1.0)


def test_without_any_data_the_fallback_stands():
    mesh = mesh_of(np.full((300, 300), np.nan, np.float32), fallback=(12.0, 3.0))
    level, sigma = mesh.fields(Box((0, 0), (300, 300)))
    assert (level == 12).all()
    assert (sigma == 3).all()


def test_few_pixels_do_not_count():
    values = np.full((BLOCK, 2 * BLOCK), np.nan, np.float32)
    values[:, BLOCK:] = sky((BLOCK, BLOCK))
    values[0, :10] = 1e6
    level, _ = mesh_of(values).fields(Box((0, 0), (BLOCK, 2 * BLOCK)))
    np.testing.assert_allclose(level, 100, atol=1)


def test_given_values_stand_everywhere():
    level, sigma = mesh_of(IMAGE, level=3.0, sigma=2.0).fields(Box((0, 0), (700, 600)))
    assert (level == 3).all()
    assert (sigma == 2).all()


@pytest.mark.parametrize("shape", [(5, 7), (2, 300), (300, 2), (257, 256)])
def test_small_and_odd_images(shape):
    level, sigma = mesh_of(sky(shape)).fields(Box((-3, -3), (shape[0] + 3, shape[1] + 3)))
    assert np.isfinite(level).all()
    assert (sigma > 0).all()
    assert abs(level - 100).max() < 15


def test_a_change_far_away_changes_nothing_here():
    other = IMAGE.copy()
    other[600:, 500:] += 1000
    box = Box((0, 0), (300, 300))
    np.testing.assert_array_equal(mesh_of(IMAGE).fields(box), mesh_of(other).fields(box))
