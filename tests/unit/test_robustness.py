"""`sciup robustness`: what is changed, what is not, and the table."""

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import sciup
from sciup import cli
from sciup.errors import ModelError
from sciup.physics.psf import moments
from sciup.physics.psf_error import wider
from sciup.science.robustness.run import summary
from sciup.science.robustness.vary import noisier, variations
from sciup.testing.toy_images import SIGMA_TO_FWHM, star, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (64, 90)
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": 4, "device": "cpu", "precision": "fp32"}
CIRCLES = "image\ncircle(31,21,4)\ncircle(61,41,4)\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("toys")


@pytest.fixture(scope="module")
def model(folder):
    return write_toy_model(folder / "toy", scale=2, channels=4, head_channels=4)


@pytest.fixture(scope="module")
def field(folder):
    image = star_field(SHAPE, stars=0)
    image = image + sum(20000 * star(SHAPE, y, x, 2.3) for y, x in ((20, 30), (40, 60)))
    fits.PrimaryHDU(image.astype(np.float32)).writeto(folder / "field.fits")
    return folder / "field.fits"


def lazy(model, field, **more):
    return sciup.upscale(field, model=model, **STATED | FIXED | more)


def test_one_belief_at_a_time(model, field, folder):
    other = write_toy_model(folder / "other", scale=2, channels=4, head_channels=4, seed=5)
    found = dict(variations(lazy(model, field), (other,)))
    assert list(found) == [
        "as it is", "PSF -10 %", "PSF +10 %", "noise x 1.2", "seed 1", "seed 2", "other",
    ]  # fmt: skip
    base = found["as it is"].job
    for name, result in found.items():
        job, i = result.job, result.instrument
        width = {"PSF -10 %": 2.3 * 0.9, "PSF +10 %": 2.3 * 1.1}.get(name, 2.3)
        assert i.psf_fwhm.value == pytest.approx(width)
        assert i.noise_sigma.value == pytest.approx(6.0 if "noise" in name else 5.0)
        assert job.settings.seed == {"seed 1": 1, "seed 2": 2}.get(name, 0)
        assert (job.model == base.model) == (name != "other")
        assert job.digests == base.digests


def test_noise_grows_at_every_level(model, field):
    """Photons and electronics: sigma^2 = (signal gain + read^2) / gain^2."""
    before = lazy(model, field, read_noise=4.0).instrument
    after = noisier(before, 1.2)

    def variance(i, signal):
        gain, read = i.electrons_per_unit.value, i.read_noise.value
        return (signal * gain + read**2) / gain**2

    for signal in (0.0, 50.0, 3000.0):
        assert variance(after, signal) == pytest.approx(1.44 * variance(before, signal))


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("err", [True, False])
@pytest.mark.parametrize("domain", ["night-sky", "fluorescence"])
def test_the_sampler_sees_more_noise(folder, domain, err, given):
    """In input units, at dark and bright places: from the mesh, stated, or from the file's map."""
    from sciup.engine.job import Worker
    from sciup.evaluate.draws import measurement
    from sciup.io import open_image

    net = write_toy_model(
        folder / f"n{domain}", scale=2, channels=4, head_channels=4, domain=domain
    )
    path = folder / f"{domain}{err}{given}.fits"
    rng = np.random.default_rng(2)
    image = rng.normal(100, 5, (80, 80))
    image[30:50, 30:50] += rng.normal(4000, 30, (20, 20))
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(image.astype("f4"), name="SCI")]
    noise = np.full(image.shape, 7.0, "f4")
    fits.HDUList([*hdus, fits.ImageHDU(noise, name="ERR")][: 3 if err else 2]).writeto(path)
    stated = {"background": 100.0, "noise_sigma": 5.0} if given else {}
    opened = open_image(path, hdu="SCI")
    opened.domain = domain
    before = sciup.upscale(opened, model=net, psf_fwhm=2.3, gain=4.0, **stated, **FIXED)
    after = dict(variations(before))["noise x 1.2"]
    quiet, loud = measurement(before), measurement(after)
    np.testing.assert_allclose(loud.sigma, 1.2 * quiet.sigma, rtol=0.02)
    np.testing.assert_allclose(loud.values, quiet.values)
    assert Worker(after.job).sampler(0, ()).units.louder == 1.2


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.1, 1.5])
@pytest.mark.parametrize("side", [15, 16, 41, 65])
def test_a_psf_image_is_stretched(model, field, factor, side):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    psf = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    before = lazy(model, field, psf=psf, psf_fwhm=None).instrument
    after = wider(before, factor)
    assert after.psf_fwhm.value == pytest.approx(factor * before.psf_fwhm.value)
    # the image holds the integration over a pixel, the kernel does not
    sigma = np.sqrt((1.5 * factor) ** 2 - 1 / 12)
    found = moments(after.relative_kernel(4, 0.0, 81))[0] / 4
    assert found == pytest.approx(SIGMA_TO_FWHM * sigma, rel=0.01)


