"""The arrangement for speed is the same function as in training."""

import pytest
import torch

from sciup.generators.fused import FusedUpsample, fuse
from sciup.generators.posterior import PosteriorSampler, Upsample

scales = pytest.mark.parametrize("scale", [1, 2, 4])


@scales
@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize("width", [1, 4])
def test_the_upsampling_gives_the_same_image(scale, activation, width):
    torch.manual_seed(0)
    plain = Upsample(6, scale, activation, width)
    with torch.no_grad():
        plain.last.weight.mul_(10)
        plain.last.bias.fill_(0.3)
    x = torch.randn(2, 6, 11, 13)
    expected, got = plain(x), FusedUpsample(plain)(x)
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@scales
def test_a_fused_network_draws_the_same(scale):
    torch.manual_seed(0)
    net = PosteriorSampler("toy", scale, "fluorescence", 2.0, None, 8, 1, 8, 1)
    n, m = 10 + 2 * net.spec.margin, 10 + 2 * net.head_margin
    planes, noise = torch.randn(1, 7, n, n), torch.randn(1, scale**2 + 1, m, m)
    with torch.inference_mode():
        expected = net.draw(net.encode(planes), noise)
        fuse(net)
        got = net.draw(net.encode(planes), noise)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
