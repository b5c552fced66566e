"""Tiled equals whole, region equals crop, saved equals lazy, resumed equals straight: bit for bit.

All comparisons are `numpy.array_equal`: a difference in the last bit fails.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sciup
from sciup.engine.job import Worker
from sciup.errors import InterruptedRunError
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (300, 260)
KEEP = 6
MODELS = {"night-sky": 2, "fluorescence": 4}
CASES = [(domain, precision) for domain in MODELS for precision in ("fp32", "bf16")]
each = pytest.mark.parametrize(("domain", "precision"), CASES)
domains = pytest.mark.parametrize("domain", MODELS)


@functools.cache
def models():
    folder = Path(tempfile.mkdtemp())
    return {
        d: write_toy_model(folder / d, scale=s, domain=d, channels=8, head_channels=8)
        for d, s in MODELS.items()
    }


@functools.cache
def image(domain):
    values = star_field(SHAPE) if domain == "night-sky" else cells(SHAPE)
    rng = np.random.default_rng(4)
    values[rng.uniform(size=SHAPE) < 0.003] = np.nan  # dead pixels
    values[:, 77] = np.nan  # a dead column
    values[250:, 200:] = np.nan  # a corner without data
    return open_array(values, domain=domain, flux_per_pixel=domain == "night-sky")


def result(domain, precision="fp32", **more):
    options = {"samples": KEEP - 1, "keep_samples": KEEP, "seed": 3, "psf_fwhm": 2.3} | more
    return sciup.upscale(
        image(domain), model=models()[domain], precision=precision, device="cpu", **options
    )


def compute(result):
    """All maps of a result of one shard."""
    (task,) = result.job.tasks()
    return Worker(result.job).compute(task)


@functools.cache
def whole(domain, precision):
    return compute(result(domain, precision))


def assert_same(part, domain, precision, box):
    full = whole(domain, precision)
    inside = box.scaled(MODELS[domain]).slices
    assert set(part) == set(full)
    for name, values in part.items():
        assert np.array_equal(values, full[name][inside], equal_nan=True), name


@each
def test_the_whole_has_all_maps_and_draws_that_differ(domain, precision):
    full = whole(domain, precision)
    s = MODELS[domain]
    masked = np.isnan(image(domain).array).repeat(s, 0).repeat(s, 1)
    assert set(full) == {"sample", "mean", "std", "risk_raw", "support"} | {
        f"samples_{k}" for k in range(KEEP)
    }
    for name, values in full.items():
        assert values.dtype == np.float32
        assert np.array_equal(np.isnan(values), masked), name
    assert (full["std"][~masked] > 0).all()
    assert np.array_equal(full["sample"], full["samples_0"], equal_nan=True)


@st.composite
def regions(draw):
    """Small regions, most of them over an edge between windows or at an edge of the image."""
    box = []
    for n in SHAPE:
        near = draw(st.sampled_from([0, 128, 256, n]))
        start = min(max(near + draw(st.integers(-30, 15)), 0), n - 2)
        box.append((start, min(start + draw(st.integers(1, 45)), n)))
    return Box(*(tuple(p) for p in zip(*box, strict=True)))


@each
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(region=regions())
def test_a_region_equals_the_crop_of_the_whole(domain, precision, region):
    assert_same(compute(result(domain, precision, roi=region)), domain, precision, region)


@domains
@pytest.mark.parametrize("tile", [64, 100, 256, 1000])
def test_tile_size_changes_nothing(domain, tile):
    region = Box((110, 100), (140, 250))
    part = compute(result(domain, tile=tile, roi=region))
    assert_same(part, domain, "fp32", region)


@each
def test_sample_5_alone_is_sample_5_of_the_full_run(domain, precision):
    # other numbers of samples and other maps do not matter
    alone = result(domain, precision, samples=1, keep_samples=0, maps=("mean",)).sample(5)
    full = whole(domain, precision)["samples_5"]
    assert np.array_equal(alone.compute(scheduler="synchronous"), full, equal_nan=True)


@domains
def test_a_saved_file_equals_the_lazy_result(domain, tmp_path):
    options = {"roi": Box((100, 60), (180, 150))}
    lazy = result(domain, **options)
    path = lazy.save(tmp_path / ("out.fits" if domain == "night-sky" else "out.ome.zarr"))
    maps = {
        "sample": lazy.sample(0), "mean": lazy.mean, "std": lazy.std, "risk_raw": lazy.risk,
        "support": lazy.support,
    }  # fmt: skip
    for name, array in maps.items():
        values = array.compute(scheduler="synchronous")
        assert np.array_equal(read(path, name), values, equal_nan=True), name
    for k in (0, 5):
        values = lazy.sample(k).compute(scheduler="synchronous")
        assert np.array_equal(read(path, "samples")[k], values, equal_nan=True)


def read(path, name):
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            return hdus[name.upper()].data.astype(np.float32)
    import zarr

    return zarr.open_array(str(path / name / "0"), mode="r")[:]


@domains
def test_a_resumed_run_equals_a_straight_one(domain, tmp_path):
    """Stopped after the first of two planes, then resumed with another tile size."""
    plane = image(domain).array[:60, :60]
    cube = open_array(np.stack([plane, plane[::-1]]), domain=domain)

    def run(path, tile=512, **more):
        lazy = sciup.upscale(
            cube, model=models()[domain], samples=2, psf_fwhm=2.3, tile=tile, device="cpu"
        )
        return lazy.save(path, **more)

    suffix = ".fits" if domain == "night-sky" else ".ome.zarr"
    straight = run(tmp_path / f"a{suffix}")

    def stop(done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run(tmp_path / f"b{suffix}", progress=stop)
    resumed = run(tmp_path / f"b{suffix}", tile=64, resume=True)
    for name in ("sample", "mean", "std", "risk_raw", "support"):
        assert np.array_equal(read(straight, name), read(resumed, name), equal_nan=True), name


def test_threads_of_dask_change_nothing():
    lazy = result("night-sky", roi=Box((100, 100), (200, 200)))
    one = lazy.mean.compute(scheduler="synchronous")
    many = lazy.mean.compute(scheduler="threads", num_workers=4)
    assert np.array_equal(one, many, equal_nan=True)


@domains
def test_threads_of_torch_change_rounding_only(domain):
    """torch cuts elementwise work by its threads and rounds sinh and silu otherwise at cuts."""
    region = Box((100, 100), (140, 120))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        part = compute(result(domain, roi=region))
    finally:
        torch.set_num_threads(before)
    inside = region.scaled(MODELS[domain]).slices
    for name in ("sample", "mean", "std"):
        full = whole(domain, "fp32")[name][inside]
        np.testing.assert_allclose(part[name], full, rtol=1e-5, atol=1e-4)


def test_the_seed_changes_every_draw():
    region = Box((0, 0), (20, 20))
    a, b = (result("night-sky", roi=region, seed=s).sample(1).compute() for s in (3, 4))
    good = np.isfinite(a)
    assert (a[good] != b[good]).mean() > 0.99
