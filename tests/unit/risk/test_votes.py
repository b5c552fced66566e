"""Votes by hand, their symmetries, and that exchangeable draws are calibrated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.errors import InputError, OptionError
from sciup.risk.tolerance import Tolerance
from sciup.risk.votes import (
    SCALES,
    block_mean,
    sliding_mean,
    tolerance_percent,
    verdict,
    vote,
)

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=25)


def pictures(seed, number=5, side=16, masked=0.1):
    """Whole numbers, so that shifts are exact, with masked pixels."""
    generator = np.random.default_rng(seed)
    x = generator.integers(-8, 9, (number, side, side)).astype(float)
    x[:, generator.random((side, side)) < masked] = np.nan
    return x


def test_one_voter_by_hand():
    flat = np.zeros((3, 3))
    spot = flat.copy()
    spot[1, 1] = 9.0  # the mean of 3 px is 1 at the centre, 9 / 4 in the corners
    for delivered, other, high in ((spot, flat, True), (flat, spot, False)):
        votes = vote(delivered, [other], np.full((3, 3), 1.2))
        assert votes.risk[1, 1] == 0.25
        assert votes.risk[0, 0] == 0.75
        assert votes.invented[0, 0] == (0.625 if high else 0.125)
        assert votes.missed[0, 0] == (0.125 if high else 0.625)


def test_a_difference_of_the_tolerance_itself_is_allowed():
    assert verdict([[3.0]], [[0.0]], [[3.0]]) == 0
    assert verdict([[3.0]], [[0.0]], [[2.999]]) == 1
    assert verdict([[-3.0]], [[0.0]], [[2.999]]) == -1


@quick
@given(seeds, st.sampled_from(SCALES))
def test_scores_are_inside_0_and_1_and_add_up(seed, scale):
    x = pictures(seed)
    votes = vote(x[0], x[1:], np.ones((16, 16)), scale)
    known = np.isfinite(votes.risk)
    for part in votes:
        assert (np.isfinite(part) == known).all()
        assert ((part[known] > 0) & (part[known] < 1)).all()
    np.testing.assert_allclose(votes.invented + votes.missed, votes.risk)


@quick
@given(seeds, st.sampled_from(SCALES), st.integers(-100, 100), st.sampled_from([0.25, 2.0, 64.0]))
def test_a_common_shift_and_scale_change_nothing(seed, scale, shift, factor):
    x = pictures(seed)
    first = vote(x[0], x[1:], np.full((16, 16), 1.5), scale)
    again = vote(
        (x[0] + shift) * factor,
        (x[1:] + shift) * factor,
        np.full((16, 16), 1.5 * factor),
        scale,
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


@quick
@given(seeds)
def test_swapping_the_signs_swaps_invented_and_missed(seed):
    x = pictures(seed)
    votes, mirrored = (vote(s * x[0], s * x[1:], np.ones((16, 16))) for s in (1, -1))
    np.testing.assert_array_equal(votes.invented, mirrored.missed)


@quick
@given(seeds, st.integers(0, 11), st.integers(0, 11))
def test_a_tile_with_its_halo_equals_the_whole(seed, top, left):
    generator = np.random.default_rng(seed)
    x = pictures(seed, side=20) + generator.random((5, 20, 20)) * 1e-3
    tolerance = generator.random((20, 20)) + 1
    whole = vote(x[0], x[1:], tolerance).risk
    tile = np.s_[top : top + 9, left : left + 9]
    part = vote(x[0][tile], [d[tile] for d in x[1:]], tolerance[tile]).risk
    core = np.s_[1:-1, 1:-1]
    np.testing.assert_array_equal(part[core], whole[tile][core])


def test_tiles_of_means_are_equal_to_the_bit():
    x = np.random.default_rng(0).random((64, 64)) * 1e6
    np.testing.assert_array_equal(
        sliding_mean(x[8:40, 3:40])[1:-1, 1:-1], sliding_mean(x)[9:39, 4:39]
    )
    part = sliding_mean(x[8:40, 3:40], 9)[4:-4, 4:-4]
    np.testing.assert_array_equal(part, sliding_mean(x, 9)[12:36, 7:36])
    np.testing.assert_array_equal(block_mean(x[16:48, 32:64], 16), block_mean(x, 16)[1:3, 2:4])


def test_masked_pixels_neither_count_nor_get_a_score():
    x = np.ones((5, 5))
    x[2, 2] = np.nan
    assert np.isnan(sliding_mean(x)[2, 2])
    assert sliding_mean(x)[1, 1] == 1.0
    other = np.zeros((5, 5))
    other[0, 0] = np.nan
    votes = vote(x, [np.zeros((5, 5)), other], np.full((5, 5), 0.5))
    assert np.isnan(votes.risk[[2, 0], [2, 0]]).all()
    assert votes.risk[4, 4] == 2.5 / 3
    empty = np.full((4, 4), np.nan)
    for scale in (3, 4):
        assert np.isnan(vote(empty, [empty], empty, scale).risk).all()


def test_region_votes_see_what_pixels_do_not():
    truth, tolerance = np.zeros((16, 16)), np.full((16, 16), 1.0)
    stripes = np.tile([3.0, -3.0], (16, 8))
    assert (np.abs(verdict(stripes, truth, tolerance, 16)) == 0).all()
    assert (verdict(truth + 1.5, truth, tolerance, 16) == 1).all()


def test_tolerances():
    three = Tolerance.parse("3sigma").limit(np.zeros((1, 2)), 0.0, [[1.0, 2.0]])
    np.testing.assert_array_equal(three, [[3.0, 6.0]])
    image = np.full((12, 12), 110.0)
    image[0, 0] = np.nan
    tolerance = tolerance_percent(image, 10.0, np.full((12, 12), 2.0), 5.0)
    assert np.isnan(tolerance[0, 0])
    assert np.nanmax(np.abs(tolerance - 5.0)) < 1e-12
    # a sky at the background, and one below it
    assert tolerance_percent([[10.0]], 10.0, 2.0, 5.0) == 2.0
    assert tolerance_percent([[-190.0]], 10.0, 2.0, 5.0) == 10.0


def test_what_cannot_be_voted_on_is_refused():
    with pytest.raises(InputError, match="no other draw"):
        vote([[1.0]], [], [[1.0]])
    with pytest.raises(OptionError, match="5 px"):
        verdict([[1.0]], [[1.0]], [[1.0]], 5)
    with pytest.raises(InputError, match="5 x 4 px"):
        verdict(np.ones((5, 4)), np.ones((5, 4)), np.ones((5, 4)), 4)


def test_exchangeable_draws_are_calibrated_and_a_delivered_mean_is_not():
    generator = np.random.default_rng(3)
    side, draws = 256, 16
    # per pixel a source is there or not: the posterior of an honest sampler
    chance = generator.random((side, side))
    x = (generator.random((draws + 2, side, side)) < chance) * 9.0
    tolerance = np.full((side, side), 2.5)
    event = verdict(x[0], x[-1], tolerance) != 0
    risk = vote(x[0], x[1:-1], tolerance).risk
    # calibrated but for the half vote
    assert abs(risk.mean() - (0.5 + draws * event.mean()) / (draws + 1)) < 0.01
    middle = (risk > 0.3) & (risk < 0.5)
    assert abs(event[middle].mean() - risk[middle].mean()) < 0.06
    # a mean of draws has seen its voters, and they flatter it
    mean, voters, tolerance = x[:3].mean(0), x[:3], tolerance - 1
    share = (4 * vote(mean, voters, tolerance).risk.mean() - 0.5) / 3
    assert share < 0.6 * (verdict(mean, x[-1], tolerance) != 0).mean()
