"""PSF images from files: what they mean on the grid of the input, and what contradicts it."""

import json

import numpy as np
import pytest
from astropy.io import fits
from psf_pictures import distance

import sciup
from sciup import cli
from sciup.errors import InputError, OptionError
from sciup.existence.believed import noise_area
from sciup.geometry import Box
from sciup.image import PixelGrid
from sciup.io._array import open_array
from sciup.physics.given import Given
from sciup.physics.instrument import Instrument
from sciup.physics.projection import forward_kernel
from sciup.physics.psf import (
    airy,
    gaussian,
    image_fwhm,
    over_pixel,
    relative_analytic,
    relative_measured,
)
from sciup.physics.psf_error import wider
from sciup.physics.psf_image import fine_psf
from sciup.physics.psf_source import PsfImage, read_psf
from sciup.physics.resolve import resolve
from sciup.report.curves import _on_grid
from sciup.testing.psf_files import gaussian_pixels, write_psfex, write_stpsf
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SKY = star_field((256, 256), stars=40, flux=(2000, 30000))


def sky(size=0.031):
    image = open_array(SKY, domain="night-sky")
    image.grid = PixelGrid((size, size), "arcsec") if size else PixelGrid()
    return image


def micrograph():
    image = open_array(cells((64, 64), electrons_per_unit=2.0, pedestal=100))
    image.grid = PixelGrid((0.1, 0.1), "micrometer")
    return image


# -- finely sampled images --------------------------------------------------------------------


def seen(kernel):
    """A relative kernel at 2x and the integration over the pixel, which is what is applied."""
    return forward_kernel(kernel, 2)


