"""`sciup figure`: what the figure holds, what its caption says, and what is refused."""

import numpy as np
import pytest
from astropy.io import fits

import sciup
from sciup import cli
from sciup.geometry import Box
from sciup.image import Image
from sciup.io import open_image
from sciup.io._writer import Layout
from sciup.report.figure import write_figures
from sciup.results.finished import Finished
from sciup.results.sky import Sky
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (70, 90)
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": 4, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


def write_field(path, turn=0.0, flip=1):
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 40, "CRPIX2": 30})
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 62.0
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    for key, value in {"1_1": -c * flip, "1_2": s * flip, "2_1": s, "2_2": c}.items():
        header[f"CD{key}"] = 1e-4 * value
    fits.PrimaryHDU(star_field(SHAPE), header).writeto(path, overwrite=True)
    return path


@pytest.fixture
def result(model, tmp_path):
    field = write_field(tmp_path / "field.fits")
    return sciup.upscale(field, model=model, **STATED | FIXED).save(tmp_path / "out.fits")


def test_pdf_png_and_caption_of_a_field(model, result):
    paths = write_figures(result, model=str(model), roi="10:50,20:70")
    assert [p.name for p in paths] == ["out_figure.pdf", "out_figure.png", "out_figure.txt"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert fits_in(paths[1], 180)
    words = paths[2].read_text()
    for fact in (
        "Region 10:50, 20:70", "field.fits", "2 times finer", "first three of 5 samples",
        "asinh of the noise", "Not calibrated: share of the other samples", "3 sigma", "as given",
    ):  # fmt: skip
        assert fact in words, fact
    assert "Not shown" not in words


def fits_in(path, width):
    """The picture is as wide as asked at 300 dpi."""
    from matplotlib.image import imread

    return abs(imread(path).shape[1] - width / 25.4 * 300) < 3


def test_the_same_figure_is_the_same_file(model, result, tmp_path):
    pairs = [
        write_figures(result, [tmp_path / f"{n}.pdf", tmp_path / f"{n}.svg"], model=str(model))
        for n in "ab"
    ]
    # identifiers inside an SVG are random; its words are not
    assert pairs[0][0].read_bytes() == pairs[1][0].read_bytes()
    text = pairs[0][1].read_text()
    for title in ("(b) sample 0", "(f) raw vote, not calibrated", "(h) PSFs, input and output"):
        assert title in text, title


def test_what_cannot_be_drawn_is_said(model, result, tmp_path):
    (tmp_path / "field.fits").unlink()
    words = write_figures(result, [tmp_path / "f.png"], model=str(model))[-1].read_text()
    assert "Not shown: input, residual, sample_1, sample_2 (the input" in words
    assert "is no longer there" in words


def test_a_micrograph(tmp_path):
    model = write_toy_model(
        tmp_path / "toy", scale=2, domain="fluorescence", channels=4, head_channels=4
    )
    image: Image = open_image(cells((60, 40), seed=1))
    out = tmp_path / "out.ome.zarr"
    sciup.upscale(image, model=model, psf_fwhm=2.0, keep_samples=3, **FIXED).save(out)
    figure, caption = write_figures(out, [tmp_path / "f.png"], model=str(model), width=85)
    assert fits_in(figure, 85)
    assert "(linear)" in caption.read_text()


@pytest.mark.parametrize(("turn", "flip"), [(0, 1), (30, 1), (-120, 1), (75, -1)])
def test_north_and_east(model, tmp_path, turn, flip):
    """Where declination and right ascension grow, by the coordinates themselves."""
    field = write_field(tmp_path / "field.fits", turn, flip)
    layout = Layout(open_image(field), Box.of_shape(SHAPE), 2, (), {})
    sky = Sky.of_layout(layout)
    north, east = sky.compass(60.0, 80.0)
    ra, dec = sky.degrees(60.0, 80.0)
    for (dy, dx), what in ((north, "dec"), (east, "ra")):
        assert np.hypot(dy, dx) == pytest.approx(1)
        moved = sky.degrees(60.0 + 20 * dy, 80.0 + 20 * dx)
        along = {"ra": (moved[0] - ra) * np.cos(np.radians(dec)), "dec": moved[1] - dec}
        other = "ra" if what == "dec" else "dec"
        assert along[what] == pytest.approx(20 * 0.5e-4, rel=1e-2)
        assert abs(along[other]) < 0.02 * along[what]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "f.jpg"], "ends in .pdf, .png, .svg"),
        (["--out", "no/such/f.pdf"], "no folder no/such"),
        (["--width", "20"], "80 to 400 mm"),
        (["--roi", "0:999,0:10"], "--roi '0:999,0:10'"),
        ([], "out_figure.pdf exists already"),
    ],
)
def test_bad_input(capfd, result, monkeypatch, arguments, said):
    monkeypatch.chdir(result.parent)
    if not arguments:
        (result.parent / "out_figure.pdf").touch()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["figure", "out.fits", *arguments])
    assert stopped.value.code == 2
    told = " ".join(capfd.readouterr().err.split())
    assert said in told
    assert "Traceback" not in told
    assert not list(result.parent.glob(".*partial"))


def test_the_command(capfd, model, result, tmp_path):
    out = tmp_path / "fig.pdf"
    with pytest.raises(SystemExit) as stopped:
        cli.main(["figure", str(result), "--model", str(model), "--out", str(out)])
    assert stopped.value.code in (0, None)
    assert out.stat().st_size > 10_000
    assert "fig.pdf" in capfd.readouterr().err.replace("\n", "")
    assert Finished.open(result).maps  # what was read is as it was
