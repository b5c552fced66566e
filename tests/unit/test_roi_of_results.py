"""The region of a finished result: in pixels, on the sky, or by a region file of DS9."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import sciup
from sciup.cli import main
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.io._sky_roi import find_roi
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.results.sky import Sky
from sciup.science.measure.roi import region_of, region_of_result
from sciup.testing.fits_files import hst_acs, lookup_tables
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE, PART = (70, 90), Box((8, 10), (68, 86))
PIXELS = "23:54,33:64"
"""31 x 31 px around the place y 38, x 48, where the crosses of the sky below are."""


def sky_of(y, x):
    place = WCS(header()).pixel_to_world(x, y).icrs
    return place.ra.deg, place.dec.deg


def header():
    c, s = np.cos(0.4), np.sin(0.4)
    return fits.Header({"CRPIX1": 40.0, "CRPIX2": 30.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
                        "CRVAL1": 150.1, "CRVAL2": 62.2, "CD1_1": -c / 3600, "CD1_2": s / 3600,
                        "CD2_1": s / 3600, "CD2_2": c / 3600, "BUNIT": "electron"})  # fmt: skip


PLACE = "{:.9f} {:.9f} 30.2arcsec".format(*sky_of(38, 48))
REGION = 'icrs\ncircle({:.9f},{:.9f},15.2")'.format(*sky_of(38, 48))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A field and two exposures of it, the result of a part, and a region file."""
    folder = tmp_path_factory.mktemp("roi")
    rng = np.random.default_rng(1)
    for name in ("field", "again"):
        values = star_field(SHAPE, seed=1) + rng.normal(0, 1, SHAPE)
        fits.PrimaryHDU(values.astype("f4"), header()).writeto(folder / f"{name}.fits")
    model = write_toy_model(folder / "toy", scale=2, channels=4, head_channels=4)
    part = sciup.upscale(
        folder / "field.fits", model=model, roi="8:68,10:86", psf_fwhm=2.3, background=100.0,
        noise_sigma=5.0, gain=10.0, samples=4, device="cpu", precision="fp32",
    )  # fmt: skip
    for name in ("out.fits", "out.ome.zarr"):
        part.save(folder / name)
    (folder / "a.reg").write_text(REGION)
    return folder


@pytest.fixture(scope="module")
def drawn(folder):
    return Draws.open(folder / "out.fits", model=str(folder / "toy"))


def run(folder, out, command, *arguments):
    out.mkdir()
    with pytest.raises(SystemExit) as stopped:
        main([command, str(folder / "out.fits"), "--model", str(folder / "toy"),
              *(a.replace("OUT", str(out)) for a in arguments)])  # fmt: skip
    assert not stopped.value.code
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize(("forms", "arguments"), [
    (("all", "place", "file"), ["detect", "--samples", "4", "--out", "OUT/a.csv"]),
    (("all", "place", "file"), ["check", "--repeat", "AGAIN", "--json"]),
    (("place",), ["figure", "--out", "OUT/a.png"]), (("file",), ["report", "--out", "OUT/a.html"]),
], ids=["detect", "check", "figure", "report"])  # fmt: skip
def test_the_place_and_the_region_file_give_what_the_pixels_give(
    folder, tmp_path, capsys, caplog, forms, arguments
):
    arguments = [a.replace("AGAIN", str(folder / "again.fits")) for a in arguments]
    caplog.set_level("INFO", "sciup")
    given = {"all": [], "pixels": ["--roi", PIXELS], "place": ["--roi", PLACE],
             "file": ["--roi", str(folder / "a.reg")]}  # fmt: skip
    found = {}
    for name in ("pixels", *forms):
        caplog.clear()
        made = run(folder, tmp_path / name, *arguments, *given[name])
        found[name] = {**made, "printed": capsys.readouterr().out}
        assert (f"{PIXELS} in input px" in caplog.text) == (name in ("place", "file"))
    assert any(found["pixels"].values())
    for name in forms:
        assert (found[name] == found["pixels"]) == (name != "all")


@pytest.mark.parametrize("name", ["out.fits", "out.ome.zarr", "lazy"])
def test_results_of_all_kinds_know_their_sky(folder, name):
    if name == "lazy":
        field = folder / "field.fits"
        result = Draws.of_result(sciup.upscale(field, model=folder / "toy", psf_fwhm=2.3))
    else:
        result = Finished.open(folder / name)
    assert region_of_result(PLACE, result) == Box((23, 33), (54, 64))
    assert region_of_result(str(folder / "a.reg"), result) == Box((23, 33), (54, 64))
    assert region_of_result(PIXELS, result) == Box((23, 33), (54, 64))


