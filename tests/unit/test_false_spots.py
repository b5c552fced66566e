"""Spots that are put where the truth has none are counted, and nothing else."""

import numpy as np
import pytest

from sciup.evaluate.fluorescence.protocol import READ_NOISE, Case, Condition, degrade
from sciup.evaluate.fluorescence.spots import false_spots
from sciup.testing.toy_images import star

FWHM = 2.0
PLACE = (90, 41)


@pytest.fixture(scope="module", params=["2:200", "4:50"])
def case(request):
    """A wide cell and a bright spot, 4x."""
    y, x = np.mgrid[:160, :160]
    level = np.exp(-((y - 80.0) ** 2 + (x - 80) ** 2) / 1500) + 30 * star((160, 160), 60, 110, 2.0)
    condition = Condition.parse(request.param, 4)
    observed, truth = degrade(level, condition, [1])
    light = condition.light
    return Case("", "", "", "", 4, observed.astype(np.float32), truth, light, condition.fwhm)


def with_spot(case, snr):
    """The truth and a spot of this S/N in the input."""
    width = np.hypot(case.fwhm, FWHM / 4) / 2.3548
    local = case.truth[PLACE[0] - 2 : PLACE[0] + 2, PLACE[1] - 2 : PLACE[1] + 2].mean()
    noise = np.sqrt((local + READ_NOISE**2) * 4 * np.pi * (width**2 + 1 / 12))
    return case.truth + snr * noise * 16 * star(case.truth.shape, *PLACE, FWHM)


def test_the_truth_has_no_false_spots(case):
    count, empty = false_spots(case.truth, case, FWHM)
    assert count == 0
    assert 0.5 * case.truth.size < empty < case.truth.size


@pytest.mark.parametrize(("snr", "counted"), [(3.5, 0), (7.0, 1)])
def test_a_spot_counts_from_five_sigmas_on(case, snr, counted):
    assert false_spots(with_spot(case, snr), case, FWHM)[0] == counted


def test_a_brighter_spot_of_the_truth_is_none(case):
    brighter = case.truth + case.truth.max() * star(case.truth.shape, 60, 110, FWHM)
    assert false_spots(brighter, case, FWHM)[0] == 0
