"""Sky coordinates under the cursor, and which way up the sky is."""

import time

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from napari.components import ViewerModel

from sciup.testing import fits_files as made
from sciup_napari import sky_cursor
from sciup_napari.place import camera_of
from sciup_napari.sky_cursor import install, sky_words, text_overlay

PIXEL = 0.2 / 3600
CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": -2.0, "CRPIX1": 10.0,
    "CRPIX2": 12.0, "CD1_1": -PIXEL, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": PIXEL,
}  # fmt: skip
FRAMES = {
    "icrs": {"RADESYS": "ICRS"},
    "fk5": {"RADESYS": "FK5", "EQUINOX": 2000.0},
    "old": {"RADESYS": "FK5", "EQUINOX": 1975.0},
    "galactic": {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    "swapped": {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -2.0, "CRVAL2": 150.0},
    "pole": {"CRVAL2": 89.9999},
    "zero": {"CRVAL1": 0.0001},
}


def header(**more):
    return fits.Header(CARDS | more)


def position(words):
    """The coordinates that the words tell, both ways."""
    sexagesimal = words[words.index("RA ") + 3 : words.index("(")].replace("Dec", "")
    sexagesimal = sexagesimal.replace("−", "-").replace("°", "d").replace("′", "m")
    one = SkyCoord(sexagesimal.replace("″", "s"))
    inside = words[words.index("(") + 1 : words.index(" ICRS")].replace("°", "").replace("−", "-")
    return one, SkyCoord(*map(float, inside.split()), unit="deg")


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (31.25, 7.5), (-3.0, 400.0)])
def test_the_words_are_what_astropy_says(frame, x, y):
    wcs = WCS(header(**FRAMES[frame]))
    true = wcs.pixel_to_world(x, y).icrs
    for told in position(sky_words(wcs, x, y)):
        assert told.separation(true) < 0.012 * units.arcsec


def test_sip_is_not_forgotten(tmp_path):
    wcs = WCS(fits.getheader(made.hst_flt(tmp_path / "a.fits"), 1))
    true = wcs.pixel_to_world(2000, 1500).icrs
    core = SkyCoord(*wcs.wcs_pix2world(2000, 1500, 0), unit="deg")
    assert core.separation(true) > 0.02 * units.arcsec
    assert position(sky_words(wcs, 2000, 1500))[0].separation(true) < 0.012 * units.arcsec


def test_seconds_never_show_as_sixty():
    # 23h59m59.9999s and -0°00'59.999"
    words = sky_words(WCS(header(CRVAL1=359.9999999, CRVAL2=-59.9999 / 3600)), 9.0, 11.0)
    assert words.startswith("RA 00h00m00.000s  Dec −00°01′00.00″")


def test_frames_that_are_not_of_the_stars_tell_their_own_coordinates(tmp_path):
    wcs = WCS(header(CTYPE1="XLON-TAN", CTYPE2="XLAT-TAN"))
    assert sky_words(wcs, 0.0, 0.0).startswith("XLON +150.")


def test_one_point_costs_little():
    wcs = WCS(header(**FRAMES["galactic"]))
    sky_words(wcs, 0.0, 0.0)
    start = time.perf_counter()
    for i in range(100):
        sky_words(wcs, float(i), 0.0)
    assert time.perf_counter() - start < 0.1


def viewer_with(path):
    from sciup_napari.fits_layers import read_fits

    viewer = ViewerModel()
    for data, keywords, _ in read_fits(path):
        viewer.add_image(data, **keywords)
    return viewer


def test_the_cursor(tmp_path):
    fits.PrimaryHDU(np.zeros((30, 40), "f4"), header()).writeto(tmp_path / "a.fits")
    viewer = viewer_with(tmp_path / "a.fits")
    assert install(viewer)
    overlay = text_overlay(viewer)
    viewer.cursor.position = (7.5 * 0.2, 31.25 * 0.2)
    true = WCS(header()).pixel_to_world(31.25, 7.5).icrs
    assert overlay.visible
    assert position(overlay.text)[0].separation(true) < 0.012 * units.arcsec
    viewer.cursor.position = (50.0, 1.0)  # beside the image
    assert not overlay.visible
    viewer.cursor.position = (1.0, 1.0)
    viewer.add_image(np.zeros((500, 500)), name="no sky")
    viewer.cursor.position = (1.1, 1.0)
    assert overlay.visible
    viewer.layers[0].visible = False
    viewer.cursor.position = (1.2, 1.0)
    assert not overlay.visible


def test_cubes_and_other_axes(tmp_path):
    cube = np.zeros((3, 30, 40), "f4")
    fits.PrimaryHDU(cube, header()).writeto(tmp_path / "a.fits")
    viewer = viewer_with(tmp_path / "a.fits")
    viewer.add_image(np.zeros((2, 3, 9, 9)), visible=False)
    install(viewer)
    viewer.cursor.position = (0.0, 1.0, 7.5 * 0.2, 31.25 * 0.2)
    true = WCS(header()).pixel_to_world(31.25, 7.5).icrs
    assert position(text_overlay(viewer).text)[0].separation(true) < 0.012 * units.arcsec


def test_it_is_installed_once_and_leaves_the_texts_of_others_alone(tmp_path):
    fits.PrimaryHDU(np.zeros((30, 40), "f4"), header()).writeto(tmp_path / "a.fits")
    viewer = viewer_with(tmp_path / "a.fits")
    assert install(viewer)
    assert not install(viewer)
    overlay = text_overlay(viewer)
    overlay.text, overlay.visible = "mine", True
    viewer.cursor.position = (1.0, 1.5)
    assert overlay.text == "mine"
    overlay.text = ""
    viewer.cursor.position = (1.0, 1.6)
    assert overlay.text.startswith("RA ")
    viewer.layers.clear()
    assert not overlay.visible


def test_a_closed_viewer_is_forgotten():
    import gc

    viewer = ViewerModel()
    install(viewer)
    number = id(viewer)
    assert number in sky_cursor._installed
    del viewer
    gc.collect()
    assert number not in sky_cursor._installed


def test_the_reader_installs_it_and_turns_the_sky_up(tmp_path, make_napari_viewer):
    fits.PrimaryHDU(np.zeros((30, 40), "f4"), header()).writeto(tmp_path / "a.fits")
    viewer = make_napari_viewer()
    before = camera_of(viewer).orientation2d
    viewer.open(tmp_path / "a.fits", plugin="sciup")
    viewer.open(tmp_path / "a.fits", plugin="sciup")
    assert not install(viewer)
    assert [str(v) for v in camera_of(viewer).orientation2d] == ["up", "right"]
    viewer.cursor.position = (1.0, 1.5)
    assert text_overlay(viewer).text.startswith("RA ")
    viewer.layers.clear()
    from sciup.testing.microscopy_files import write_ome_zarr

    micro = write_ome_zarr(tmp_path / "a.zarr", np.ones((9, 9), "u1"), "yx")
    viewer.open(micro, plugin="sciup")
    assert camera_of(viewer).orientation2d == before


def test_an_image_that_is_shown_is_not_turned(tmp_path, make_napari_viewer):
    fits.PrimaryHDU(np.zeros((30, 40), "f4"), header()).writeto(tmp_path / "a.fits")
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((5, 5)))
    before = camera_of(viewer).orientation2d
    viewer.open(tmp_path / "a.fits", plugin="sciup")
    assert camera_of(viewer).orientation2d == before
