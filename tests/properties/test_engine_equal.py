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
from sciup.engine.settings import ADDED, MAPS, USUAL
from sciup.errors import InterruptedRunError
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model, write_toy_texture

SHAPE = (300, 260)
KEEP = 6
MODELS = {"night-sky-x2": 2, "fluorescence-x4": 4, "night-sky-x1": 1, "fluorescence-x1": 1}
CASES = [(name, precision) for name in MODELS for precision in ("fp32", "bf16")]
each = pytest.mark.parametrize(("name", "precision"), CASES)
names = pytest.mark.parametrize("name", MODELS)


def domain_of(name):
    return name.rpartition("-")[0]


@functools.cache
def models():
    folder = Path(tempfile.mkdtemp())
    for n, s in MODELS.items():
        write_toy_model(folder / n, scale=s, domain=domain_of(n), channels=8, head_channels=8)
        write_toy_calibration(folder / n, samples=KEEP - 1)
        if s > 1:  # at scale 1 there is no texture to add
            lit = domain_of(n) == "night-sky"
            write_toy_texture(folder / f"texture-{n}", folder / n, noise=True, lit=lit)
    return {n: folder / n for n in MODELS}


@functools.cache
def image(domain):
    values = star_field(SHAPE) if domain == "night-sky" else cells(SHAPE)
    rng = np.random.default_rng(4)
    values[rng.uniform(size=SHAPE) < 0.003] = np.nan  # dead pixels
    values[:, 77] = np.nan  # a dead column
    values[250:, 200:] = np.nan  # a corner without data
    return open_array(values, domain=domain, flux_per_pixel=domain == "night-sky")


def result(name, precision="fp32", **more):
    options = {"samples": KEEP - 1, "keep_samples": KEEP, "seed": 3, "psf_fwhm": 2.3, "maps": MAPS}
    texture = models()[name].with_name(f"texture-{name}")
    options |= {"texture": texture} if texture.is_dir() else {}
    options |= more
    return sciup.upscale(
        image(domain_of(name)), model=models()[name], precision=precision, device="cpu", **options
    )


def compute(result):
    """All maps of a result of one shard."""
    (task,) = result.job.tasks()
    return Worker(result.job).compute(task)


@functools.cache
def whole(name, precision):
    return compute(result(name, precision))


def assert_same(part, name, precision, box):
    full = whole(name, precision)
    inside = box.scaled(MODELS[name]).slices
    assert set(part) == set(full)
    for key, values in part.items():
        assert np.array_equal(values, full[key][inside], equal_nan=True), key


@each
def test_the_whole_has_all_maps_and_draws_that_differ(name, precision):
    full = whole(name, precision)
    s = MODELS[name]
    masked = np.isnan(image(domain_of(name)).array).repeat(s, 0).repeat(s, 1)
    added = ADDED if s > 1 else ()
    assert set(full) == {*MAPS, *added, *(f"samples_{k}" for k in range(KEEP))}
    for key, values in full.items():
        assert values.dtype == np.float32
        assert np.array_equal(np.isnan(values), masked), key
    assert (full["std"][~masked] > 0).all()
    assert np.array_equal(full["sample"], full["samples_0"], equal_nan=True)
    for key in added:
        assert (full[key][~masked] != full["sample"][~masked]).mean() > 0.9


@names
def test_a_tolerance_in_per_cent_knows_no_windows(name):
    full = compute(result(name, tolerance="10%", maps=("tolerance", "risk_raw")))
    box = Box((100, 90), (170, 160))
    part = compute(result(name, tolerance="10%", maps=("tolerance", "risk_raw"), roi=box))
    for key, values in part.items():
        inside = box.scaled(MODELS[name]).slices
        assert np.array_equal(values, full[key][inside], equal_nan=True), key


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
def test_a_region_equals_the_crop_of_the_whole(name, precision, region):
    assert_same(compute(result(name, precision, roi=region)), name, precision, region)


