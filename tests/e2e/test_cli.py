"""The command line from the outside: good input gives a result, bad input exit 2 and words."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits

from sciup import cli
from sciup.io._provenance import read_provenance
from sciup.testing.toy_model import write_toy_model


@pytest.fixture(scope="module")
def sky_model(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("m") / "toy-sky", scale=2, domain="night-sky")


@pytest.fixture
def field(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(10, 2, (70, 90)).astype(np.float32)
    data[30:34, 40:44] += 300
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 1, "CRPIX2": 1, "CDELT1": -1e-4})
    header["CDELT2"], header["CTYPE1"], header["CTYPE2"] = 1e-4, "RA---TAN", "DEC--TAN"
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    return path


def call(capfd, *arguments):
    """Exit code and both streams of `sciup ARGUMENTS`."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in arguments])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return (stop.value.code or 0), out, " ".join(err.split())


@pytest.mark.parametrize("scale", [1, 2])
def test_upscale_writes_a_fits_result(capfd, field, tmp_path, scale):
    out = tmp_path / "out.fits"
    model = write_toy_model(tmp_path / "toy", scale=scale, domain="night-sky")
    options = ["--model", model, "--scale", scale, "--samples", 2, "--psf-fwhm", 2]
    code, _, err = call(capfd, "upscale", field, out, *options)
    assert code == 0, err
    assert f"toy, {scale}x" in err
    assert "(chosen by you)" in err
    with fits.open(out) as hdus:
        hdus.verify("exception")
        names = [h.name for h in hdus]
        assert {"SAMPLE", "MEAN", "STD", "RISK_RAW", "SUPPORT"} <= set(names)
        assert hdus["MEAN"].data.shape == (70 * scale, 90 * scale)
        header = hdus["MEAN"].header
        assert header["BUNIT"] == "electron"
        assert header["CDELT2"] == pytest.approx(1e-4 / scale)
        assert header["CRPIX1"] == scale * (1 - 0.5) + 0.5
    assert read_provenance(out)["scale"] == scale
    assert read_provenance(out)["samples"] == 2
    assert not out.with_name("out.fits.partial").exists()


def test_what_is_believed_is_printed_with_its_origin(capfd, field, sky_model, tmp_path):
    code, _, err = call(
        capfd,
        "upscale",
        field,
        tmp_path / "o.fits",
        "--model",
        sky_model,
        "--psf-fwhm",
        2.1,
        "--dry-run",
    )
    assert code == 0
    assert "2.1 input px given" in err
    assert "electrons_per_unit 1 electron per unit header" in err
    assert "block sum kept" in err
    assert not (tmp_path / "o.fits").exists()


def test_inspect_json_is_json(capfd, field, sky_model):
    code, out, _ = call(capfd, "inspect", field, "--model", sky_model, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["shape"] == [70, 90]
    assert facts["pixel_size"] == pytest.approx([0.36, 0.36])
    assert facts["instrument"][0]["electrons_per_unit"]["origin"] == "header"


@pytest.mark.parametrize("command", [[], ["upscale"], ["inspect"], ["models"], ["demo"], ["train"]])
def test_every_help_has_an_example(capfd, command):
    code, out, _ = call(capfd, *command, "--help")
    assert code == 0
    assert not command or f"sciup {command[0]}" in out.replace("\n", " ")


def bad_files(folder):
    """Name and path of every bad input."""
    rng = np.random.default_rng(1)
    good = rng.normal(5, 1, (64, 64)).astype(np.float32)
    (folder / "text.fits").write_text("this is not an image")
    (folder / "empty.tif").write_bytes(b"")
    fits.PrimaryHDU(good).writeto(folder / "whole.fits")
    whole = (folder / "whole.fits").read_bytes()
    (folder / "truncated.fits").write_bytes(whole[: len(whole) // 2])
    tifffile.imwrite(folder / "whole.tif", rng.integers(0, 9, (300, 300)).astype(np.uint16))
    whole = (folder / "whole.tif").read_bytes()
    (folder / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    arrays = {
        "line": good[0],
        "nan": np.full((64, 64), np.nan, np.float32),
        "constant": np.full((64, 64), 7, np.float32),
        "one": good[:1, :1],
    }
    for name, array in arrays.items():
        fits.PrimaryHDU(array).writeto(folder / f"{name}.fits")
    (folder / "hollow.zarr").mkdir()
    zarr.open_group(str(folder / "group.zarr"), mode="w", zarr_format=3)
    complex_array = zarr.create_array(
        store=str(folder / "complex.zarr"), shape=(64, 64), chunks=(64, 64), dtype="complex64"
    )
    complex_array[:] = 1j
    names = ["missing.fits", "text.fits", "empty.tif", "truncated.fits", "truncated.tif"]
    names += [f"{n}.fits" for n in arrays] + ["hollow.zarr", "group.zarr", "complex.zarr"]
    return [folder / n for n in names]


def test_bad_files_are_refused_in_words(capfd, sky_model, tmp_path):
    for path in bad_files(tmp_path):
        out = tmp_path / "result.fits"
        code, _, err = call(capfd, "upscale", path, out, "--model", sky_model, "--samples", 1)
        assert code == 2, (path.name, err)
        assert "Error: " in err
        assert len(err) > 40
        assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gain", "-1"], "--gain -1"),
        (["--read-noise", "-3"], "--read-noise -3"),
        (["--psf-fwhm", "0"], "--psf-fwhm 0"),
        (["--roi", "0:10,80:999"], "not inside"),
        (["--roi", "somewhere"], "cannot be read"),
        (["--scale", "4"], "--scale 2"),
        (["--scale", "1"], "--scale 2"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--hdu", "7"], "7"),
        (["--samples", "0"], "--samples 0"),
        (["--tolerance", "much"], "3sigma or 5%"),
        (["--maps", "beauty"], "beauty"),
        (["--device", "tpu"], "tpu"),
        (["--tile", "0"], "--tile 0"),
        (["--pixel-size", "-2"], "--pixel-size -2"),
    ],
)
def test_bad_options_are_refused_in_words(capfd, field, sky_model, tmp_path, options, words):
    model = [] if "--model" in options else ["--model", sky_model]
    code, _, err = call(
        capfd, "upscale", field, tmp_path / "o.fits", "--samples", 1, *model, *options
    )
    assert code == 2
    assert words in err
    assert not (tmp_path / "o.fits").exists()


def test_existing_output_is_kept_unless_told(capfd, field, sky_model, tmp_path):
    out = tmp_path / "out.fits"
    arguments = ["upscale", field, out, "--model", sky_model, "--samples", 1, "--psf-fwhm", 2]
    out.write_text("precious")
    code, _, err = call(capfd, *arguments)
    assert code == 2
    assert "--overwrite" in err
    assert out.read_text() == "precious"
    assert call(capfd, *arguments, "--overwrite")[0] == 0
    assert call(capfd, *arguments, "--resume")[0] == 0


def test_an_unknown_suffix_and_a_missing_folder_are_refused(capfd, field, sky_model, tmp_path):
    for name in ("out.jpg", "nowhere/out.fits"):
        code, _, err = call(
            capfd, "upscale", field, tmp_path / name, "--model", sky_model, "--samples", 1
        )
        assert code == 2
        assert "OutputError" in err
