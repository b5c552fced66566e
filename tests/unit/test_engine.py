"""What the maps mean: masks, halo, flux, votes, tolerance; and what is refused."""

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import binary_dilation, gaussian_filter, maximum_filter, uniform_filter

import sciup
from sciup.engine.job import Worker
from sciup.engine.margins import CORE, halo_of
from sciup.engine.settings import Settings
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.io._array import open_array
from sciup.risk.tolerance import Tolerance
from sciup.risk.votes import vote
from sciup.testing.toy_images import SIGMA_TO_FWHM, cells, star, star_field
from sciup.testing.toy_model import write_toy_model

SCALES = {"night-sky": 2, "fluorescence": 4}
domains = pytest.mark.parametrize("domain", SCALES)
both = pytest.mark.parametrize(
    ("domain", "scale"), [*SCALES.items(), ("night-sky", 1), ("fluorescence", 1)]
)


@functools.cache
def model(domain, scale=None):
    return write_toy_model(
        Path(tempfile.mkdtemp()) / domain,
        domain=domain,
        scale=scale or SCALES[domain],
        channels=4,
        head_channels=4,
    )


def upscale(values, domain, flux_per_pixel=False, scale=None, **more):
    image = open_array(values, domain=domain, flux_per_pixel=flux_per_pixel)
    options = {"samples": 2, "psf_fwhm": 2.3, "device": "cpu", "precision": "fp32"} | more
    return sciup.upscale(image, model=model(domain, scale), **options)


def maps_of(result, plane=0, image=None):
    job = result.job if image is None else replace(result.job, image=image)
    task = list(job.tasks())[plane]
    return Worker(job).compute(task)