@names
@pytest.mark.parametrize("tile", [64, 100, 256, 1000])
def test_tile_size_changes_nothing(name, tile):
    region = Box((110, 100), (140, 250))
    part = compute(result(name, tile=tile, roi=region))
    assert_same(part, name, "fp32", region)


@each
def test_sample_5_alone_is_sample_5_of_the_full_run(name, precision):
    # other numbers of samples and other maps do not matter
    alone = result(name, precision, samples=1, keep_samples=0, maps=("mean",)).sample(5)
    full = whole(name, precision)["samples_5"]
    assert np.array_equal(alone.compute(scheduler="synchronous"), full, equal_nan=True)


@names
def test_a_saved_file_equals_the_lazy_result(name, tmp_path):
    options = {"roi": Box((100, 60), (180, 150))}
    lazy = result(name, **options)
    path = lazy.save(tmp_path / f"out{suffix(name)}")
    maps = {
        "sample": lazy.sample(0), "mean": lazy.mean, "std": lazy.std, "risk": lazy.risk,
        "support": lazy.support,
    }  # fmt: skip
    if MODELS[name] > 1:
        maps["texture"] = lazy.texture
    for key, array in maps.items():
        values = array.compute(scheduler="synchronous")
        assert np.array_equal(read(path, key), values, equal_nan=True), key
    for k in (0, 5):
        values = lazy.sample(k).compute(scheduler="synchronous")
        assert np.array_equal(read(path, "samples")[k], values, equal_nan=True)


def suffix(name):
    return ".fits" if domain_of(name) == "night-sky" else ".ome.zarr"


def read(path, key):
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            return hdus[key.upper()].data.astype(np.float32)
    import zarr

    return zarr.open_array(str(path / key / "0"), mode="r")[:]


@names
def test_a_resumed_run_equals_a_straight_one(name, tmp_path):
    """Stopped after the first of two planes, then resumed with another tile size."""
    plane = image(domain_of(name)).array[:60, :60]
    cube = open_array(np.stack([plane, plane[::-1]]), domain=domain_of(name))
    added = ADDED if MODELS[name] > 1 else ()

    def run(path, tile=512, **more):
        lazy = sciup.upscale(
            cube, model=models()[name], samples=5, psf_fwhm=2.3, tile=tile, device="cpu",
            texture=added and models()[name].with_name(f"texture-{name}"),
        )  # fmt: skip
        return lazy.save(path, **more)

    straight = run(tmp_path / f"a{suffix(name)}")

    def stop(done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run(tmp_path / f"b{suffix(name)}", progress=stop)
    resumed = run(tmp_path / f"b{suffix(name)}", tile=64, resume=True)
    for key in (*USUAL, *added):
        assert np.array_equal(read(straight, key), read(resumed, key), equal_nan=True), key


def test_threads_of_dask_change_nothing():
    lazy = result("night-sky-x2", roi=Box((100, 100), (200, 200)))
    one = lazy.mean.compute(scheduler="synchronous")
    many = lazy.mean.compute(scheduler="threads", num_workers=4)
    assert np.array_equal(one, many, equal_nan=True)


@each
@pytest.mark.parametrize(("threads", "of_torch"), [(1, 3), (2, 1), (5, 2)])
def test_numbers_of_threads_change_nothing(name, precision, threads, of_torch):
    region = Box((100, 100), (140, 250))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(of_torch)
        part = compute(result(name, precision, roi=region, threads=threads))
        assert torch.get_num_threads() == of_torch
    finally:
        torch.set_num_threads(before)
    assert_same(part, name, precision, region)


def test_a_thread_for_windows_keeps_to_one_torch_thread():
    worker = Worker(result("night-sky-x2", threads=1).job)
    worker.submit(torch.set_num_threads, 3).result()
    assert worker.submit(torch.get_num_threads).result() == 1


def test_the_seed_changes_every_draw():
    region = Box((0, 0), (20, 20))
    a, b = (result("night-sky-x2", roi=region, seed=s).sample(1).compute() for s in (3, 4))
    good = np.isfinite(a)
    assert (a[good] != b[good]).mean() > 0.99
