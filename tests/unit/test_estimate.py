"""What the pixels tell: gain within 15 %, width of stars within 5 %, correlation of noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.generators.noise import correlate, noise_key, normal_field
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.physics import estimate
from sciup.physics.given import Given
from sciup.physics.psf import moffat
from sciup.physics.resolve import resolve
from sciup.physics.stars import star_psf
from sciup.testing.toy_images import cells, star, star_field


def probe(values):
    return estimate.probe(open_array(values), ())


@pytest.mark.parametrize("gain", [0.25, 1.0, 6.0])
@pytest.mark.parametrize("electrons", [60, 1000])
@pytest.mark.parametrize("side", [64, 512])
def test_gain_from_photon_transfer(gain, electrons, side):
    """`gain` electrons per unit; the noise at the pedestal is that of reading, 1 electron."""
    values = cells((side, side), seed=3, electrons=electrons, electrons_per_unit=gain, pedestal=100)
    line = estimate.photon_transfer(probe(values))
    assert line.gain == pytest.approx(gain, rel=0.15 if side > 64 else 0.35)
    assert line.variance(100) * gain**2 == pytest.approx(1, abs=0.2 * electrons**0.5 + 2)


def test_gain_of_a_flat_poisson_image_with_a_gradient():
    rng = np.random.default_rng(0)
    light = np.broadcast_to(np.linspace(5, 300, 512), (512, 512))
    line = estimate.photon_transfer(probe(rng.poisson(light).astype(np.uint16)))
    assert line.gain == pytest.approx(1, rel=0.05)
    assert abs(line.zero) < 3


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(0.01, 100),
    st.floats(0, 3),
    st.floats(5, 2000),
    st.floats(0, 30),
    st.integers(48, 200),
)
def test_noise_of_images_without_structure(seed, gain, dark, light, read, side):
    """Whatever gain, light that was there before, range and read noise: variance within a half.

    Of 25 patches as of more.
    """
    rng = np.random.default_rng(seed)
    mean = dark * light + np.linspace(0, light, side) * np.ones((side, 1))
    electrons = rng.poisson(mean) + rng.normal(0, max(read, 0.3), mean.shape)
    line = estimate.photon_transfer(probe((electrons / gain + 7).astype(np.float32)))
    middle = float(np.median(mean))
    expected = (middle + max(read, 0.3) ** 2) / gain**2
    assert line.variance(middle / gain + 7) == pytest.approx(expected, rel=0.5)


def test_noise_that_does_not_grow():
    """The same at both ends, as far as a line that rises can say so."""
    values = star_field((512, 512), stars=30, noise=5)
    values += np.linspace(0, 200, 512, dtype=np.float32)
    line = estimate.photon_transfer(probe(values))
    for level in (10, 100, 190):
        assert line.variance(level) == pytest.approx(25, rel=0.15)


def test_light_that_was_there_before_is_no_pedestal():
    """The noise of a bright background counts, though no pixel is as dark as the true pedestal."""
    values = cells((256, 256), seed=1, electrons=300) + np.float32(0)
    rng = np.random.default_rng(2)
    lit = rng.poisson(np.maximum(values, 0) + 400).astype(np.float32)
    image = open_array(lit, domain="fluorescence")
    found = resolve(image, (), "fluorescence", Given()).instrument
    dark = found.dark.value
    assert found.noise_sigma.value == pytest.approx(np.sqrt(dark + dark - 400), rel=0.15)


@pytest.mark.parametrize(("read", "believed"), [(0.2, 0.5), (0.7, 0.7), (1.3, 1.0), (4.0, 1.0)])
def test_read_noise_is_no_more_than_the_dark_end_has(read, believed):
    """Where there is no light 0.5 to 1 electron can be told; more than 1 looks like a background.

    The noise at the dark end is right in any case, down to the least that generators know.
    """
    image = open_array(offset_camera(read).astype(np.float32), domain="fluorescence")
    found = resolve(image, (), "fluorescence", Given()).instrument
    assert found.read_noise.value == pytest.approx(believed, rel=0.2)
    assert found.noise_sigma.value == pytest.approx(max(read, 0.5), rel=0.25)


def offset_camera(read):
    """A gradient of up to 200 electrons above an offset of 100, half of it dark."""
    light = np.zeros((256, 256))
    light[:, 128:] = np.linspace(0, 200, 128)
    rng = np.random.default_rng(0)
    return rng.poisson(light) + rng.normal(100, read, light.shape)


@pytest.mark.parametrize("read", [0.2, 1.5, 4.0])
def test_a_stated_pedestal_leaves_the_noise_to_reading(read):
    """Before, one electron of read noise was assumed, whatever the dark pixels showed."""
    image = open_array(offset_camera(read).astype(np.float32), domain="fluorescence")
    found = resolve(image, (), "fluorescence", Given(background=100.0)).instrument
    assert found.read_noise.value == pytest.approx(max(read, 0.5), rel=0.2)
    noise = found.noise_sigma.value * found.electrons_per_unit.value
    assert noise == pytest.approx(max(read, 0.5), rel=0.2)


@pytest.mark.parametrize("stated", [2.0, 9.0])
@pytest.mark.parametrize("more", [{}, {"background": 100.0}, {"read_noise": 0.5}])
def test_a_stated_noise_is_the_noise(stated, more):
    image = open_array(offset_camera(3.0).astype(np.float32), domain="fluorescence")
    given_of_it = Given(noise_sigma=stated, electrons_per_unit=1.0, **more)
    sigma = resolve(image, (), "fluorescence", given_of_it).instrument.noise_sigma
    assert sigma.value == pytest.approx(stated, rel=0.01)
    assert sigma.origin == "given"


@pytest.mark.parametrize("share", [0.05, 0.12])
@pytest.mark.parametrize("whole", [False, True])
def test_saturated_pixels_do_not_count_as_noiseless(share, whole):
    """Whether the file has whole numbers or not; without the rule .6 of the noise was found."""
    values = cells((256, 256), seed=3, electrons=300)
    values = np.rint(values) if whole else values.astype(np.float64) + 1e-3 * np.pi
    ceiling = np.quantile(values, 1 - share)
    line = estimate.photon_transfer(probe(np.minimum(values, ceiling).astype(np.float32)))
    expected = estimate.photon_transfer(probe(values.astype(np.float32)))
    level = 0.7 * ceiling
    assert line.variance(level) == pytest.approx(expected.variance(level), rel=0.1)


def test_what_is_saturated():
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, 10_000).astype(np.float32)
    assert estimate._ceiling(counts) == np.inf
    assert estimate._ceiling(np.minimum(counts, 26)) == 26
    assert estimate._ceiling(rng.normal(size=999).astype(np.float32)) == np.inf
    assert estimate._ceiling(np.ones(0, np.float32)) == np.inf


def test_saturated_patches_count_where_hardly_any_other_is():
    values = np.minimum(np.random.default_rng(0).poisson(200, (64, 64)), 205).astype(np.float32)
    assert estimate.photon_transfer(probe(values)) is not None


@pytest.mark.parametrize("values", [np.ones((300, 300)), np.eye(9), np.full((64, 64), np.nan)])
def test_photon_transfer_says_when_it_cannot(values):
    assert estimate.photon_transfer(probe(values.astype(np.float32))) is None


@pytest.mark.parametrize("fwhm", [1.8, 2.2, 2.8, 3.5])
def test_width_of_isolated_stars(fwhm):
    rng = np.random.default_rng(5)
    values = rng.normal(50, 3, (400, 400))
    for y in range(30, 380, 40):
        for x in range(30, 380, 40):
            dy, dx = rng.uniform(-0.5, 0.5, 2)
            stamp = star((31, 31), 15 + dy, 15 + dx, fwhm) * np.exp(rng.uniform(8, 11))
            values[y - 15 : y + 16, x - 15 : x + 16] += stamp
    found = star_psf(probe(values).blocks)
    assert found is not None
    assert found.fwhm == pytest.approx(fwhm, rel=0.03)
    assert found.beta > 10  # a Gaussian
    assert found.stars == 24


@pytest.mark.parametrize(("fwhm", "beta"), [(1.8, 2.2), (2.5, 3.5), (3.2, 4.7)])
def test_wings_of_stars(fwhm, beta):
    rng = np.random.default_rng(3)
    sky = rng.normal(0, 1, (200, 200))
    for y in range(30, 180, 45):
        for x in range(30, 180, 45):
            fine = moffat(205, 5 * fwhm, beta)
            phase = rng.integers(0, 5, 2)
            moved = np.pad(fine, 5)[phase[0] : phase[0] + 205, phase[1] : phase[1] + 205]
            stamp = moved.reshape(41, 5, 41, 5).sum((1, 3)) * np.exp(rng.uniform(7, 9))
            box = np.s_[y - 20 : y + 21, x - 20 : x + 21]
            sky[box] += rng.poisson(stamp * 30) / 30
    found = star_psf([sky.astype(np.float32)])
    assert found is not None
    assert found.fwhm == pytest.approx(fwhm, rel=0.03)
    assert 1 / found.beta == pytest.approx(1 / beta, abs=0.03)


def test_galaxies_do_not_widen_the_stars():
    values = star_field((500, 500), seed=2, stars=40, fwhm=2.5, flux=(3000, 30000))
    rng = np.random.default_rng(8)
    for _ in range(20):
        y, x = rng.uniform(20, 480, 2)
        values += (20000 * star((500, 500), y, x, 6.0)).astype(np.float32)
    assert star_psf(probe(values).blocks).fwhm == pytest.approx(2.5, rel=0.1)


def test_too_few_stars_give_no_width():
    assert star_psf(probe(star_field((200, 200), stars=2)).blocks) is None


@pytest.mark.parametrize("rho", [0.0, 0.15, 0.35, 0.55])
@pytest.mark.parametrize("stars", [0, 60])
def test_noise_correlation(rho, stars):
    white = normal_field(noise_key(0, "n", 0), 0, Box((0, 0), (402, 402)), 1)[0]
    values = star_field((400, 400), stars=stars, noise=0.0) + 5 * correlate(white, rho)
    assert estimate.noise_correlation(probe(values)) == pytest.approx(rho, abs=0.06)


def test_levels_are_the_ends_of_the_image():
    values = np.full((300, 300), 10.0, np.float32)
    values[100:200, 100:200] = 50
    assert estimate.levels(probe(values)) == (10, 50)


def test_probe_reads_few_blocks_spread_over_the_plane():
    read = []

    class Spy(type(open_array(np.zeros((4, 4))))):
        def load(self, plane, box):
            read.append(box)
            return np.zeros(box.shape, np.float32), np.ones(box.shape, bool)

    image = open_array(np.broadcast_to(np.float32(0), (20000, 9000)))
    image.__class__ = Spy
    estimate.probe(image, ())
    assert len(read) == estimate.SAMPLED
    rows = {box.start[0] for box in read}
    assert min(rows) < 5000
    assert max(rows) > 15000


def test_the_digest_knows_pixels_masks_and_planes():
    values = cells((300, 260))
    other, masked = values.copy(), values.copy()
    other[123, 45] += 1e-3
    masked[123, 45] = np.nan
    cube = np.stack([values, values])
    digests = [
        probe(values).digest,
        probe(other).digest,
        probe(masked).digest,
        estimate.probe(open_array(cube), (0,)).digest,
        estimate.probe(open_array(cube), (1,)).digest,
    ]
    assert len(set(digests)) == 5
    assert probe(values.copy()).digest == digests[0]