@pytest.mark.parametrize("build", [lookup_tables, hst_acs])
def test_lookup_tables_count_before_and_after_writing(folder, build, tmp_path):
    """As `inject` and `robustness` see a result that is never written."""
    result = sciup.upscale(build(tmp_path / "in.fits"), model=folder / "toy", psf_fwhm=2.3)
    lazy = Draws.of_result(result).sky
    written = Sky.of(Finished.open(result.save(tmp_path / "out.fits")))
    height, width = result.shape[-2:]
    for place in ((0.0, 0.0), (height / 2, width / 3), (height - 1.0, width - 1.0)):
        np.testing.assert_allclose(lazy.degrees(*place), written.degrees(*place), rtol=0, atol=1e-9)
        found = lazy.pixels(SkyCoord(*lazy.degrees(*place), unit="deg"))[0]
        assert found == pytest.approx(place, abs=0.02)


@settings(max_examples=30)
@given(y=st.floats(0, 69), x=st.floats(0, 89), side=st.floats(1, 50), data=st.data())
def test_it_is_what_the_place_is_on_the_input(folder, drawn, y, x, side, data):
    """Found on the pixels of the result, but the same input pixels as of `upscale`, in the part."""
    edges = np.array([c + s * side / 2 for c in (y, x) for s in (-1, 1)])
    assume((np.abs(edges % 1 - 0.5) > 1e-3).all())  # else rounding decides
    (ra, dec), image = sky_of(y, x), open_image(folder / "field.fits")
    text = f"{ra:.9f} {dec:.9f} {side:.6f}arcsec"
    if data.draw(st.booleans()):
        text = str(folder / "b.reg")
        (folder / "b.reg").write_text(f'fk5\ncircle({ra:.9f},{dec:.9f},{side / 2:.6f}")')
    of_input = region_of(text, image)
    of_input = find_roi(text, image) if isinstance(of_input, str) else of_input
    inside = of_input.intersect(PART)
    assume(inside.size)
    assert region_of_result(text, drawn) == inside


@pytest.mark.parametrize(("text", "words"), [
    ("{} {} 3arcsec".format(*sky_of(3, 3)), r"not on the result of 8:68,10:86: it is \d"),
    ("330.1 -62.2 3arcsec", "not on the result of 8:68,10:86: its sky"),
    ("150.1 62.2 3", "ends in no size"), ("150.1 92 3arcsec", "cannot be read"),
    ("150.1 62.2", "on the sky --roi '150.1 2.2 30arcsec'"),
    ("0:20,20:40", "not inside the result"), ("0:20,20:999", "inside the image of 70 x 90"),
    ("none.reg", "none.reg cannot be read"),
])  # fmt: skip
def test_what_cannot_be_is_told(folder, text, words):
    with pytest.raises((OptionError, InputError), match=words):
        region_of_result(text, Finished.open(folder / "out.fits"))


def test_several_regions_and_regions_elsewhere_are_told(folder):
    done, path = Finished.open(folder / "out.fits"), folder / "c.reg"
    path.write_text("image\ncircle(30,30,3)\ncircle(50,50,3)")
    with pytest.raises(OptionError, match="holds 2 regions"):
        region_of_result(str(path), done)
    path.write_text("image\nbox(4,4,4,4,0)")
    with pytest.raises(OptionError, match="not on the result of 8:68,10:86: it is 1:6,1:6"):
        region_of_result(str(path), done)


def test_a_place_at_the_rim_is_cut_off(folder, caplog):
    done = Finished.open(folder / "out.fits")
    box = region_of_result("{} {} 9.2arcsec".format(*sky_of(10, 40)), done)
    assert box == Box((8, 35), (16, 46))
    assert "cut off at its rim" in caplog.text


def test_a_result_without_a_sky_is_refused(folder, tmp_path, capsys):
    fits.PrimaryHDU(star_field(SHAPE)).writeto(tmp_path / "bare.fits")
    out = sciup.upscale(tmp_path / "bare.fits", model=folder / "toy", psf_fwhm=2.3, samples=1).save(
        tmp_path / "bare_out.fits"
    )
    for text, words in ((PLACE, "no celestial"), (str(folder / "a.reg"), "no world coordinates")):
        with pytest.raises(SystemExit) as stopped:
            main(["figure", str(out), "--model", str(folder / "toy"), "--roi", text])
        assert stopped.value.code == 2
        assert words in " ".join(capsys.readouterr().err.split())
    (tmp_path / "d.reg").write_text("image\nbox(21,21,9,9,0)")
    done = Finished.open(out)
    assert region_of_result(str(tmp_path / "d.reg"), done) == Box((16, 16), (25, 25))
