"""The arrangement for speed is the same function as in training."""

import pytest
import torch

from sciup.generators.fused import FusedUpsample, fuse
from sciup.generators.posterior import PosteriorSampler, Upsample

scales = pytest.mark.parametrize("scale", [1, 2, 4])


@scales
@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize(("width", "smooth"), [(1, False), (4, False), (4, True)])
def test_the_upsampling_gives_the_same_image(scale, activation, width, smooth):
    torch.manual_seed(0)
    plain = Upsample(6, scale, activation, width, smooth)
    with torch.no_grad():
        plain.last.weight.mul_(10)
        plain.last.bias.fill_(0.3)
    x = torch.randn(2, 6, 11, 13)
    expected, got = plain(x), FusedUpsample(plain)(x)
    assert got.shape == expected.shape
    assert got.shape[-1] == scale * (13 - 2 * plain.margin)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@scales
@pytest.mark.parametrize("smooth", [False, True])
def test_a_fused_network_draws_the_same(scale, smooth):
    torch.manual_seed(0)
    net = PosteriorSampler("toy", scale, "fluorescence", 2.0, None, 8, 1, 8, 1, smooth)
    n, m = 10 + 2 * net.spec.margin, 10 + 2 * net.head_margin
    planes, noise = torch.randn(1, 7, n, n), torch.randn(1, scale**2 + 1, m, m)
    with torch.inference_mode():
        expected = net.draw(net.encode(planes), noise)
        assert expected.shape[-1] == scale * 10
        fuse(net)
        got = net.draw(net.encode(planes), noise)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_smooth_draws_hold_nothing_at_the_highest_frequency():
    torch.manual_seed(0)
    head = Upsample(6, 2, "relu", 4, smooth=True)
    with torch.no_grad():
        head.last.weight.normal_()
    image = head(torch.randn(1, 6, 36, 36))[0, 0].detach()
    sign = 1 - 2 * (torch.arange(image.shape[0]) % 2)
    stripes = (image * sign).mean().abs(), (image * sign[:, None]).mean().abs()
    assert max(stripes) < 0.02 * image.std()
