"""Blocks, their statistics, and the badge's arithmetic by hand."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.errors import InputError, ModelError
from sciup.risk.appearance import COUNT, appearance
from sciup.risk.badge import (
    Domain,
    conformal_p,
    field_score,
    pick_blocks,
)
from sciup.risk.familiar import Familiar, Features, shrunk_covariance, strangest
from sciup.risk.innovation import BLOCK, block_scores, spikes


def noise(seed=0, shape=(BLOCK, BLOCK)):
    return np.random.default_rng(seed).standard_normal(shape)


def scores(z, sigma=1.0, footprint=None, expected=(0.0, 0.0)):
    full = np.ones(z.shape, bool) if footprint is None else footprint
    return block_scores(z, np.full(z.shape, sigma), full, np.zeros(z.shape), expected)


def test_chi_squared_is_two_sided():
    z = noise()
    calm = scores(z)[0]
    assert calm < 0.05
    assert scores(z, 1 / 1.2)[0] == pytest.approx(2 * np.log(1.2), abs=0.05)
    assert scores(z, 1.2)[0] == pytest.approx(2 * np.log(1.2), abs=0.05)


def test_whiteness_is_against_the_instruments_correlation():
    white = noise()
    smooth = (white + np.roll(white, 1, 0) + np.roll(white, 1, 1)) / np.sqrt(3)
    assert scores(white)[1] < 5 < scores(smooth)[1]
    assert scores(smooth, expected=(1 / 3, 0.0))[1] < 8 < scores(white, expected=(1 / 3, 0.0))[1]
    # chi-squared alone sees nothing of it
    assert scores(smooth)[0] < 0.1
    coarse = np.repeat(noise(3, (64, 128)), 2, 0)
    assert scores(coarse)[1] > 20


def test_a_hot_pixel_is_a_spike_and_a_bright_star_with_a_poor_psf_is_not():
    z = noise()
    flat = np.zeros(z.shape)
    hot = z.copy()
    hot[64, 64] += 10
    assert spikes(z, flat) < 6 < 8 < spikes(hot, flat)
    assert scores(hot)[2] == spikes(hot, flat)
    y, x = np.indices(z.shape) - 64
    star = 500 * np.exp(-0.5 * np.hypot(y, x) ** 2)
    assert spikes(z + 0.05 * star, star) < 6
    masked = np.where(hot == hot[64, 64], np.nan, hot)
    assert spikes(masked, flat) < 6


def test_masked_pixels_do_not_count_and_small_footprints_are_not_judged():
    z = noise()
    footprint = np.ones(z.shape, bool)
    footprint[:64] = False
    spoilt = z.copy()
    spoilt[:64] = 1e6
    np.testing.assert_array_equal(
        scores(spoilt, footprint=footprint), scores(np.where(footprint, z, np.nan))
    )
    footprint[:125] = False
    assert np.isnan(scores(z, footprint=footprint)).all()
    assert np.isnan(scores(np.full(z.shape, np.nan))).all()
    assert np.isfinite(scores(np.zeros(z.shape))).all()


def test_features_are_whitened_even_with_fewer_blocks_than_features():
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((5, 5)) * [100, 1, 1, 0.01, 1]
    many = generator.standard_normal((4000, 5)) @ mixing
    covariance = shrunk_covariance(many)
    np.testing.assert_allclose(covariance, np.cov(many.T), rtol=0.1, atol=1e-2 * 100)
    found = Features(many)
    np.testing.assert_allclose(found.distance(many[:10]), 0, atol=1e-9)
    # one standard deviation is as far in every direction
    steps = [np.sqrt(covariance[i, i]) * np.eye(5)[i] for i in range(5)]
    few = Features(generator.standard_normal((10, 40)))
    near, far = few.distance(generator.standard_normal((2, 200, 40)) * [[[1.0]], [[3.0]]])
    assert np.median(far) > 1.5 * np.median(near)
    assert (found.distance(np.array(steps) * 8) > 3).all()
    constant = Features(np.column_stack([generator.random(20), np.ones(20)]))
    assert constant.distance([0.5, 1.1]) > 1e3 > 10 > constant.distance([0.5, 1.0])


def test_what_lies_between_two_kinds_is_not_familiar():
    generator = np.random.default_rng(0)
    kinds = (
        generator.normal([[-10.0, 0.0]], 1, (300, 2)),
        generator.normal([[10.0, 0.0]], 1, (300, 2)),
    )
    found = Features(np.concatenate(kinds))
    assert found.distance([0.0, 0.0]) > 5 * np.max(found.distance([[-10.0, 0.0], [10.0, 0.0]]))


def test_features_survive_plain_data():
    found = Features(noise(0, (20, 3)))
    again = Features.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_allclose(again.vectors, found.vectors, rtol=1e-4)
    with pytest.raises(ModelError, match="unknown key"):
        Features.from_dict(found.to_dict() | {"colour": 1})
    with pytest.raises(ModelError, match="differ in length"):
        Features.from_dict({"vectors": [[1.0], [1.0, 2.0]]})
    with pytest.raises(InputError):
        Features(np.array([[1.0, 2.0]]))


def test_ranks_by_hand():
    np.testing.assert_array_equal(conformal_p([5.0, 2.0, np.nan], [1, 2, 3, 4]), [0.2, 0.8, np.nan])
    assert conformal_p(9.0, [1.0, np.nan, np.nan]) == 0.75


def test_a_block_is_judged_by_itself():
    """So that a tile says what the whole image would."""
    calm = np.random.default_rng(0).random(40)
    domain = Domain(calm, calm, alpha=0.05)
    rows = np.array([0.5, 9.0, np.nan, 0.999999])
    together = domain.fires(rows)
    np.testing.assert_array_equal(together, [False, True, False, True])
    assert [bool(domain.fires(row)) for row in rows] == together.tolist()


def test_domain_survives_plain_data():
    calm = np.random.default_rng(0).random(40)
    calm[3] = np.nan
    again = Domain.from_dict(json.loads(json.dumps(Domain(calm, calm, 0.05).to_dict())))
    np.testing.assert_array_equal(again.block, calm)
    assert again.alpha == 0.05
    with pytest.raises(ModelError, match="unknown key"):
        Domain.from_dict(again.to_dict() | {"colour": 1})


def raw(rng, n, vectors=1.0):
    """Statistics of n blocks."""
    return np.column_stack(
        [
            rng.normal([5.0, 200.0, 4.5], [0.1, 30.0, 0.4], (n, 3)),
            rng.standard_normal((n, COUNT)),
            vectors * rng.standard_normal((n, 20)) * 7,
        ]
    )


def test_the_statistics_share_a_scale():
    """One in ten blocks like those of the training has a surprise above 1, whatever the unit."""
    rng = np.random.default_rng(0)
    rows = raw(rng, 800)
    familiar = Familiar.fit(rows[:400], np.arange(400) // 4)
    scores = familiar.scores(rows[400:])
    np.testing.assert_allclose((scores > 1).mean(0), 0.1, atol=0.09)
    most = np.log10(401)
    assert scores.max() <= most + 1e-9
    assert (strangest(familiar.scores(raw(rng, 400, 2.0))) > 2).mean() > 0.9
    strange = rows[0].copy()
    strange[1] = 400.0
    assert familiar.scores(strange)[1] == pytest.approx(most)
    assert np.isnan(familiar.scores(np.full_like(strange, np.nan))).all()
    again = Familiar.from_dict(json.loads(json.dumps(familiar.to_dict())))
    np.testing.assert_allclose(again.scores(rows), familiar.scores(rows), atol=0.02)


@pytest.mark.parametrize(("blocks", "units"), [(7, 7), (20, 1)])
def test_too_little_is_not_familiar(blocks, units):
    rows = raw(np.random.default_rng(0), blocks)
    with pytest.raises(InputError, match="8 blocks or more, of 2 units or more"):
        Familiar.fit(rows, np.arange(blocks) % units)


def test_blocks_of_one_unit_do_not_make_each_other_familiar():
    """A unit's blocks are near each other: a new unit must not look strange for that."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.standard_normal((60, 20)) * 7, 4, 0)
    rows = raw(rng, 240)
    rows[:, -20:] = centres + 0.1 * rng.standard_normal((240, 20))
    fresh = raw(rng, 60)
    surprise = Familiar.fit(rows, np.arange(240) // 4).scores(fresh)[:, -1]
    assert (surprise > 1).mean() < 0.25


def test_many_blocks_are_thinned():
    rows = raw(np.random.default_rng(0), 2500)
    familiar = Familiar.fit(rows, np.arange(2500))
    assert len(familiar.features.vectors) == len(familiar.known) == 834


def test_one_block_of_each_unit_by_seed():
    units = ["b", "a", "b", "c", "b"]
    picked = pick_blocks(units, 0)
    assert [units[i] for i in picked] == ["a", "b", "c"]
    assert len({pick_blocks(units, s)[1] for s in range(30)}) == 3


def test_a_field_without_judged_blocks_gets_no_verdict():
    domain = Domain(*[np.random.default_rng(0).random(40)] * 2)
    found = domain.judge(np.full(3, np.nan))
    assert np.isnan(found.field_p)
    assert not found.outside
    assert found.blocks == 0
    assert np.isnan(found.fired)
    assert np.isnan(field_score(np.full(3, np.nan)))


def test_a_badge_that_could_never_fire_is_refused():
    with pytest.raises(InputError, match=r"could never fire.*9 units or more"):
        Domain(np.zeros(8), np.zeros(8))
    with pytest.raises(InputError, match="one of each"):
        Domain(np.zeros(40), np.zeros(12))


def test_appearance_knows_bright_on_dark_from_dark_on_bright():
    rng = np.random.default_rng(0)
    blobs = np.zeros((128, 128))
    blobs[rng.integers(4, 124, 60), rng.integers(4, 124, 60)] = 900.0
    seen = np.round(gaussian_filter(blobs, 2)) + rng.standard_normal(blobs.shape)
    one, all_of_it = np.ones_like(seen), np.ones(seen.shape, bool)
    found = appearance(seen, one, all_of_it)
    assert len(found) == COUNT
    assert found[0] > 0.5
    turned = appearance(-seen, one, all_of_it)
    np.testing.assert_allclose(turned[[0, 2, 4]], -found[[0, 2, 4]], atol=1e-9)
    np.testing.assert_allclose(turned[[1, 3, 5, 6, 7, 11]], found[[1, 3, 5, 6, 7, 11]], atol=1e-9)
    np.testing.assert_allclose(appearance(5 * seen + 40, 5 * one, all_of_it), found, atol=1e-9)
    part = all_of_it.copy()
    part[:, 70:] = False
    np.testing.assert_array_equal(
        appearance(np.where(part, seen, 1e9), one, part), appearance(seen * part, one, part)
    )


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_appearance_of_nothing(value):
    flat = np.full((128, 128), value)
    assert np.isfinite(appearance(flat, np.ones_like(flat), flat == value)).all()
    assert np.isnan(appearance(flat, np.ones_like(flat), np.zeros(flat.shape, bool))).all()
