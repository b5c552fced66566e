"""PSFs of night-sky training: what blurs the truth, and what the sampler is told."""

import numpy as np
import pytest

from sciup.physics.psf import gaussian, moments
from sciup.train.recipe_parts import Degradation
from sciup.train.sky.optics import draw_optics


def pairs(share: float, scale: int = 2, count: int = 40, **shapes: float):
    shapes = shapes or {"moffat": 1.0}
    d = Degradation(psf_fwhm=(1.6, 3.2), shapes=shapes, guessed_psf_share=share, ellipticity=0.08)
    rng = np.random.default_rng(1)
    return [draw_optics(rng, d, scale, 2.0) for _ in range(count)]


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_kernels_sum_to_one_and_are_centred(scale):
    for kernel, told in pairs(0.5, scale, 12, moffat=0.5, gaussian=0.3, airy=0.2):
        for k in (kernel, told):
            assert k.sum() == pytest.approx(1)
            half = k.shape[0] // 2
            y, x = np.mgrid[-half : half + 1, -half : half + 1]
            assert abs((k * y).sum()) < 1e-6 * k.shape[0]
            assert abs((k * x).sum()) < 1e-6 * k.shape[0]


def test_the_whole_psf_has_the_stated_width():
    """A Gaussian of 3.2 input px at most: with the target, nothing is wider."""
    from scipy.signal import fftconvolve

    for kernel, _ in pairs(0.0, gaussian=1.0):
        whole = fftconvolve(np.pad(kernel, 10), gaussian(31, 2.0), "same")
        assert 1.6 * 2 * 0.9 < moments(whole)[0] < 3.2 * 2 * 1.1


def test_guesses_are_near_round_and_of_the_asked_share():
    drawn = pairs(0.25, count=200)
    guessed = [(a, b) for a, b in drawn if a is not b]
    assert 0.15 < len(guessed) / len(drawn) < 0.35
    for true, told in guessed:
        fwhm, e1, e2 = moments(told)
        assert np.hypot(e1, e2) < 0.02
        assert fwhm == pytest.approx(moments(true)[0], rel=0.35, abs=0.5)