@pytest.mark.parametrize("step", [0.25, 0.4, 0.5])
@pytest.mark.parametrize(("fwhm", "limit"), [(1.5, 0.011), (1.8, 0.003), (2.6, 0.001)])
def test_a_fine_image_leads_to_the_kernel_of_the_formula(step, fwhm, limit):
    side = 2 * int(12 / step) + 1
    at = (side // 2 + 0.3, side // 2 - 0.2)
    psf = gaussian_pixels((side, side), at, fwhm, step, 1.0)
    known = relative_analytic(gaussian(165, 2 * fwhm), 41, 2.0)
    assert distance(seen(relative_measured(41, psf, 2, 2.0, step)), seen(known)) < limit
    assert image_fwhm(psf, step) == pytest.approx(fwhm, rel=0.03)


@pytest.mark.parametrize("fwhm", [1.3, 1.6])
def test_the_sampling_of_a_file_is_worth_keeping(fwhm):
    """A telescope in space on large pixels: the input's own pixels do not tell its PSF."""
    known = seen(relative_analytic(airy(165, 2 * fwhm), 41, 2.0))
    wide = over_pixel(airy(481, 12 * fwhm), 12)
    fine, coarse = wide[::3, ::3], wide[::12, ::12]
    assert distance(seen(relative_measured(41, fine, 2, 2.0, 0.25)), known) < 0.012
    assert distance(seen(relative_measured(41, coarse, 2, 2.0)), known) > 0.08


def test_on_a_coarser_grid_waves_that_it_cannot_hold_are_left_out():
    y, x = np.mgrid[-40:41, -40:41]
    smooth = np.exp(-(y**2 + x**2) / 200)
    comb = smooth * (1 + 0.5 * (-1.0) ** (y + x))
    assert distance(fine_psf(comb, 1, 15, 0.25), fine_psf(smooth, 1, 15, 0.25)) < 0.01


def test_the_instrument_keeps_the_sampling(tmp_path):
    psf = read_psf(write_stpsf(tmp_path / "p.fits"), sky())
    found = resolve(sky(), (), "night-sky", Given(psf=psf)).instrument
    assert found.psf_step.value == pytest.approx(0.25)
    assert ("psf_step", "0.25") in [row[:2] for row in found.rows()]
    again = Instrument.from_json(found.as_json())
    np.testing.assert_array_equal(
        again.relative_kernel(2, 2.0, 29), found.relative_kernel(2, 2.0, 29)
    )
    # results that were made before there was a sampling
    old = {name: fact for name, fact in found.as_json().items() if name != "psf_step"}
    assert Instrument.from_json(old).psf_step.value is None


def test_arrays_and_what_was_read_pass_through():
    values = np.ones((3, 3))
    assert read_psf(None, sky()) is None
    told = read_psf(values, sky())
    assert (told.values is values, told.step, told.note) == (True, 1.0, "--psf")
    assert read_psf(told, sky()) is told
    assert isinstance(told, PsfImage)


def test_what_else_is_made_of_the_image_knows_its_sampling(tmp_path):
    path = write_stpsf(tmp_path / "p.fits")
    fine, coarse = (
        resolve(sky(), (), "night-sky", Given(psf=read_psf(source, sky()))).instrument
        for source in (path, f"{path}[DET_DIST]")
    )
    assert (fine.psf_step.value, coarse.psf_step.value) == (pytest.approx(0.25), None)
    assert noise_area(fine) == pytest.approx(noise_area(coarse), rel=0.01)
    assert wider(fine, 1.1).psf_step.value == pytest.approx(1.1 * 0.25)
    assert wider(fine, 1.1).psf.value is fine.psf.value
    images = [_on_grid(i.psf.value, 65, i.psf_step.value or 1) for i in (fine, coarse)]
    widths = [(image > image.max() / 2).sum() for image in images]
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


# -- STPSF ------------------------------------------------------------------------------------


def test_stpsf_fine_and_distorted(tmp_path):
    psf = read_psf(write_stpsf(tmp_path / "p.fits"), sky())
    assert psf.step == pytest.approx(0.25)
    assert image_fwhm(psf.values, psf.step) == pytest.approx(2.2, rel=0.02)
    exact = gaussian_pixels((121, 121), (60, 60), 2.2, 0.25, 1.0)
    side = 33
    assert distance(fine_psf(psf.values, 2, side, psf.step), fine_psf(exact, 2, side, 0.25)) < 0.005
    assert "OVERDIST" in psf.note
    assert "p.fits" in psf.note


def test_stpsf_by_name_of_the_extension(tmp_path):
    path = write_stpsf(tmp_path / "p.fits")
    assert image_fwhm(*_pair(read_psf(f"{path}[OVERSAMP]", sky()))) == pytest.approx(2.0, rel=0.02)
    coarse = read_psf(f"{path}[DET_DIST]", sky())
    assert coarse.step == 1
    assert "sampled as the input" in coarse.note
    assert image_fwhm(coarse.values) == pytest.approx(2.2, rel=0.03)


def _pair(psf):
    return psf.values, psf.step


def test_stpsf_on_pixels_of_other_sizes(tmp_path):
    path = write_stpsf(tmp_path / "p.fits")
    # not a whole number of samples per pixel
    other = read_psf(path, sky(0.0345))
    assert 1 / other.step == pytest.approx(4 * 0.0345 / 0.031)
    assert image_fwhm(*_pair(other)) == pytest.approx(2.2 * 0.031 / 0.0345, rel=0.03)
    # drizzled to smaller pixels: those of the detector are in the PSF
    drizzled = read_psf(path, sky(0.0155))
    assert "drizzling" in drizzled.note
    assert image_fwhm(*_pair(drizzled)) > 1.02 * 4.4
    unknown = read_psf(path, sky(None))
    assert "states no pixel size" in unknown.note
    assert unknown.step == pytest.approx(0.25)


def test_contradicting_pixel_sizes_are_refused(tmp_path):
    path = write_stpsf(tmp_path / "p.fits")
    with pytest.raises(OptionError, match=r"0.00775 arcsec, the input of 0.1 micrometer"):
        read_psf(path, micrograph())
    with pytest.raises(OptionError, match="same pixel size, or smaller"):
        read_psf(f"{path}[DET_DIST]", sky(0.0155))


# -- PSFEx ------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("step", [0.4, 1.0, 1.3])
def test_psfex(tmp_path, degree, step):
    fwhm = 3.6
    psf = read_psf(write_psfex(tmp_path / "f.psf", fwhm, step=step, degree=degree), sky())
    assert psf.step == step
    assert image_fwhm(psf.values, psf.step) == pytest.approx(fwhm, rel=0.03)
    exact = gaussian_pixels((61, 61), (30, 30), fwhm)
    fine = fine_psf(psf.values, 1, 15, psf.step)
    assert distance(fine, exact[23:38, 23:38]) < 0.01


def test_psfex_as_galsim_reads_it(tmp_path, caplog):
    galsim = pytest.importorskip("galsim")
    from galsim.des import DES_PSFEx

    path = write_psfex(tmp_path / "f.psf", 2.4, 0.6, degree=2, field=(300, 200))
    region = Box((40, 20), (61, 31))
    psf = read_psf(path, sky(), region)
    known = DES_PSFEx(str(path)).getPSFArray(galsim.PositionD(25 + 1, 50 + 1))
    np.testing.assert_allclose(psf.values, known, rtol=1e-5, atol=1e-9)


def test_psfex_varies_over_the_field(tmp_path, caplog):
    path = write_psfex(tmp_path / "f.psf", 2.4, 1.2)
    whole = read_psf(path, sky())
    left, right = (read_psf(path, sky(), Box((100, x), (140, x + 20))) for x in (0, 236))
    assert not caplog.text
    narrow, middle, wide = (image_fwhm(*_pair(p)) for p in (left, whole, right))
    assert narrow < 0.95 * middle < 0.9 * wide
    assert "at y 127.5, x 127.5, where one PSF must do" in whole.note
    np.testing.assert_array_equal(left.cells.images, whole.cells.images)


def test_psfex_of_another_image_is_told(tmp_path, caplog):
    path = write_psfex(tmp_path / "f.psf", field=(4000, 4000))
    read_psf(path, sky(), Box((100, 100), (140, 140)))
    assert not caplog.text
    read_psf(write_psfex(path, field=(80, 80)), sky())
    assert "lie elsewhere" in caplog.text


def test_psfex_of_several_extensions(tmp_path):
    """PSFEx 3.21 writes a table for each extension of the catalogue, all of the same name."""
    path = write_psfex(tmp_path / "f.psf", 2.4)
    write_psfex(path, 3.3, append=True)
    with pytest.raises(OptionError, match=r"several PSFs.*HDU 1, 2.*f.psf\[1\]"):
        read_psf(path, sky())
    with pytest.raises(OptionError, match=r"several PSFs.*HDU 1, 2"):
        read_psf(f"{path}[PSF_DATA]", sky())
    with pytest.raises(OptionError, match="no PSF in HDU 3"):
        read_psf(f"{path}[3]", sky())
    widths = [image_fwhm(*_pair(read_psf(f"{path}[{n}]", sky()))) for n in (1, 2)]
    assert widths == pytest.approx([2.4, 3.3], rel=0.03)
    one = write_psfex(tmp_path / "one.psf", 2.4)
    assert image_fwhm(*_pair(read_psf(f"{one}[psf_data]", sky()))) == pytest.approx(2.4, rel=0.03)


@pytest.mark.parametrize(("fwhm", "step", "told"), [(2.4, 0.9, False), (2.0, 1.3, True)])
def test_too_few_samples_are_told(tmp_path, caplog, fwhm, step, told):
    read_psf(write_psfex(tmp_path / "f.psf", fwhm, step=step), sky())
    assert ("samples per FWHM" in caplog.text) == told


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"POLNAME1": "MAG_AUTO"}, "varies with MAG_AUTO"),
        ({"POLDEG1": 3}, "10 images for degree 3"),
        ({"PSF_SAMP": 0.0}, "PSF_SAMP 0"),
        ({"PSF_SAMP": "fine"}, "is damaged"),
        ({"POLSCAL2": 0.0}, "scales"),
        ({"POLNGRP": 2}, "varies with"),
    ],
)
def test_bad_psfex_tables_are_refused(tmp_path, cards, words):
    with pytest.raises(InputError, match=words):
        read_psf(write_psfex(tmp_path / "f.psf", **cards), sky())


