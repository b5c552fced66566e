"""A PSF that varies over the field: cells, the window that each belongs to, files that bring it."""

import functools
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import sciup
from sciup.engine.job import Worker
from sciup.engine.margins import CORE
from sciup.engine.provenance import fingerprint
from sciup.errors import InputError, OptionError
from sciup.evaluate.draws import predict
from sciup.explorer.run import open_stamp
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.physics import psf_cells
from sciup.physics.instrument import Instrument
from sciup.physics.psf import image_fwhm
from sciup.physics.psf_cells import PsfCells, cell_of, in_cell
from sciup.physics.psf_error import at_node, wider
from sciup.physics.psf_gridded import GriddedPsf
from sciup.physics.psf_image import fine_psf
from sciup.physics.psf_source import read_psf
from sciup.results.draws import Draws
from sciup.science.inject.light import Optics
from sciup.testing.psf_files import gaussian_pixels, write_psf_grid, write_psfex
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (140, 300)
STATED = {"background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": 2, "keep_samples": 3, "device": "cpu", "precision": "fp32"}
MAPS = ("sample", "mean", "std", "risk_raw", "support")
BOX = Box((0, 0), (40, 40))


@functools.cache
def folder():
    return Path(tempfile.mkdtemp())


@functools.cache
def model():
    return write_toy_model(folder() / "toy", scale=2, channels=4, head_channels=4)


@functools.cache
def sky():
    return open_array(star_field(SHAPE), domain="night-sky", flux_per_pixel=True)


@functools.cache
def path():
    """A PSF that is 40 % wider at the right."""
    ends = (0.0, SHAPE[1] - 1.0)
    return write_psf_grid(folder() / "f.fits", (0.0,), ends, np.array([[2.2, 3.08]]))


@functools.cache
def psf():
    return read_psf(path(), sky())


def upscale(**more):
    options = STATED | FIXED | {"maps": MAPS, "psf": psf()} | more
    return sciup.upscale(sky(), model=model(), **options)


def maps_of(result):
    (task,) = result.job.tasks()
    return Worker(result.job).compute(task)


@functools.cache
def whole():
    return maps_of(upscale())


def believing(result, instrument):
    return sciup.api.Result(replace(result.job, instruments=(instrument,)))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, values in found.items():
        assert np.array_equal(values, expected[name], equal_nan=True), name


# -- Cells --------------------------------------------------------------------------------------


class Widening:
    """A Gaussian whose width grows by `slope` per pixel along x."""

    step = 0.5

    def __init__(self, slope):
        self.slope = slope

    def at(self, y, x):
        return gaussian_pixels((31, 31), (15, 15), 2.4 * (1 + self.slope * x), self.step, 1)


def test_cells_hold_whole_cores():
    assert psf_cells.CORE == CORE


