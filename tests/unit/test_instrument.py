"""Given goes before header, header before estimate, estimate before assumption; kept exactly."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sciup.errors import InputError, OptionError
from sciup.image import Fact
from sciup.io._array import open_array
from sciup.physics.given import Given
from sciup.physics.instrument import Instrument
from sciup.physics.resolve import resolve
from sciup.testing.toy_images import cells, star, star_field

SKY = star_field((256, 256), stars=40, flux=(2000, 30000))
CELLS = cells((256, 256), electrons_per_unit=2.0, pedestal=100)
HEADER = {
    "psf_fwhm": Fact(3.25, "header", "SEEING"),
    "electrons_per_unit": Fact(1.5, "header", "GAIN"),
    "read_noise": Fact(4.5, "header", "RDNOISE"),
    "pedestal": Fact(90.0, "header", "PEDESTAL"),
}
GIVEN = Given(
    psf_fwhm=2.75, electrons_per_unit=3.0, read_noise=2.0, background=95.0, noise_sigma=7.0
)


def found(values, domain, given=None, facts=None):
    image = open_array(values, domain=domain)
    image.facts = facts or {}
    return resolve(image, (), domain, given or Given())[0]


@pytest.mark.parametrize(
    ("domain", "name", "given", "header", "nothing"),
    [
        ("night-sky", "psf_fwhm", 2.75, 3.25, "estimated"),
        ("night-sky", "electrons_per_unit", 3.0, 1.5, "assumed"),
        ("night-sky", "read_noise", 2.0, 4.5, None),
        ("night-sky", "background", 95.0, None, "estimated"),
        ("night-sky", "noise_sigma", 7.0, None, "estimated"),
        ("fluorescence", "psf_fwhm", 2.75, 3.25, "estimated"),
        ("fluorescence", "electrons_per_unit", 3.0, 1.5, "estimated"),
        ("fluorescence", "background", 95.0, 90.0, "estimated"),
    ],
)
def test_precedence(domain, name, given, header, nothing):
    values = SKY if domain == "night-sky" else CELLS
    fact = getattr(found(values, domain, GIVEN, HEADER), name)
    assert (fact.value, fact.origin) == (given, "given")
    fact = getattr(found(values, domain, None, HEADER), name)
    if header is not None:
        assert (fact.value, fact.origin) == (header, "header")
    fact = getattr(found(values, domain), name)
    if nothing is None:
        assert fact.value is None
    else:
        assert fact.origin == nothing


def test_estimates_are_near_the_truth():
    sky = found(SKY, "night-sky")
    assert sky.psf_fwhm.value == pytest.approx(2.5, rel=0.1)
    assert sky.background.value == pytest.approx(100, abs=1)
    assert sky.noise_sigma.value == pytest.approx(5, rel=0.05)
    assert sky.correlation.value < 0.05
    cell = found(CELLS, "fluorescence")
    assert cell.electrons_per_unit.value == pytest.approx(2, rel=0.15)
    assert cell.background.value == pytest.approx(100, abs=8)
    assert cell.dark.value < cell.bright.value


def test_a_psf_image_goes_before_a_width():
    picture = star((15, 15), 7, 7, 3.0)
    instrument = found(SKY, "night-sky", Given(psf=picture, psf_fwhm=9.0))
    np.testing.assert_array_equal(instrument.psf.value, picture)
    assert instrument.psf_fwhm.value == pytest.approx(3.2, abs=0.25)
    # a stated width goes before a PSF image of the file
    facts = {"psf": Fact(picture, "header", "PSF")}
    assert found(SKY, "night-sky", Given(psf_fwhm=2.0), facts).psf.value is None
    assert found(SKY, "night-sky", None, facts).psf.origin == "header"


@pytest.mark.parametrize(
    "picture", [np.zeros((9, 9)), np.ones((2, 2)), np.ones(9), -np.ones((9, 9))]
)
def test_impossible_psf_images_are_refused(picture):
    with pytest.raises(OptionError, match="PSF image"):
        found(SKY, "night-sky", Given(psf=picture))


@pytest.mark.parametrize("background", [None, 90.0])
def test_given_noise_of_a_micrograph_is_the_noise(background):
    """Read noise follows where the level without light is known, else that level does."""
    given = Given(noise_sigma=20.0, electrons_per_unit=2.0, background=background)
    loud, calm = (
        found(CELLS, "fluorescence", g) for g in (given, replace(given, noise_sigma=None))
    )
    assert loud.noise_sigma.value == pytest.approx(20, rel=1e-6)
    assert loud.noise_sigma.origin == "given"
    moved = loud.read_noise if background else loud.background
    assert moved.value != (calm.read_noise if background else calm.background).value
    assert moved.origin == ("given" if background else "estimated")


@pytest.mark.parametrize("domain", ["night-sky", "fluorescence"])
def test_json_round_trip_is_exact(domain):
    picture = star((15, 15), 7.3, 6.9, 3.1)
    values = SKY if domain == "night-sky" else CELLS
    for given in (Given(), GIVEN, Given(psf=picture)):
        before = found(values, domain, given)
        after = Instrument.from_json(json.loads(json.dumps(before.as_json())))
        for name in before.__dataclass_fields__:
            a, b = getattr(before, name), getattr(after, name)
            assert (a.origin, a.note) == (b.origin, b.note)
            if isinstance(a.value, np.ndarray):
                np.testing.assert_array_equal(a.value, b.value)
            else:
                assert a.value == b.value


def test_rows_show_what_is_in_use_and_where_it_is_from():
    rows = {row[0]: row[1:] for row in found(SKY, "night-sky", GIVEN).rows()}
    assert rows["psf_fwhm"][:2] == ("2.75", "given")
    assert "psf" not in rows
    assert "dark" not in rows


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("psf_fwhm", "--psf-fwhm"),
        ("electrons_per_unit", "--gain"),
        ("read_noise", "--read-noise"),
        ("noise_sigma", "--noise-sigma"),
    ],
)
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_values_are_refused(name, option, value):
    with pytest.raises(OptionError, match=option):
        Given(**{name: value})


def test_more_impossible_values():
    for bad in ({"psf_fwhm": 0.0}, {"psf_fwhm": 100.0}, {"electrons_per_unit": 0.0}):
        with pytest.raises(OptionError):
            Given(**bad)
    with pytest.raises(OptionError, match="--background"):
        Given(background=float("nan"))
    assert Given(read_noise=0.0, background=-5.0).read_noise == 0


@pytest.mark.parametrize("domain", ["night-sky", "fluorescence"])
@pytest.mark.parametrize("value", [7.0, np.nan])
def test_images_without_contrast_or_data_are_refused(domain, value):
    with pytest.raises(InputError, match=r"all pixels have the same value|has data"):
        found(np.full((64, 64), value, np.float32), domain)


def test_a_cleaner_image_than_in_training_is_treated_as_noisy():
    smooth = cells((256, 256), electrons=1e7, read_noise=0)
    electrons = found(smooth, "fluorescence")
    span = electrons.bright.value - electrons.dark.value
    assert electrons.electrons_per_unit.value * span <= 5000 * 1.001


def test_wings_are_estimated_or_assumed_and_kept():
    """A width alone does not tell how much light lies in the wings: the shape is a fact too."""
    estimated = found(SKY, "night-sky")
    assert estimated.psf_beta.origin == "estimated"
    assert estimated.psf_beta.value > 8  # these stars are Gaussian
    dark = np.random.default_rng(0).normal(0, 1, (96, 96)).astype(np.float32)
    assumed = found(dark, "night-sky", Given(psf_fwhm=2.0))
    assert (assumed.psf_beta.value, assumed.psf_beta.origin) == (3.5, "assumed")
    back = Instrument.from_json(json.loads(json.dumps(assumed.as_json())))
    assert back.psf_beta == assumed.psf_beta
    assert found(CELLS, "fluorescence").psf_beta.value is None


@pytest.mark.parametrize(
    ("factor", "agrees"), [(1.0, True), (1.08, True), (0.7, False), (1.3, False)]
)
def test_stars_contradict_a_wrong_width(factor, agrees):
    measured = found(SKY, "night-sky")
    assert measured.star_fwhm.value is None  # nothing was stated
    assert not measured.contradiction
    stated = found(SKY, "night-sky", Given(psf_fwhm=factor * measured.psf_fwhm.value))
    assert stated.star_fwhm.value == pytest.approx(measured.psf_fwhm.value)
    assert (not stated.contradiction) is agrees
    back = Instrument.from_json(json.loads(json.dumps(stated.as_json())))
    assert back.contradiction == stated.contradiction
    if not agrees:
        assert "(--psf-fwhm), but" in stated.contradiction


def test_where_there_are_no_stars_nothing_is_contradicted():
    dark = np.random.default_rng(0).normal(0, 1, (96, 96)).astype(np.float32)
    assert not found(dark, "night-sky", Given(psf_fwhm=9.0)).contradiction
    assert not found(CELLS, "fluorescence", Given(psf_fwhm=9.0)).contradiction


def test_telescopes_in_space_have_wider_wings():
    image = open_array(np.random.default_rng(0).normal(0, 1, (96, 96)), domain="night-sky")
    image.header = {"TELESCOP": "JWST"}
    assert resolve(image, (), "night-sky", Given())[0].psf_beta.value == 2.1


def test_the_relative_kernel_keeps_the_wings():
    dark = np.random.default_rng(0).normal(0, 1, (96, 96)).astype(np.float32)
    kernel = found(dark, "night-sky", Given(psf_fwhm=2.5)).relative_kernel(2, 2.0, 29)
    far = np.hypot(*np.mgrid[-14:15, -14:15]) > 8
    assert kernel.sum() == pytest.approx(1)
    assert kernel[far].sum() > 0.02
    sharp = found(dark, "night-sky", Given(psf_fwhm=0.6)).relative_kernel(2, 2.0, 29)
    assert sharp[14, 14] > 0.5