# Statistics given by hand: then a pixel acts through the network and the projection only.
FIXED = {"background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
SHAPE = (260, 200)
PIXEL = (100, 90)


@functools.cache
def reference():
    result = upscale(star_field(SHAPE), "night-sky", **FIXED)
    return result, maps_of(result)


def far(reach):
    """Fine pixels farther than `reach` input pixels from `PIXEL`."""
    y, x = np.indices(SHAPE)
    near = (abs(y - PIXEL[0]) <= reach) & (abs(x - PIXEL[1]) <= reach)
    return ~near.repeat(2, 0).repeat(2, 1)


def other_windows():
    """Fine pixels of cores whose window does not hold `PIXEL`."""
    halo = halo_of(Worker(reference()[0].job).net)
    y, x = np.indices(SHAPE)
    sees = np.ones(SHAPE, bool)
    for index, at in ((y, PIXEL[0]), (x, PIXEL[1])):
        start = index // CORE * CORE
        sees &= (start - halo <= at) & (at < start + CORE + halo)
    return ~sees.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize("value", [np.nan, 130.0, 2000.0])
def test_a_pixel_acts_within_the_halo_only(value):
    result, before = reference()
    values = star_field(SHAPE)
    values[PIXEL] = value
    after = maps_of(result, image=open_array(values, domain="night-sky"))
    halo = halo_of(Worker(result.job).net)
    outside, elsewhere = far(halo), other_windows()
    assert elsewhere.any()
    for name in ("sample", "mean", "std"):
        a, b = before[name], after[name]
        assert np.array_equal(a[elsewhere], b[elsewhere]), name
        # the same window is transformed as a whole: rounding of float32, nothing else
        assert np.abs(a - b)[outside].max() < 2e-3, name
        assert not np.array_equal(a, b)
    block = np.s_[2 * PIXEL[0] : 2 * PIXEL[0] + 2, 2 * PIXEL[1] : 2 * PIXEL[1] + 2]
    for name, values in after.items():
        assert np.isnan(values[block]).all() == np.isnan(value), name
        assert np.isnan(values).sum() == (4 if np.isnan(value) else 0), name


@both
def test_masked_pixels_are_nan_in_every_map_and_nothing_else_is(domain, scale):
    values = star_field((90, 80)) if domain == "night-sky" else cells((90, 80))
    values[np.random.default_rng(0).uniform(size=values.shape) < 0.05] = np.nan
    values[:, 30] = np.inf
    values[60:, 60:] = -np.inf
    masked = ~np.isfinite(values)
    for name, got in maps_of(upscale(values, domain, scale=scale)).items():
        assert got.dtype == np.float32
        assert np.array_equal(np.isnan(got), masked.repeat(scale, 0).repeat(scale, 1)), name
        assert np.isfinite(got[~np.isnan(got)]).all(), name


def test_garbage_under_the_mask_does_not_matter():
    values = star_field((90, 80))
    mask = np.zeros(values.shape, bool)
    mask[20:30, 40:44] = True
    dirty = np.where(mask, np.float32(1e12), values)
    a, b = (
        maps_of(
            sciup.upscale(
                open_array(v, domain="night-sky", mask=mask), model=model("night-sky"),
                samples=1, psf_fwhm=2.0, device="cpu",
            )
        )
        for v in (values, dirty)
    )  # fmt: skip
    for name, got in a.items():
        assert np.array_equal(got, b[name], equal_nan=True)


def test_saturated_pixels_are_masked(tmp_path):
    values = star_field((90, 80))
    values[40, 41] = 65535
    path = tmp_path / "in.fits"
    fits.PrimaryHDU(values, fits.Header({"SATURATE": 60000.0, "BUNIT": "adu"})).writeto(path)
    result = sciup.upscale(path, model=model("night-sky"), samples=1, psf_fwhm=2.0, device="cpu")
    for name, got in maps_of(result).items():
        assert np.isnan(got[80:82, 82:84]).all(), name
        assert np.isnan(got).sum() == 4, name


PSF = star((31, 31), 15, 15, 2.5)


@both
@pytest.mark.parametrize("flux", [False, True])
@pytest.mark.parametrize("noise_free", [False, True])
def test_brightness_is_kept(domain, scale, flux, noise_free):
    """Block sums for fluxes, block means for intensities, over the sky and over a star."""
    values = star_field((100, 100), stars=0)
    values += (80000 * star((100, 100), 50.3, 48.8, 2.5)).astype(np.float32)
    result = upscale(
        values, domain, flux, scale, noise_free=noise_free, samples=3, psf_fwhm=None, psf=PSF
    )
    mean = maps_of(result)["mean"].astype(np.float64) * (scale**2 if flux else 1)
    blocks = mean.reshape(100, scale, 100, scale).mean((1, 3))
    aperture = np.hypot(*(np.mgrid[:100, :100] - 50)) < 14
    sky = np.hypot(*(np.mgrid[:100, :100] - 50)) > 25
    assert blocks[sky].mean() == pytest.approx(values[sky].mean(), abs=1.0)
    star_in, star_out = ((v[aperture] - v[sky].mean()).sum() for v in (values, blocks))
    # without training the pre-draw knows nothing: the projection alone brings the flux back
    assert star_out == pytest.approx(star_in, rel=0.05)


def test_flux_and_intensity_differ_by_the_scale_squared_only():
    values = star_field((60, 50))
    a, b = (maps_of(upscale(values, "night-sky", flux)) for flux in (False, True))
    for name in ("sample", "mean", "std"):
        np.testing.assert_allclose(a[name], 4 * b[name], rtol=1e-6)
    for name in ("risk_raw", "support"):
        assert np.array_equal(a[name], b[name])


@pytest.mark.parametrize("fwhm", [1.0, 1.3, 3.0])
def test_noise_free_data_are_followed(fwhm):
    """The blurred and binned sample gives back the input, much closer than its noise."""
    values = star_field((100, 90), noise=0.0, stars=100, flux=(100, 2000), fwhm=fwhm)
    psf = star((31, 31), 15, 15, fwhm)
    options = {"psf_fwhm": None, "psf": psf, "samples": 1, "maps": ("sample",), **FIXED}
    rest = max((2 * fwhm) ** 2 - 2.0**2, 0) ** 0.5 / SIGMA_TO_FWHM
    errors = []
    for noise_free in (True, False):
        sample = maps_of(upscale(values, "night-sky", noise_free=noise_free, **options))["sample"]
        seen = gaussian_filter(sample.astype(np.float64), rest) if rest else sample
        blocks = seen.reshape(100, 2, 90, 2).mean((1, 3))
        left = np.abs(blocks - values)[10:-10, 10:-10]
        errors.append(1.4826 * np.median(left))
        if noise_free:  # stars too, though the untrained pre-draw knows nothing of them
            assert left.max() < 0.15 * np.ptp(values)
    assert errors[0] < 0.8
    assert errors[0] < 0.4 * errors[1]


@both
@pytest.mark.parametrize("shape", [(5, 7), (2, 50), (50, 2), (3, 200), (129, 33), (31, 32)])
def test_small_images(domain, scale, shape):
    values = np.random.default_rng(1).poisson(100, shape).astype(np.float32)
    for name, got in maps_of(upscale(values, domain, scale=scale, samples=1)).items():
        assert got.shape == (shape[0] * scale, shape[1] * scale)
        assert np.isfinite(got).all(), name


@domains
def test_small_images_with_holes(domain):
    values = np.random.default_rng(1).poisson(100, (5, 7)).astype(np.float32)
    values[2, 3] = np.nan
    got = maps_of(upscale(values, domain, samples=1))["mean"]
    assert np.isnan(got).sum() == SCALES[domain] ** 2


@domains
@pytest.mark.parametrize("fill", [np.nan, 12.0])
def test_nothing_to_see_is_refused(domain, fill):
    with pytest.raises(InputError, match=r"same value|has data"):
        upscale(np.full((40, 50), fill, np.float32), domain)


def test_planes_of_a_cube_are_independent():
    plane = cells((40, 50))
    other = plane.copy()
    other[:, :10] = np.nan
    cube = np.stack([plane, plane, other])
    result = upscale(cube, "fluorescence")
    assert result.shape == (3, 160, 200)
    maps = [maps_of(result, plane=p) for p in range(3)]
    lazy = result.mean.compute(scheduler="synchronous")
    for p in range(3):
        assert np.array_equal(lazy[p], maps[p]["mean"], equal_nan=True)
    assert not np.isnan(lazy[:2]).any()
    assert np.isnan(lazy[2]).sum() == 40 * 10 * 16
    # equal planes have equal facts but never equal hallucinations
    a, b = result.job.instruments[:2]
    assert a == b
    spread = maps[0]["std"].mean()
    difference = maps[0]["sample"] - maps[1]["sample"]
    assert difference.std() > 0.5 * spread
    noise = [m["sample"] - m["mean"] for m in maps[:2]]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


def test_a_plane_alone_gets_the_draws_that_it_has_within_its_stack():
    stack = np.stack([cells((70, 60), seed=s) for s in range(4)]).reshape(2, 2, 70, 60)
    whole = open_array(stack, axes="czyx")
    options = {"samples": 2, "model": model("fluorescence"), "precision": "fp32"}
    plane = np.asarray(sciup.upscale(whole, **options).sample(0)[1, 0])
    for alone in (
        open_image(whole, channel=1, z=0),
        open_image(open_image(whole, channel=1), z=0),  # a part of a part
    ):
        assert np.array_equal(np.asarray(sciup.upscale(alone, **options).sample(0)[0, 0]), plane)
    other = sciup.upscale(open_image(whole, channel=0, z=0), **options).sample(0)
    assert not np.array_equal(np.asarray(other[0, 0]), plane)


@functools.cache
def voted():
    k = 5
    values = star_field((70, 60))
    result = upscale(values, "night-sky", samples=k, keep_samples=k + 1, **FIXED | {"gain": 1e9})
    return maps_of(result), np.stack([maps_of(result)[f"samples_{i}"] for i in range(k + 1)])


def test_mean_and_std_are_those_of_all_draws():
    maps, draws = voted()
    draws = draws.astype(np.float64)
    np.testing.assert_array_equal(maps["sample"], draws[0])
    np.testing.assert_allclose(maps["std"], draws.std(0, ddof=1), rtol=1e-3, atol=1e-4)
    # the mean head may move the average of 6 draws by 2 standard errors, and a local mean of that
    moved, error = maps["mean"] - draws.mean(0), maps["std"] / 6**0.5
    assert (np.abs(moved) <= 2 * error + 2 * maximum_filter(error, 9)).all()
    assert 0 < np.abs(moved).mean() < error.mean()
    assert abs(moved.mean()) < 0.05 * error.mean()


def test_risk_is_the_vote_of_the_others():
    maps, draws = voted()
    risk = maps["risk_raw"]
    assert ((risk > 0) & (risk < 1)).all()
    votes = risk * 6 - 0.5
    np.testing.assert_allclose(votes, votes.round(), atol=1e-5)
    # nearly no Poisson noise (gain 1e9): sigma is 5 everywhere, tau is 15
    far = [
        np.abs(uniform_filter(d.astype(np.float64) - draws[0], 3, mode="constant")) > 15
        for d in draws[1:]
    ]
    expected = (np.sum(far, 0) + 0.5) / 6
    inside = np.s_[1:-1, 1:-1]
    assert (np.abs(risk - expected)[inside] > 1e-6).mean() < 1e-3


def test_more_tolerance_less_risk():
    values = star_field((70, 60))
    risks = [
        maps_of(upscale(values, "night-sky", samples=4, tolerance=t, **FIXED))["risk_raw"]
        for t in ("0.1sigma", "1sigma", "100sigma")
    ]
    assert (risks[0] >= risks[1]).all()
    assert (risks[1] >= risks[2]).all()
    assert risks[0].mean() > 0.5
    np.testing.assert_allclose(risks[2], 0.1)  # half a vote of five


def test_per_cent_is_at_least_one_sigma_and_grows_with_brightness():
    values = star_field((70, 60), stars=0)
    values[20:50, 20:40] += 5000
    sigma, per_cent = (
        maps_of(upscale(values, "night-sky", samples=4, tolerance=t, **FIXED))["risk_raw"]
        for t in ("1sigma", "20%")
    )
    bright = np.zeros((70, 60), bool)
    bright[20:50, 20:40] = True
    fine = bright.repeat(2, 0).repeat(2, 1)
    sky = ~binary_dilation(fine, iterations=20)
    assert np.array_equal(sigma[sky], per_cent[sky])
    inner = np.zeros_like(fine)
    inner[50:90, 50:70] = True
    assert per_cent[inner].mean() < sigma[inner].mean()


@pytest.mark.parametrize("text", ["3", "sigma", "-1sigma", "0%", "2000%", "nan%", "1..2%"])
def test_tolerances_that_cannot_be_read(text):
    with pytest.raises(OptionError, match="--tolerance"):
        Tolerance.parse(text)


def test_support_is_a_share_and_larger_where_there_is_signal():
    values = star_field((100, 90), stars=0)
    values += (200000 * star((100, 90), 50, 45, 2.5)).astype(np.float32)
    support = maps_of(upscale(values, "night-sky"))["support"]
    assert ((support >= 0) & (support <= 1)).all()
    assert support[95:107, 85:97].mean() > 2 * support[:40].mean()


def test_the_tolerance_map_is_the_one_that_votes():
    """The votes counted again from the stored draws, with the stored tolerance."""
    values = star_field((96, 90))
    names = ("sample", "risk_raw", "tolerance", "snr")
    maps = maps_of(upscale(values, "night-sky", samples=4, keep_samples=5, maps=names))
    inner = np.s_[1:-1, 1:-1]  # at the border of the image its mirror votes, too
    draws = [maps[f"samples_{k}"] for k in range(1, 5)]
    again = vote(maps["sample"], draws, maps["tolerance"]).risk[inner]
    assert (np.abs(again - maps["risk_raw"][inner]) < 1e-6).mean() > 0.9999
    assert maps["snr"].shape == maps["sample"].shape
    bright = maps["sample"] > np.quantile(maps["sample"], 0.99)
    assert maps["snr"][bright].mean() > 5 > abs(np.median(maps["snr"]))


def test_electrons_without_any_noise_are_possible():
    """Photon counting: no read noise and pixels that counted nothing."""
    values = np.random.default_rng(0).poisson(0.2, (60, 70)).astype(np.uint16)
    values[20:30, 20:40] += np.uint16(30)
    maps = maps_of(upscale(values, "fluorescence", gain=1.0, read_noise=0.0, background=0.0))
    for name, got in maps.items():
        assert np.isfinite(got).all(), name
    assert maps["mean"][88:112, 90:150].mean() > 10


@both
def test_an_instrument_as_sharp_as_the_output(domain, scale):
    """Nothing is left to deconvolve, and that is no error."""
    values = star_field((40, 40))
    got = maps_of(upscale(values, domain, scale=scale, psf_fwhm=0.5))["mean"]
    assert np.isfinite(got).all()


def test_a_measured_psf_is_used():
    values = star_field((60, 60))
    picture = star((21, 21), 10, 10, 3.0)
    wide = upscale(values, "night-sky", psf_fwhm=None, psf=picture)
    assert wide.instrument.psf_fwhm.value == pytest.approx(3.15, abs=0.2)
    assert np.isfinite(maps_of(wide)["sample"]).all()


def test_a_very_bright_star_leaves_the_sky_alone():
    """Transforms of float32 spread rounding errors over the window: they must stay below noise."""
    values = star_field((128, 128), stars=0)
    calm = upscale(values, "night-sky", **FIXED)
    before = maps_of(calm)["mean"]
    values[64, 64] += 5e6
    after = maps_of(calm, image=open_array(values, domain="night-sky"))["mean"]
    away = np.ones_like(before, bool)
    away[70:188, 70:188] = False
    assert np.abs(after - before)[away].max() < 0.5  # a tenth of a sigma


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 0},
        {"samples": 5000},
        {"keep_samples": 9},
        {"maps": ("mean", "beauty")},
        {"maps": ()},
        {"seed": -1},
        {"tile": 0},
        {"threads": 0},
        {"roi": "0:10"},
        {"roi": "0:10,0:1000"},
        {"roi": Box((0, 0), (10, 1000))},
        {"roi": Box((5, 5), (5, 9))},
        {"device": "tpu"},
        {"precision": "fp8"},
        {"tolerance": "much"},
    ],
    ids=str,
)
def test_impossible_options_are_refused_before_any_work(options):
    with pytest.raises(OptionError):
        upscale(star_field((40, 40)), "night-sky", **options)


def test_settings_are_json():
    import json

    assert json.loads(json.dumps(Settings().as_json()))["tolerance"] == "3sigma"


def test_the_result_says_what_is_believed():
    result = upscale(star_field((60, 60)), "night-sky", **FIXED)
    assert result.instrument.noise_sigma.origin == "given"
    assert result.shape == (120, 120)
    with pytest.raises(OptionError, match="sample"):
        result.sample(-1)
