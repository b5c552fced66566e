"""Regions by a place on the sky."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

import sciup
from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.io._sky_roi import celestial, find_roi
from sciup.testing.fits_files import hst_acs, lookup_tables
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (300, 400)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    header = fits.Header({"CRPIX1": 200.0, "CRPIX2": 150.0, "CTYPE1": "RA---TAN",
                          "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2,
                          "CDELT1": -1 / 3600, "CDELT2": 1 / 3600, "BUNIT": "adu"})  # fmt: skip
    path = tmp_path_factory.mktemp("sky") / "a.fits"
    fits.PrimaryHDU(star_field(SHAPE, stars=9), header).writeto(path)
    return open_image(path)


def test_a_place_is_the_middle(image):
    # 30 px around pixel 199 from 0, whose edges are at 183.5 and 214.5
    assert find_roi("150.1 2.2 30arcsec", image) == Box((134, 184), (165, 215))


@pytest.mark.parametrize("text", [
    "150.1 +2.2 0.5arcmin", "10:00:24 +2:12:00 30arcsec", "10h00m24s +2d12m00s 30\"",
    "150.1 2.2 0.5'", "150.1d 2.2d 30arcsec",
])  # fmt: skip
def test_ways_to_write_it(text, image):
    assert find_roi(text, image) == find_roi("150.1 2.2 30arcsec", image)


def test_pixels_stay_pixels(image):
    assert find_roi("10:20,:5", image) == Box((10, 0), (20, 5))


@given(y=st.floats(0, 299), x=st.floats(0, 399), side=st.floats(1, 50))
def test_the_place_and_all_of_the_size_are_inside(image, y, x, side):
    sky = WCS(image.header).pixel_to_world(x, y)
    box = find_roi(f"{sky.ra.deg:.9f} {sky.dec.deg:.9f} {side:.6f}arcsec", image)
    for middle, start, stop, n in zip((y, x), box.start, box.stop, SHAPE, strict=True):
        assert start - 0.5 <= max(middle - side / 2, -0.5) + 0.01
        assert stop - 0.5 >= min(middle + side / 2, n - 0.5) - 0.01
        assert stop - start <= side + 2.01


@pytest.mark.parametrize(("text", "words"), [
    ("150.1 2.2 30", "no size"), ("150.1 2.2 0arcsec", "no size"), ("150.1 92 3arcsec", "read"),
    ("abc def 3arcsec", "read"), ("151 2.2 3arcsec", "not on the image"),
    ("330.1 -2.2 3arcsec", "not on the image"), ("1 2", "--roi 0:256"),
    ("150 2 1.2.3arcsec", "no size"), ("150 2 .arcsec", "no size"),
    ("150 2 1e400arcsec", "no size"), ("150 2 1e308arcmin", "no size"),
])  # fmt: skip
def test_what_cannot_be_is_told(text, words, image):
    with pytest.raises(OptionError, match=words):
        find_roi(text, image)


def test_an_image_without_a_sky_is_refused():
    with pytest.raises(OptionError, match="no celestial"):
        find_roi("150.1 2.2 3arcsec", open_image(np.ones((9, 9))))


def with_cards(folder, **cards):
    header = fits.Header({"CRPIX1": 32.0, "CRPIX2": 32.0, "CRVAL1": 150.1, "CRVAL2": 2.2,
                          "CDELT1": -1 / 3600, "CDELT2": 1 / 3600, **cards})  # fmt: skip
    fits.PrimaryHDU(star_field((64, 64), stars=3), header).writeto(folder / "a.fits")
    return open_image(folder / "a.fits")


def test_coordinates_on_the_sun_are_refused(tmp_path):
    image = with_cards(tmp_path, CTYPE1="HPLN-TAN", CTYPE2="HPLT-TAN")
    with pytest.raises(OptionError, match="HPLN-TAN and HPLT-TAN"):
        find_roi("150.1 2.2 3arcsec", image)


def test_distortions_that_cannot_be_inverted_are_no_place(tmp_path, recwarn):
    image = with_cards(tmp_path, CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2,
                       B_ORDER=2, A_2_0=0.03, B_0_2=0.03)  # fmt: skip
    with pytest.raises(OptionError, match="not on the image"):
        find_roi("150.11 2.21 3arcsec", image)
    assert not recwarn.list


def test_a_region_at_the_rim_is_cut_off(image, caplog):
    corner = WCS(image.header).pixel_to_world(0, 0)
    assert isinstance(corner, SkyCoord)
    box = find_roi(f"{corner.ra.deg} {corner.dec.deg} 20arcsec", image)
    assert box.start == (0, 0)
    assert max(box.stop) <= 12
    assert "cut off" in caplog.text


@pytest.mark.parametrize(("build", "number"), [(lookup_tables, 0), (hst_acs, 1)])
def test_lookup_tables_count(build, number, tmp_path, caplog):
    """Without them places were some .4 px off; of a camera of Hubble it is up to a few."""
    image = open_image(build(tmp_path / "a.fits"))
    with fits.open(image.source) as hdus:
        wcs = WCS(hdus[number].header, hdus)
    x, y = np.array([4.0, 17.0, 33.0]), np.array([5.0, 22.0, 11.0])
    found = celestial(image).world_to_pixel(wcs.pixel_to_world(x, y))
    assert np.allclose(found, (x, y), atol=1e-5)
    assert "lookup" not in caplog.text


@pytest.mark.parametrize("damage", ["missing", "CQDIS"])
def test_lookup_tables_that_cannot_be_used_are_told(damage, tmp_path, caplog):
    path = lookup_tables(tmp_path / "a.fits")
    with fits.open(path, mode="update") as hdus:
        if damage == "missing":
            del hdus[2]
        else:
            hdus[0].header["CQDIS1"] = "LOOKUP"
    image = open_image(path)
    place = celestial(image).pixel_to_world(20, 15)
    assert "without lookup tables, and may be off by some px" in caplog.text
    box = find_roi(f"{place.ra.deg} {place.dec.deg} 1arcsec", image)
    assert Box((15, 20), (16, 21)).intersect(box).size


def test_upscale_takes_it(image, tmp_path):
    model = write_toy_model(tmp_path / "toy", channels=4, head_channels=4)
    result = sciup.upscale(image, model=model, psf_fwhm=2.4, samples=1, device="cpu",
                           roi="150.1 2.2 30arcsec")  # fmt: skip
    assert result.job.region == Box((134, 184), (165, 215))
