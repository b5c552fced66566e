"""The draws of a result: stored ones are read, others made again, and they are the same."""

from functools import partial

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

import sciup
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.results.again import find_input
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.results.sky import Sky
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE, K = (70, 90), 4
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": K, "device": "cpu", "precision": "fp32"}
BOX = Box((31, 42), (66, 90))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


@pytest.fixture
def field(tmp_path):
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 1, "CRPIX2": 1, "CDELT1": -1e-4})
    header["CDELT2"], header["CTYPE1"], header["CTYPE2"] = 1e-4, "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 2.0
    fits.PrimaryHDU(star_field(SHAPE), header).writeto(tmp_path / "field.fits")
    return tmp_path / "field.fits"


def run(model, field, **more):
    return sciup.upscale(field, model=model, **STATED | FIXED | more)


@pytest.mark.parametrize("suffix", ["fits", "ome.zarr"])
@pytest.mark.parametrize("roi", [None, "12:60,20:88"])
def test_stored_repeated_and_lazy_draws_are_the_same(model, field, tmp_path, suffix, roi):
    result = run(model, field, roi=roi)
    lazy = Draws.of_result(result)
    expected = np.stack([np.asarray(result.sample(k)) for k in range(K + 1)])[:, *BOX.slices]
    plain = result.save(tmp_path / f"plain.{suffix}")
    kept = run(model, field, roi=roi, keep_samples=K + 1).save(tmp_path / f"kept.{suffix}")
    for draws in (lazy, Draws.open(plain, model=str(model)), Draws.open(kept, model=str(model))):
        assert draws.samples == K + 1
        assert draws.plane_shape == lazy.plane_shape
        assert draws.pixel == (pytest.approx(0.18), "arcsec")
        assert draws.noise(()) == lazy.noise(())
        assert draws.background(()) == lazy.background(()) == 100 / draws.flux
        np.testing.assert_array_equal(draws.window((), BOX), expected)


def test_more_draws_than_voted(model, field, tmp_path):
    draws = Draws.open(run(model, field).save(tmp_path / "out.fits"), model=str(model))
    some, more = draws.window((), BOX), draws.window((), BOX, 9)
    np.testing.assert_array_equal(more[: K + 1], some)
    assert len({m.tobytes() for m in more}) == 9


def test_stored_draws_need_no_input(model, field, tmp_path):
    kept = run(model, field, keep_samples=K + 1).save(tmp_path / "kept.fits")
    field.unlink()
    assert Draws.open(kept).window((), BOX).shape == (K + 1, *BOX.shape)
    with pytest.raises(InputError, match=r"not all stored, and cannot be made again: .*--input"):
        Draws.open(kept).window((), BOX, K + 2)


def test_an_input_with_other_pixels_is_refused(model, field, tmp_path):
    out = run(model, field).save(tmp_path / "out.fits")
    with fits.open(field, mode="update") as hdus:
        hdus[0].data += 1
    with pytest.raises(InputError, match="are not those of the result"):
        Draws.open(out, model=str(model)).window((), BOX)


def test_an_input_that_opens_in_another_way_is_told_by_what_differs(tmp_path):
    values = np.stack([star_field((40, 48), stars=9, seed=s) for s in range(2)]).astype("f4")
    out = tmp_path / "out.fits"
    fits.HDUList([fits.PrimaryHDU(values), fits.ImageHDU(values[:, :30])]).writeto(
        tmp_path / "in.fits"
    )
    write_toy_model(tmp_path / "toy", channels=4, head_channels=4)
    run(tmp_path / "toy", open_image(tmp_path / "in.fits", z=1)).save(out)
    done = Finished.open(out)
    why = {k: find_input(done, partial(open_image, **opened)) for k, opened in {
        "planes": {}, "pixels": {"z": 0}, "size": {"hdu": 1}, "none": {"z": 1},
    }.items()}  # fmt: skip
    assert why["planes"].endswith("give --channel, --time or --z as in the run")
    assert "give --hdu, --channel, --time and --z as in the run" in why["pixels"]
    assert "give --hdu as in the run" in why["size"]
    assert why["none"].shape == (1, 40, 48)


def test_a_stored_sample_that_differs_is_refused(model, field, tmp_path):
    out = run(model, field).save(tmp_path / "out.fits")
    with fits.open(out, mode="update") as hdus:
        hdus["SAMPLE"].data[40, 50] += 1
    with pytest.raises(InputError, match=r"differs from the stored one, by up to 0\.\d+ sigma"):
        Draws.open(out, model=str(model)).window((), BOX)


def test_what_differs_is_refused_again_and_masked_windows_prove_nothing(model, tmp_path):
    image = star_field(SHAPE)
    image[:, :45] = np.nan
    fits.PrimaryHDU(image).writeto(tmp_path / "in.fits")
    out = run(model, tmp_path / "in.fits").save(tmp_path / "out.fits")
    with fits.open(out, mode="update") as hdus:
        hdus["SAMPLE"].data[:, 100:] += 1
    draws = Draws.open(out, model=str(model))
    assert np.isnan(draws.window((), Box((0, 0), (20, 20)))).all()
    for count in (None, 2):
        with pytest.raises(InputError, match="differs from the stored one"):
            draws.window((), Box((31, 120), (66, 140)), count)


def test_boxes_outside(model, field):
    with pytest.raises(OptionError, match="not inside the result"):
        Draws.of_result(run(model, field)).window((), Box((0, 0), (8, 181)))


@pytest.mark.parametrize("suffix", ["fits", "ome.zarr"])
def test_the_sky_leads_back_to_pixels(model, field, tmp_path, suffix):
    result = run(model, field, roi="12:60,20:88")
    for draws in (
        Draws.of_result(result),
        Draws.open(result.save(tmp_path / f"out.{suffix}"), model=str(model)),
    ):
        # input pixel (12, 20), counted from 0, begins half an input pixel before its centre
        at = SkyCoord(*fits_sky(field, 12 - 0.25, 20 - 0.25), unit="deg")
        np.testing.assert_allclose(draws.sky.pixels(at), [[0, 0]], atol=1e-6)
        there = draws.sky.degrees(7.0, 9.0)
        np.testing.assert_allclose(
            draws.sky.pixels(SkyCoord(*there, unit="deg", frame="icrs")), [[7, 9]], atol=1e-6
        )


@pytest.mark.parametrize(("cards", "frame"), [
    ({"RADESYS": "ICRS"}, "icrs"), ({"RADESYS": "FK5", "EQUINOX": 2000.0}, "fk5"),
    ({"RADESYS": "FK4", "EQUINOX": 1950.0}, "fk4"),
    ({"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"}, "galactic"),
])  # fmt: skip
def test_degrees_are_icrs_whatever_the_header_says(cards, frame):
    usual = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0,
             "CRVAL1": 150.1, "CRVAL2": 2.2, "CDELT1": -1e-4, "CDELT2": 1e-4}  # fmt: skip
    sky = Sky(WCS(fits.Header(usual | cards)))
    true = SkyCoord(150.1, 2.2, unit="deg", frame=frame).icrs
    there = SkyCoord(*sky.degrees(0, 0), unit="deg", frame="icrs")
    assert there.separation(true).arcsec < 1e-4
    if frame == "fk5":  # the two are not the same
        assert there.separation(SkyCoord(150.1, 2.2, unit="deg")).arcsec > 1e-3


def fits_sky(field, y, x):
    place = WCS(fits.getheader(field)).pixel_to_world(x, y)
    return place.ra.deg, place.dec.deg