@pytest.mark.parametrize("share", [0.005, 0.03, 0.1, 0.6])
@pytest.mark.parametrize("shape", [(300, 1000), (2000, 2000), (100, 6000)])
def test_widths_of_neighbours_differ_by_two_per_cent(shape, share):
    found = PsfCells.of(Widening(share / shape[1]), shape)
    if found is None:
        assert share <= 0.02
        return
    rows, columns = found.images.shape[:2]
    assert found.side % CORE == 0
    assert rows == -(-shape[0] // found.side)
    assert columns == -(-shape[1] // found.side)
    assert rows * columns <= psf_cells.MOST
    widths = [image_fwhm(image.astype(float), found.step) for image in found.images[0]]
    assert found.widths[0] == pytest.approx(widths, rel=0.002)
    steps = np.diff(widths) / widths[:-1]
    assert (steps > 0).all()
    allowed = 0.021 if found.side > CORE and rows * columns < psf_cells.MOST / 4 else 0.2
    assert steps.max() < allowed


def test_cells_are_as_large_as_the_variation_allows():
    sides = [PsfCells.of(Widening(share / 4000), (200, 4000)).side for share in (0.1, 0.2, 0.4)]
    assert sides[0] > sides[1] > sides[2]


def test_an_image_of_a_cell_is_that_of_its_middle():
    found = psf().cells
    with fits.open(path()) as hdus:
        grid = GriddedPsf.read(hdus[0], "f.fits")
    for j, x in enumerate((63.5, 191.5, 277.5)):
        exact = grid.at(63.5, x)
        seen, known = (
            fine_psf(image, 4, 57, psf().step)
            for image in (found.images[0, j].astype(float), exact)
        )
        assert np.linalg.norm(seen - known) < 1e-3 * np.linalg.norm(known)


def test_the_instrument_keeps_its_cells():
    i = upscale().instrument
    assert i.psf_cells.value.shape[:2] == (2, 3)
    assert i.psf_cell.value == CORE
    assert ("psf_cell", "128") in [row[:2] for row in i.rows()]
    text = json.dumps(i.as_json())
    back = Instrument.from_json(json.loads(text))
    assert np.array_equal(back.psf_cells.value, i.psf_cells.value)
    assert back.psf_cells.value.dtype == np.float16
    assert len(json.dumps(i.as_json()["psf_cells"])) < 12_000 * 6
    harmed = json.loads(text)
    harmed["psf_cells"]["value"]["zlib"] = "AAAA" + harmed["psf_cells"]["value"]["zlib"][4:]
    with pytest.raises(ValueError, match="damaged array"):
        Instrument.from_json(harmed)
    low, high = psf().cells.widths.min(), psf().cells.widths.max()
    assert 1.2 < high / low < 1.4  # of middles of cells
    assert f"FWHM {low:.3g} to {high:.3g} px, by up to 1" in i.psf_cells.note


def test_what_must_not_change_holds_a_digest_of_the_cells(tmp_path):
    wider = write_psf_grid(tmp_path / "g.fits", (0.0,), (0.0, 299.0), np.array([[2.2, 3.1]]))
    one, same, other = (
        fingerprint(upscale(psf=p).job, "fits")["instrument"][0]["psf_cells"]
        for p in (psf(), path(), wider)
    )
    assert one == same != other
    assert len(json.dumps(one)) < 200


def test_a_place_has_a_cell():
    i = upscale().instrument
    for place, cell in {(0, 0): (0, 0), (127.9, 128): (0, 1), (139, 299): (1, 2)}.items():
        assert cell_of(i, place) == cell
    assert cell_of(i, (-5, 9999)) == (0, 2)
    here = in_cell(i, (0, 2))
    assert cell_of(here, (0, 0)) is None
    assert in_cell(i, None) is i
    assert here.psf_fwhm.value > 1.1 * in_cell(i, (0, 0)).psf_fwhm.value


def test_a_wider_instrument_is_wider_in_every_cell():
    i = upscale().instrument
    for cell in ((0, 0), (0, 2)):
        before, after = in_cell(i, cell), in_cell(wider(i, 1.2), cell)
        assert after.psf_fwhm.value == pytest.approx(1.2 * before.psf_fwhm.value, rel=0.02)


# -- Windows ------------------------------------------------------------------------------------


def test_every_window_is_that_of_a_run_with_its_psf():
    result, full = upscale(), whole()
    for cell in ((0, 1), (1, 2)):
        start = [c * CORE for c in cell]
        box = Box(tuple(start), tuple(min(a + CORE, n) for a, n in zip(start, SHAPE, strict=True)))
        alone = believing(result, in_cell(result.instrument, cell))
        inside = box.scaled(2).slices
        found = maps_of(replace_region(alone, box))
        assert_same(found, {name: values[inside] for name, values in full.items()})
    one = believing(result, in_cell(result.instrument, (0, 0)))
    assert (maps_of(one)["mean"] != full["mean"]).mean() > 0.3


def replace_region(result, box):
    return sciup.api.Result(replace(result.job, region=box))


@pytest.mark.parametrize("box", [Box((100, 110), (140, 290)), Box((5, 130), (20, 150))])
def test_a_region_is_that_of_the_whole(box):
    part = maps_of(upscale(psf=path(), roi=box, tile=64, threads=2))
    inside = box.scaled(2).slices
    assert_same(part, {name: values[inside] for name, values in whole().items()})


def test_few_psfs_are_kept(monkeypatch):
    from sciup.engine import optics

    monkeypatch.setattr(optics, "KEPT", 1)
    assert_same(maps_of(upscale(tile=64)), whole())


def test_a_window_makes_each_of_its_psfs_once(monkeypatch):
    from sciup.engine import optics

    made = []
    monkeypatch.setattr(optics, "KEPT", 1)
    of = optics.Optics.of
    monkeypatch.setattr(optics.Optics, "of", lambda i, *a: made.append(i) or of(i, *a))
    result = replace_region(upscale(psf_error=0.1, samples=12), Box((0, 256), (20, 300)))
    maps_of(result)
    assert len(made) <= 4  # three widths; the trunk asks before there is a window


def test_samples_of_a_cell_have_its_three_widths():
    result = upscale(psf_error=0.1)
    box = Box((0, 256), (20, 300))
    found = maps_of(replace_region(result, box))["samples_2"]
    narrow = at_node(in_cell(result.instrument, (0, 2)), -1)
    alone = believing(result, replace(narrow, psf_error=upscale().instrument.psf_error))
    assert np.array_equal(found, maps_of(replace_region(alone, box))["samples_2"])


def test_the_explorer_has_the_psf_of_the_place():
    stamp = open_stamp(upscale(), Box((20, 270), (50, 299)))
    assert stamp.sampler.instrument.psf.note == "of cell 0, 2"


def test_residuals_are_seen_through_the_psf_of_the_place():
    fine = np.random.default_rng(0).normal(size=(80, 80))
    result = upscale()
    here = replace_region(result, Box((0, 260), (40, 300)))
    alone = believing(here, in_cell(result.instrument, (0, 2)))
    np.testing.assert_array_equal(predict(here, fine), predict(alone, fine))
    assert not np.allclose(predict(here, fine), predict(replace_region(result, BOX), fine))


def test_residuals_across_cells_have_the_psf_of_each():
    whole = upscale()
    fine = np.random.default_rng(0).normal(size=(280, 600))
    found = predict(whole, fine)
    for cell, box in {(0, 0): Box((0, 0), (128, 128)), (1, 2): Box((128, 256), (140, 300))}.items():
        alone = predict(believing(whole, in_cell(whole.instrument, cell)), fine)
        np.testing.assert_allclose(found[box.slices], alone[box.slices], atol=1e-9)
    one = predict(believing(whole, in_cell(whole.instrument, (0, 1))), fine)
    assert not np.allclose(found, one, atol=1e-3)


def test_an_injected_source_has_the_psf_of_its_place():
    run = upscale()
    optics = Optics.of(run)
    for place, cell in {
        (20.0, 127.4): (0, 0),
        (20.0, 127.6): (0, 1),
        (135.0, 290.0): (1, 2),
    }.items():
        alone = Optics.of(believing(run, in_cell(run.instrument, cell)))
        np.testing.assert_array_equal(
            optics.patch(place, 1e4, (1,)).light, alone.patch(place, 1e4, (1,)).light
        )
    assert optics.area == Optics.of(run).area


def test_a_cell_without_light_is_refused():
    class Dark(Widening):
        def at(self, y, x):
            image = super().at(y, x)
            return -image if x == 63.5 else image

    with pytest.raises(InputError, match="no light"):
        PsfCells.of(Dark(1e-3), (128, 300))


# -- Files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".fits", ".ome.zarr"])
def test_draws_can_be_repeated_from_the_result(tmp_path, suffix):
    source = tmp_path / "in.fits"
    fits.PrimaryHDU(star_field(SHAPE)).writeto(source)
    options = STATED | FIXED | {"psf": path(), "roi": "100:120,100:300"}
    result = sciup.upscale(source, model=model(), **options | {"keep_samples": 0})
    out = result.save(tmp_path / f"out{suffix}")
    box = Box((0, 10), (30, 400))
    drawn = Draws.open(out, model=str(model())).window((), box)
    kept = maps_of(sciup.upscale(source, model=model(), **options))
    for k, draw in enumerate(drawn):
        assert np.array_equal(draw, kept[f"samples_{k}"][box.slices]), k


@pytest.mark.parametrize("step", [1.0, 0.5])
def test_a_grid_of_stpsf(tmp_path, step):
    ys, xs = (0.0, 139.0), (0.0, 150.0, 299.0)
    widths = np.array([[2.2, 2.4, 3.2], [2.2, 2.4, 3.2]])
    path = write_psf_grid(tmp_path / "grid.fits", ys, xs, widths, oversample=round(1 / step))
    found = read_psf(path, sky())
    assert found.step == (0.25 if step == 1 else step)
    assert found.cells.images.shape[:2] == (2, 3)
    middles = [image_fwhm(image.astype(float), found.cells.step) for image in found.cells.images[0]]
    # between the images of the grid their mixture is taken
    assert middles[0] == pytest.approx(2.28, abs=0.03)
    assert middles[2] > 3.0
    assert "grid of PSFs grid.fits, at y 69.5, x 149.5" in found.note


@pytest.mark.parametrize("version", ["1.2.1", "1.3.0", "2.2.0"])
def test_images_and_cards_of_a_grid_in_their_orders(tmp_path, version, caplog):
    """As the code of these versions writes them; STPSF 2.2 has them in two orders."""
    caplog.set_level("INFO", "sciup")
    ys, xs = (0.0, 99.0, 139.0), (0.0, 150.0, 299.0)
    widths = np.array([[2.2, 2.4, 3.2], [2.5, 2.6, 3.3], [2.7, 2.8, 3.4]])
    path = write_psf_grid(tmp_path / "grid.fits", ys, xs, widths, version=version)
    assert fits.getheader(path)["DET_YX1"] == "(99.0, 0.0)"
    with fits.open(path) as hdus:
        psf = GriddedPsf.read(hdus[0], "grid.fits")
    found = [[image_fwhm(psf.at(y, x), psf.step) for x in xs] for y in ys]
    np.testing.assert_allclose(found, widths, rtol=0.02)
    assert ("not in the order of the cards DET_YXn" in caplog.text) == (version > "1.3")


def test_a_grid_of_one_that_is_no_cube(tmp_path):
    path = write_psf_grid(tmp_path / "g.fits", (70.0,), (90.0,), np.array([[2.4]]))
    with fits.open(path, mode="update") as hdus:
        hdus[0].data = hdus[0].data[0]
    found = read_psf(path, sky())
    assert image_fwhm(found.values, found.step) == pytest.approx(2.4, rel=0.02)


def test_the_grid_that_is_named_is_taken(tmp_path):
    """Before, it was the first of the file, whatever was named, or was not."""
    path = write_psf_grid(tmp_path / "g.fits", (70.0,), (90.0,), np.array([[2.4]]))
    with fits.open(write_psf_grid(tmp_path / "h.fits", (70.0,), (90.0,), np.array([[3.3]]))) as hdu:
        hdu[0].header["EXTNAME"] = "RED"
        fits.append(path, hdu[0].data, hdu[0].header)
    with pytest.raises(OptionError, match=r"several PSFs.*HDU 0, 1.*g.fits\[0\]"):
        read_psf(path, sky())
    for part, fwhm in (("[0]", 2.4), ("[1]", 3.3), ("[red]", 3.3)):
        found = read_psf(f"{path}{part}", sky())
        assert image_fwhm(found.values, found.step) == pytest.approx(fwhm, rel=0.02), part


@pytest.mark.parametrize("harm", ["gap", "few", "zero"])
def test_what_is_no_grid(tmp_path, harm):
    path = write_psf_grid(tmp_path / "g.fits", (0.0, 139.0), (0.0, 299.0), np.full((2, 2), 2.4))
    with fits.open(path, mode="update") as hdus:
        if harm == "gap":
            hdus[0].header["DET_YX3"] = "(20.0, 30.0)"
        elif harm == "few":
            del hdus[0].header["DET_YX3"]
        else:
            hdus[0].data[2] = 0
    with pytest.raises(InputError, match="one at every node"):
        read_psf(path, sky())


def test_one_psf_everywhere_has_no_cells(tmp_path):
    path = write_psf_grid(tmp_path / "g.fits", (0.0, 139.0), (0.0, 299.0), np.full((2, 2), 2.4))
    found = read_psf(path, sky())
    assert found.cells is None
    assert "the same everywhere" in found.note
    assert read_psf(write_psfex(tmp_path / "f.psf", 2.4, 0.0), sky()).cells is None


def test_psfex_in_cells(tmp_path):
    file = write_psfex(tmp_path / "f.psf", 2.4, 0.9, field=SHAPE)
    found = read_psf(file, sky())
    assert found.step == found.cells.step == 0.4
    widths = [image_fwhm(image.astype(float), 0.4) for image in found.cells.images[0]]
    assert widths[0] < 0.96 * widths[1] < 0.93 * widths[2]
    assert "PSFEx f.psf, at y 69.5, x 149.5" in found.note
