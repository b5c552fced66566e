"""The arrangement for speed is the same function as in training."""

import pytest
import torch

from sciup.generators.fused import FusedBlock, FusedUpsample, activated, fuse, rounded, shuffle
from sciup.generators.posterior import Block, PosteriorSampler, Upsample, crop
from sciup.generators.progressive import ProgressiveSampler

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


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_fused_network_draws_the_same(scale):
    torch.manual_seed(0)
    kind = ProgressiveSampler if scale == 8 else PosteriorSampler
    net = kind("toy", scale, "fluorescence", 2.0, None, 8, 1, 8, 1)
    n, m = 10 + 2 * net.spec.margin, 10 + 2 * net.head_margin
    planes, noise = torch.randn(1, 7, n, n), torch.randn(1, scale**2 + 1, m, m)
    with torch.inference_mode():
        expected = net.draw(net.encode(planes), noise)
        fuse(net)
        got = net.draw(net.encode(planes), noise)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_the_quick_shuffle_is_pixel_shuffle(scale, dtype):
    x = torch.randn(2, scale**2, 5, 7).to(dtype=dtype, memory_format=torch.channels_last)
    assert torch.equal(shuffle(x, scale), torch.nn.functional.pixel_shuffle(x, scale))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_and_activations_keep_their_bits(dtype):
    torch.manual_seed(0)
    layout = {"dtype": dtype, "memory_format": torch.channels_last}
    block = Block(32, "relu").to(**layout)
    x = torch.randn(1, 32, 40, 40).to(**layout)
    with torch.inference_mode():
        plain = block.act(block.first(x))
        assert torch.equal(activated(block.first, block.act, x), plain)
        assert torch.equal(FusedBlock(block)(x), block(x))


def test_sums_stay_in_float32_beside_weights_in_bf16():
    torch.manual_seed(0)
    block = FusedBlock(Block(16, "relu")).bfloat16()
    x = (20 * torch.rand(1, 16, 12, 12)).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        added = block.second(block.first(x.bfloat16().relu()).relu())
        expected = crop(x, 2) + added.float()
        got = block(x.clone())
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)
    assert not torch.equal(got, got.bfloat16().float())


@pytest.mark.parametrize("scale", [1, 4, 8])
def test_bf16_keeps_what_it_sees_of_bright_pixels(scale):
    """A rounded image alone would change the mean more than all that is rounded behind it."""
    kind = ProgressiveSampler if scale == 8 else PosteriorSampler

    def net():
        torch.manual_seed(1)
        return fuse(kind("toy", scale, "night-sky", 2.0, None, 16, 2, 8, 1))

    exact, mended, plain = net(), rounded(net()), net().bfloat16()
    n = 12 + 2 * exact.spec.margin
    planes = 0.5 * torch.rand(1, 7, n, n)
    planes[:, 0] = 16 + torch.rand(n, n)  # in bf16: steps of 1/8
    with torch.inference_mode():
        features = mended.encode(planes)
        seen, close, coarse = (m.see(planes).float() for m in (exact, mended, plain))
        assert mended.trunk[:-1](mended.entry(planes)).dtype == torch.float32
    assert torch.equal(mended.entry.weight, exact.entry.weight)
    assert (features.mean.dtype, features.shared.dtype) == (torch.float32, torch.bfloat16)
    off = (coarse - seen).square().mean().sqrt(), (close - seen).square().mean().sqrt()
    assert off[1] < off[0] / 2
