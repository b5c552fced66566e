"""The terms that a texture is trained with, and the statistics that judge it."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sciup.evaluate.pyramid import Statistics, bands, pyramid_distance
from sciup.train import texture_losses as terms


def noise(seed=0, n=64, blur=0.0):
    x = np.random.default_rng(seed).standard_normal((n, n))
    x = gaussian_filter(x, blur, mode="wrap") if blur else x
    return torch.from_numpy((x / x.std()).astype(np.float32))[None, None]


def test_gram_matrices_are_of_contiguous_patches():
    x = torch.zeros(1, 2, 32, 32)
    x[:, 0, :, :16], x[:, 1, :16, 16:] = 1.0, 2.0
    found = terms.gram(x)[0]
    assert found.shape == (4, 2, 2)
    # top left: first feature; top right: second; bottom left: first; bottom right: none
    expected = [[1, 0], [0, 4], [1, 0], [0, 0]]
    assert torch.equal(found.diagonal(dim1=-2, dim2=-1), torch.tensor(expected, dtype=torch.float))


def test_a_patch_keeps_its_pixels_in_order():
    x = torch.arange(48 * 35, dtype=torch.float).view(1, 1, 48, 35)
    found = terms.patches(x)
    assert found.shape == (1, 6, 1, 256)
    assert torch.equal(found[0, 3, 0].view(16, 16), x[0, 0, 16:32, 16:32])


def test_the_texture_term_knows_where_a_texture_is_and_not_how_bright_the_crop_is():
    left, right = noise(0), noise(1)
    left[..., 32:], right[..., :32] = 0, 0
    moved = terms.texture(terms.bands(right), terms.bands(left))
    same = noise(2)
    same[..., 32:] = 0
    like = terms.texture(terms.bands(same), terms.bands(left))
    assert like < 0.5 * moved
    faint = terms.texture(terms.bands(0.1 * same), terms.bands(0.1 * left))
    torch.testing.assert_close(faint, like, rtol=0.3, atol=0.0)


def test_filters_have_no_mean_and_see_directions():
    stripes = torch.sin(torch.arange(64.0) * 0.9).expand(1, 1, 64, 64)
    first = terms.bands(stripes)[0].square().mean((0, 2, 3))
    vertical, horizontal = first[[0, 5]].sum(), first[[1, 6]].sum()
    assert vertical < 1e-6 < horizontal
    flat = terms.bands(torch.ones(1, 1, 64, 64))
    assert max(float(b.abs().max()) for b in flat) < 1e-5


def test_statistics_tell_a_blurred_image_from_a_sharp_one():
    sharp, other, blurred = noise(0), noise(1), noise(1, blur=1.0)
    assert terms.statistics(sharp, other) < 0.2 * terms.statistics(sharp, blurred)
    assert terms.statistics(sharp, sharp) == 0


def test_statistics_tell_points_from_waves_of_the_same_spectrum():
    rng = np.random.default_rng(3)
    points = np.zeros((128, 128), np.float32)
    points[tuple(rng.integers(0, 128, (2, 40)))] = 1
    phases = np.exp(1j * np.angle(np.fft.fft2(rng.standard_normal(points.shape))))
    waves = np.fft.ifft2(np.abs(np.fft.fft2(points)) * phases).real
    x, y = (torch.from_numpy(np.float32(v / v.std()))[None, None] for v in (points, waves))
    assert terms.statistics(y, x) > 10 * terms.statistics(noise(1, 128), noise(2, 128))


def test_a_grid_stands_out_and_noise_does_not():
    flat = noise(n=192, blur=0.7)
    grid = torch.zeros(4, 4)
    grid[0, 0] = 1.0
    assert terms.grid(flat, 4) < 0.05
    assert terms.grid(flat + 0.5 * grid.tile(48, 48), 4) > 1.0


def test_the_critic_judges_places_with_the_measurement_beside_them():
    critic = terms.Critic(4)
    opinion, features = critic(noise(n=48), noise(1, n=48))
    assert opinion.shape == (1, 1, 2, 2)
    assert [f.shape[1] for f in features] == [4, 8]
    other, _ = critic(noise(n=48), noise(2, n=48))
    assert not torch.equal(opinion, other)


def test_the_penalty_is_the_squared_slope_per_opinion():
    class Linear(torch.nn.Module):
        def forward(self, image, guide):
            return 3 * image[..., ::16, ::16], []

    assert float(terms.r1(Linear(), noise(), noise())) == pytest.approx(9.0)


def test_the_right_answers_are_counted():
    assert terms.accuracy(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 3.0])) == 0.75


def test_pyramid_bands_hold_the_power_of_their_octave_and_direction():
    y = np.arange(128)
    wave = np.cos(2 * np.pi * y / 8)[:, None] * np.ones(128)  # frequency 1/8 along y
    power = (np.abs(bands(wave)) ** 2).mean((-1, -2))
    assert np.unravel_index(power.argmax(), power.shape) == (1, 2)
    assert power[1, 0] < 1e-9 * power[1, 2]
    # the octaves overlap so that no frequency between 1/32 and 1/4 counts more than another
    between = np.cos(2 * np.pi * np.arange(128) * 23 / 128) * np.ones((128, 1))
    assert (np.abs(bands(between)) ** 2).mean((-1, -2)).sum() == pytest.approx(
        power.sum(), rel=0.01
    )


def test_the_pyramid_distance_is_small_for_two_pieces_of_a_texture_only():
    def piece(seed, blur):
        return noise(seed, 160, blur)[0, 0].double().numpy()

    truth = piece(0, 1.0)
    assert pyramid_distance(truth, truth, 0.0) == 0
    like, blurred = (pyramid_distance(piece(1, b), truth, 0.0) for b in (1.0, 1.6))
    assert like < 0.15 * blurred
    assert pyramid_distance(truth.T * [[1]] + 0, truth, 0.0) < 0.15 * blurred
    striped = gaussian_filter(piece(2, 0), (0.5, 2.0), mode="wrap")
    assert pyramid_distance(striped.T, striped, 0.0) > blurred


def test_the_pyramid_distance_sees_points_made_of_waves():
    rng = np.random.default_rng(3)
    points = np.zeros((160, 160))
    points[tuple(rng.integers(0, 160, (2, 60)))] = 1
    points = gaussian_filter(points, 1.0, mode="wrap")
    phases = np.exp(1j * np.angle(np.fft.fft2(rng.standard_normal(points.shape))))
    waves = np.fft.ifft2(np.abs(np.fft.fft2(points)) * phases).real
    assert np.abs(Statistics.of(points).energy - Statistics.of(waves).energy).max() < 0.5
    assert pyramid_distance(waves, points, 0.0) > 0.3


def test_noise_of_the_truth_is_no_texture_that_lacks():
    clean = noise(0, 160, 2.0)[0, 0].double().numpy()
    noisy = clean + 0.3 * np.random.default_rng(1).standard_normal(clean.shape)
    assert pyramid_distance(clean, noisy, 0.3) < 0.1 * pyramid_distance(clean, noisy, 0.0)
