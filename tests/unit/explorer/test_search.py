"""What is searched for is found, or told as not found; what was scored is returned."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import sciup
from sciup.errors import OptionError
from sciup.explorer.fit import ALLOWED, LOCAL, inflation, judge
from sciup.explorer.goals import Distinct, Farthest, apart, pairs
from sciup.explorer.latents import Latents
from sciup.explorer.run import open_stamp
from sciup.explorer.search import moved, neighbours, search
from sciup.explorer.typical import typicality
from sciup.geometry import Box
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

KNOWN = {"psf_fwhm": 2.0, "gain": 1.0, "read_noise": 1.0, "background": 0.0, "device": "cpu"}
ROI = Box((12, 14), (28, 30))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m") / "toy"
    return write_toy_model(folder, domain="fluorescence", channels=4, head_channels=4)


def stamp_of(model, image, **more):
    options = KNOWN | {"precision": "fp32", "samples": 1, "maps": ("sample",)} | more
    return open_stamp(sciup.upscale(image, model=model, **options), ROI)


@pytest.fixture(scope="module")
def stamp(model):
    return stamp_of(model, cells((48, 52)))


def draws(stamp, *numbers):
    return Latents.cat([stamp.latents(k) for k in numbers])


def test_draws_that_disagree_are_brought_to_agree(stamp):
    start = draws(stamp, 0, 1)
    with torch.no_grad():
        before = judge(stamp, stamp.whole(start))
    assert not before.accepted.all()
    found = search(stamp, start, None, 40)
    assert found.accepted.all()
    assert len(found.history) < 40  # it ends when all agree


@pytest.mark.parametrize("joint", [True, False])
def test_the_image_that_was_scored_is_the_one_that_is_returned(stamp, joint):
    start = draws(stamp, 0, 1)
    with torch.no_grad():
        goal = Distinct(1.0) if joint else Farthest(stamp.whole(stamp.latents(2)), 1.0)
    found = search(stamp, start, goal, 12)
    with torch.no_grad():
        again = stamp.whole(found.latents)
        fit = judge(stamp, again)
        assert torch.equal(again, found.images)
        assert torch.equal(fit.accepted, found.accepted)
        assert torch.allclose(fit.badness, found.badness)
        score = goal.loss(stamp, again)
    assert torch.allclose(score[found.accepted], found.score[found.accepted])


def test_a_search_serves_its_goal_and_stays_within_reach(stamp):
    start = draws(stamp, 1, 2)
    with torch.no_grad():
        reference = stamp.whole(stamp.latents(0))
        fitted = search(stamp, start, None, 40)
        before = apart(stamp, fitted.images, reference)
    for reach in (6.0,):
        found = search(stamp, start, Farthest(reference, 1.0), 30, reach=reach)
        assert found.accepted.all()
        assert (apart(stamp, found.images, reference) > before).all()
        assert (moved(found.latents, start) < 1.5 * reach).all()


def test_noise_stays_ordinary(stamp):
    found = search(stamp, draws(stamp, 0), Farthest(torch.zeros(1, 1, 1, 1), 1.0), 20)
    facts = typicality(found.latents)
    assert facts["ordinary"]
    waves = torch.sin(torch.arange(found.latents.fine.shape[-1]) / 3.0).expand_as(
        found.latents.fine
    )
    flat = found.latents._replace(fine=2**0.5 * waves)
    assert not typicality(flat)["ordinary"]
    assert neighbours(flat) > 10 * neighbours(found.latents)


def test_impossible_data_are_not_agreed_with(model):
    image = cells((48, 52))
    image[18:22:2, 20:24:2] += 5000  # single bright pixels, sharper than any PSF
    image[19:23:2, 21:25:2] = 0
    found = search(stamp_of(model, image), stamp_of(model, image).latents(0), None, 8)
    assert not found.accepted.any()
    assert (found.badness > 1).all()
    assert torch.isinf(found.score).all()


def test_exact_data_are_met_exactly(model):
    smooth = gaussian_filter(cells((48, 52)), 1.5)
    stamp = stamp_of(model, smooth, noise_free=True, psf_fwhm=1.4)
    start = draws(stamp, 0, 1)
    with torch.no_grad():
        reference = stamp.whole(stamp.latents(0))
    found = search(stamp, start, Farthest(reference, 1.0), 4)
    with torch.no_grad():
        fit = judge(stamp, found.images)
        error = stamp.cut(stamp.residual(found.images) * stamp.window.sigma)
    assert found.accepted.all()
    seen = stamp.cut(stamp.window.measured)
    assert (error.flatten(1).norm(dim=1) <= 1e-3 * seen.norm()).all()
    assert torch.equal(fit.accepted, found.accepted)
    assert float(apart(stamp, found.images[1:], reference)) > 0.01  # many images give the same data


def test_chi2_counts_only_pixels_with_data(model):
    image = cells((48, 52))
    image[12:20, 14:22] = np.nan  # the first of the region's four blocks
    stamp = stamp_of(model, image)
    with torch.no_grad():
        whole = stamp.whole(stamp.latents(0))
        fit = judge(stamp, whole)
    assert fit.count == 16 * 16 - 64
    assert fit.blocks.shape == (1, 4)
    assert float(fit.blocks[0, 0]) == 0
    residual = stamp.cut(stamp.residual(whole))
    assert float(fit.chi2) == pytest.approx(float(residual.square().sum()), rel=1e-5)
    assert not stamp.footprint[:8, :8].any()
    assert np.isnan(stamp.values(whole)[:16, :16]).all()
    assert np.isfinite(stamp.values(whole)[16:]).all()


def test_an_image_is_judged_by_its_worst_block_too(stamp):
    found = search(stamp, draws(stamp, 0), None, 40)
    fit = judge(stamp, found.images)
    assert fit.accepted.all()
    assert fit.excess.abs().max() <= ALLOWED
    assert fit.blocks.abs().max() <= LOCAL
    lifted = found.images.clone()
    y, x = (2 * (n // 2) for n in stamp.window.box.shape)
    lifted[..., y : y + 4, x : x + 4] += 60 * float(stamp.cut(stamp.window.sigma).mean())
    worse = judge(stamp, lifted)
    assert not worse.accepted.any()
    assert float(worse.matched.abs().max()) > float(fit.matched.abs().max()) + 5
    assert float(worse.loss) > float(fit.loss) + 1


def test_less_than_no_light_costs(stamp):
    with torch.no_grad():
        image = stamp.whole(stamp.latents(0))
        dark = judge(stamp, image - 100)
        assert float(dark.dark.max()) > 1
        assert float(dark.loss) > float(judge(stamp, image).loss)


@pytest.mark.parametrize(("correlation", "factor"), [(0.0, 1.0), (0.3, None), (0.6, None)])
def test_correlated_noise_widens_chi2(correlation, factor):
    if factor is not None:
        assert inflation(correlation) == factor
        return
    from sciup.generators.noise import correlate

    rng = np.random.default_rng(0)
    white = rng.standard_normal((400, 42, 42)).astype(np.float32)
    chi2 = np.array([np.square(correlate(w, correlation)).sum() for w in white])
    assert chi2.std() == pytest.approx((2 * 1600 * inflation(correlation)) ** 0.5, rel=0.15)


def test_distances_are_those_of_means_in_sigmas(stamp):
    with torch.no_grad():
        a = stamp.whole(stamp.latents(0))
        sigma = stamp.window.sigma.repeat_interleave(2, -1).repeat_interleave(2, -2)
        assert float(apart(stamp, a, a)) < 1e-5
        # not exactly 2: sigma varies inside the 3 px means
        assert float(apart(stamp, a + 2 * sigma, a)) == pytest.approx(2, rel=0.05)
        three = torch.cat([a, a + sigma, a + 2 * sigma])
        assert pairs(stamp, three).tolist() == pytest.approx([1, 2, 1], rel=0.05)


def test_question_refuses_what_it_cannot_answer():
    from sciup.explorer.flux import Aperture
    from sciup.explorer.question import Question

    for options in (
        {"goal": "prettiest"},
        {"goal": "distinct", "answers": 1},
        {"goal": "farthest", "answers": 33},
        {"goal": "distinct", "steps": 0},
        {"goal": "distinct", "reach": 0.0},
        {"goal": "brightest", "aperture": Aperture((1, 1))},
        {"goal": "brightest", "aperture": Aperture((1, 1), -1.0)},
        {"goal": "one-or-two"},
        {"goal": "sketch"},
        {"goal": "distinct", "sketch": np.zeros((4, 4), np.float32)},
    ):
        with pytest.raises(OptionError):
            Question(**options)