def test_the_table_says_what_moved(model, field):
    names = []
    table = sciup.robustness(
        lazy(model, field), "photometry", regions=CIRCLES, samples=4, progress=names.append
    )
    assert names == list(dict.fromkeys(table["variation"]))
    assert len(table) == 2 * 6
    plain = sciup.measure(lazy(model, field), "photometry", regions=CIRCLES, samples=4)
    base = table[table["variation"] == "as it is"]
    np.testing.assert_array_equal(base["value"], plain["flux"])
    assert not base["shift"].any()
    seed = sciup.measure(lazy(model, field, seed=2), "photometry", regions=CIRCLES, samples=4)
    part = table[table["variation"] == "seed 2"]
    np.testing.assert_array_equal(part["value"], seed["flux"])
    np.testing.assert_allclose(
        part["shift_std"], (seed["flux"] - plain["flux"]) / plain["flux_std"]
    )
    held = (plain["flux_lo95"] <= seed["flux"]) & (seed["flux"] <= plain["flux_hi95"])
    np.testing.assert_array_equal(part["inside"], held)
    rows = summary(table)
    assert [r["variation"] for r in rows] == names[1:]
    assert rows[-1]["largest"] == pytest.approx(np.abs(part["shift_std"]).max())


def test_the_command_writes_table_and_summary(capfd, model, field, tmp_path):
    (tmp_path / "c.reg").write_text(CIRCLES)
    arguments = ["robustness", field, "--model", model, "--with", "intensity", "--regions",
                 tmp_path / "c.reg", "--samples", 3, "--psf-fwhm", 2.3, "--device", "cpu",
                 "--out", tmp_path / "t.ecsv"]  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        cli.main([*map(str, arguments), "--json"])
    assert not stopped.value.code
    told = json.loads(capfd.readouterr().out)
    table = Table.read(tmp_path / "t.ecsv")
    assert len(told["rows"]) == len(table) == 12
    assert told["rows"][3]["value"] == pytest.approx(table["value"][3])
    assert table.meta["quantity"] == "intensity"


def test_what_is_measured_is_never_replaced(capfd, model, field):
    before = field.read_bytes()
    for command, path in (("robustness", field), ("measure", field), ("detect", field)):
        more = [] if command == "detect" else ["--with", "intensity"]
        with pytest.raises(SystemExit) as stopped:
            cli.main([command, str(path), *more, "--out", str(path), "--overwrite"])
        assert stopped.value.code == 2
        assert "is what is measured" in " ".join(capfd.readouterr().err.split())
    assert field.read_bytes() == before


def test_another_scale_is_refused(model, field, folder):
    four = write_toy_model(folder / "four", scale=4, channels=4, head_channels=4)
    with pytest.raises(ModelError, match="scale 2 was asked of 'four'"):
        dict(variations(lazy(model, field), (four,)))