def test_a_cut_off_psfex_file_is_refused(tmp_path):
    path = write_psfex(tmp_path / "f.psf")
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError):
        read_psf(path, sky())


# -- the command line, and Python -------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "toy"
    return write_toy_model(folder, scale=2, channels=4, head_channels=4)


def test_the_command_line_takes_a_file(tmp_path, model, capsys):
    field = tmp_path / "f.fits"
    header = fits.Header({"PIXELSCL": 0.031})
    fits.PrimaryHDU(SKY.astype(np.float32), header).writeto(field)
    path = write_stpsf(tmp_path / "p.fits")
    codes = []
    for part in ("OVERDIST", "NONE"):
        with pytest.raises(SystemExit) as stop:
            cli.main(
                ["inspect", str(field), "--model", str(model), "--psf", f"{path}[{part}]", "--json"]
            )
        codes.append(stop.value.code)
    assert codes == [0, 2]
    shown = json.loads(capsys.readouterr().out)["instrument"][0]
    assert shown["psf_step"]["value"] == pytest.approx(0.25)
    assert shown["psf"]["origin"] == "given"


def test_where_the_psf_varies_it_is_taken_in_the_middle_of_the_region(tmp_path, model):
    path = write_psfex(tmp_path / "f.psf", 2.4, 1.2)
    result = sciup.upscale(sky(), model=model, psf=path, roi="20:60,200:220", samples=1)
    assert "at y 39.5, x 209.5" in result.instrument.psf.note
    assert result.instrument.psf_step.value == 0.4
