"""A region of interest by a region file of DS9."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.science.measure.roi import region_of
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (300, 400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reg")
    header = fits.Header({"CRPIX1": 200.0, "CRPIX2": 150.0, "CTYPE1": "RA---TAN",
                          "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2,
                          "CDELT1": -1 / 3600, "CDELT2": 1 / 3600, "BUNIT": "adu"})  # fmt: skip
    fits.PrimaryHDU(star_field(SHAPE, stars=9), header).writeto(folder / "a.fits")
    return folder


def found(folder, text, image=None):
    path = folder / "a.reg"
    path.write_text(text)
    return region_of(str(path), image or open_image(folder / "a.fits"))


@pytest.mark.parametrize(("text", "box"), [
    # DS9 counts from 1: the box of 20 x 10 px around pixel (100, 50) from 0
    ("image\nbox(101,51,20,10,0)", Box((45, 90), (56, 111))),
    ("image\nbox(100.5,50.5,20,10,0)", Box((45, 90), (55, 110))),
    ("circle(101,51,5.4)", Box((45, 95), (56, 106))),
    ("polygon(11,21,31,21,31,61,11,61)", Box((20, 10), (61, 31))),
    ('icrs\ncircle(150.1,2.2,4.6")', Box((144, 194), (155, 205))),
    ('fk5; box(10:00:24,+2:12:00,9.2",9.2",0)', Box((144, 194), (155, 205))),
])  # fmt: skip
def test_the_box_around_the_region(folder, text, box):
    assert found(folder, text) == box


def test_the_sky_is_that_of_the_image(folder):
    place = WCS(fits.getheader(folder / "a.fits")).pixel_to_world(320.0, 77.0)
    box = found(folder, f'icrs\ncircle({place.ra.deg:.8f},{place.dec.deg:.8f},3.2")')
    assert box == Box((74, 317), (81, 324))


def test_other_texts_are_left_alone(folder):
    image = open_image(folder / "a.fits")
    assert region_of("10:20,:5", image) == "10:20,:5"
    assert region_of(None, image) is None


def test_several_are_named_and_cutouts_recommended(folder):
    with pytest.raises(OptionError, match=r"2 regions: core, 2.*sciup cutouts"):
        found(folder, "image\ncircle(9,9,3) # text={core}\ncircle(50,50,3)")


@pytest.mark.parametrize(("text", "words"), [
    ("image\n", "holds 0 regions"), ("circle(1000,9,3)", "not on the image"),
    ("point(9,9)", "a point has no size$|a point has no size[.]"), ("ruler(1,2,3,4)", "line 1"),
    ("physical\ncircle(9,9,3)", "physical"),
])  # fmt: skip
def test_what_cannot_be_is_told(folder, text, words):
    with pytest.raises((OptionError, InputError), match=words) as error:
        found(folder, text)
    assert "--radius" not in str(error.value)


def test_the_sky_of_an_image_without_one_is_refused(folder):
    with pytest.raises(InputError, match="no world coordinates"):
        found(folder, 'icrs\ncircle(150,2,3")', open_image(np.ones((99, 99))))
    assert found(folder, "circle(51,51,3.4)", open_image(np.ones((99, 99)))) == Box(
        (47, 47), (54, 54)
    )


def test_a_missing_file_is_told(folder):
    with pytest.raises(InputError, match="cannot be read"):
        region_of(str(folder / "none.reg"), open_image(folder / "a.fits"))


def test_a_region_at_the_rim_is_cut_off(folder, caplog):
    assert found(folder, "circle(1,1,5.4)") == Box((0, 0), (6, 6))
    assert "cut off" in caplog.text


def test_upscale_and_inspect_take_it(folder, capsys):
    from sciup.cli import main

    write_toy_model(folder / "toy", channels=4, head_channels=4)
    (folder / "b.reg").write_text("image\nbox(100.5,50.5,20,10,0)")
    given = ["--roi", str(folder / "b.reg"), "--model", str(folder / "toy"), "--psf-fwhm", "2.4",
             "--device", "cpu"]  # fmt: skip
    with pytest.raises(SystemExit) as done:
        main(["inspect", str(folder / "a.fits"), "--json", *given])
    assert done.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["region"] == "45:55,90:110"
    assert told["output_shape"] == [20, 40]
    out = folder / "out.fits"
    with pytest.raises(SystemExit) as done:
        main(["upscale", str(folder / "a.fits"), str(out), "--samples", "1", *given])
    assert done.value.code == 0
    assert fits.getheader(out)["SCIROI"] == "45:55,90:110"


@pytest.mark.parametrize(("command", "more", "file", "known"), [
    ("compare", ["--methods", "bicubic,mean", "--samples", "1", "--psf-error", "10%"],
     "comparison.csv", "known to 10 %"),
    ("inject", ["--random", "1", "--samples", "4", "--psf-error", "10%"], "injections.ecsv",
     "known to 10 %"),
    ("explore", ["--answers", "2", "--steps", "1"], ".explore.json", '"roi": "120:180,170:230"'),
])  # fmt: skip
def test_other_commands_take_it(folder, command, more, file, known, caplog):
    from sciup.cli import main

    write_toy_model(folder / "toy", channels=4, head_channels=4)
    (folder / "b.reg").write_text("image\nbox(200.5,150.5,60,60,0)")
    out = folder / command
    caplog.set_level("INFO", "sciup")
    with pytest.raises(SystemExit) as done:
        main(
            [
                command,
                str(folder / "a.fits"),
                "--roi",
                str(folder / "b.reg"),
                "--out",
                str(out),
                "--model",
                str(folder / "toy"),
                "--psf-fwhm",
                "2.4",
                "--device",
                "cpu",
                *more,
            ]
        )
    assert done.value.code in (0, 3)  # of explore: one step finds no answer
    assert "in input px" in caplog.text
    written = out / file if out.is_dir() else out.with_name(out.name + file)
    assert known in written.read_text()


def test_letters_that_make_a_longitude_a_latitude(folder):
    """Found by tests/faults/fuzz_beside.py: astropy raises a TypeError."""
    with pytest.raises(InputError, match="Longitude"):
        found(folder, 'fk5\ncircle(150.1N,2.2,3")')


def test_a_size_that_is_missing(folder):
    with pytest.raises(InputError, match="size is missing"):
        found(folder, "fk5\ncircle(150.1,2.2,)")
