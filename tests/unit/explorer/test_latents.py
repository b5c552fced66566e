"""The explorer starts from the engine's draws, and its noise stays noise."""

from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import sciup
from sciup.engine.margins import RIM
from sciup.explorer.latents import (
    BLOCK,
    ROOM,
    Latents,
    correlated,
    joints,
    on_sphere,
    side_for,
    square,
)
from sciup.explorer.run import open_stamp
from sciup.generators.noise import coarse_field, correlate, normal_field
from sciup.geometry import Box
from sciup.io import open_image
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (150, 140)  # more than one tile of the engine
KNOWN = {"psf_fwhm": 2.0, "device": "cpu", "precision": "fp32", "samples": 1, "seed": 3}


@pytest.fixture(scope="module", params=["fluorescence", "night-sky"])
def drawn(request, tmp_path_factory):
    """A run and its samples 0 and 1 as the engine draws them."""
    folder = tmp_path_factory.mktemp("m") / request.param
    model = write_toy_model(folder, domain=request.param, channels=4, head_channels=4)
    if request.param == "fluorescence":
        image, more = cells(SHAPE), {"gain": 1.0, "background": 0.0}
    else:
        image, more = open_image(star_field(SHAPE)), {"background": 100.0, "noise_sigma": 5.0}
    image = np.asarray(image) if isinstance(image, np.ndarray) else image
    result = sciup.upscale(image, model=model, maps=("sample",), **KNOWN, **more)
    return SimpleNamespace(
        result=result,
        samples=[np.asarray(result.sample(k)) for k in (0, 1)],
        scale=result.job.model.scale,
    )


def boxes(shape):
    def box(values):
        (y, h), (x, w) = values
        return Box((y, x), (min(y + h, shape[0]), min(x + w, shape[1])))

    axis = [st.tuples(st.integers(0, n - 4), st.integers(4, 40)) for n in shape]
    return st.tuples(*axis).map(box)


@settings(max_examples=12)
@given(roi=boxes(SHAPE), k=st.integers(0, 1))
def test_unmodified_noise_gives_the_engines_sample_to_rounding(drawn, roi, k):
    stamp = open_stamp(drawn.result, roi)
    with torch.no_grad():
        values = stamp.values(stamp.whole(stamp.latents(k)))
    expected = drawn.samples[k][roi.scaled(drawn.scale).slices]
    assert values.shape == expected.shape
    assert np.abs(values - expected).max() <= 2e-4 * np.ptp(drawn.samples[k])


def test_other_noise_gives_another_image(drawn):
    stamp = open_stamp(drawn.result, Box((30, 30), (46, 46)))
    with torch.no_grad():
        a, b = (stamp.values(stamp.whole(stamp.latents(k))) for k in (0, 1))
    assert np.abs(a - b).max() > 1e-3 * np.ptp(a)


@given(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), st.integers(1, 30))
def test_the_coarse_noise_is_linear_in_its_nodes(start, n):
    box = Box(start, tuple(a + n for a in start))
    nodes = Box(tuple(a // 8 for a in start), tuple(b // 8 + 2 for b in box.stop))
    values = normal_field((1, 2), 5 + (1 << 24), nodes, 1)[0]
    rows, cols = (
        joints(a, b, f, m)
        for a, b, f, m in zip(box.start, box.stop, nodes.start, nodes.shape, strict=True)
    )
    assert rows @ values @ cols.T == pytest.approx(coarse_field((1, 2), 5, box), abs=1e-5)


@pytest.mark.parametrize("neighbour", [0.0, 0.2, 0.5, 0.9])
def test_noise_is_correlated_as_the_engine_does(neighbour):
    white = normal_field((1, 2), 0, Box((0, 0), (20, 30)), 1)
    ours = correlated(torch.from_numpy(white)[None], neighbour)[0, 0].numpy()
    assert ours == pytest.approx(correlate(white[0], neighbour), abs=1e-5)


def noise(seed, side=20):
    g = torch.Generator().manual_seed(seed)
    shapes = ((2, 4, side, side), (2, 1, 5, 5), (2, 1, side + 2, side + 2))
    return Latents(*(torch.randn(s, generator=g) for s in shapes))


@given(st.integers(0, 99), st.integers(17, 40), st.floats(0.01, 100))
def test_every_block_keeps_its_length(seed, side, factor):
    like = noise(seed, side)
    other = noise(seed + 1, side).map(lambda t: factor * t)
    out = on_sphere(other, like)
    for y in range(0, side, BLOCK):
        a, b = (t.fine[:, :, y : y + BLOCK, :BLOCK].square().sum((1, 2, 3)) for t in (out, like))
        assert torch.allclose(a, b, rtol=1e-4)
    nodes = (t.nodes[..., 2:4, :2].square().sum((1, 2, 3)) for t in (out, like))
    assert torch.allclose(*nodes, rtol=1e-4)


def test_on_the_sphere_nothing_changes():
    like = noise(0)
    assert all(torch.equal(a, b) for a, b in zip(on_sphere(like, like), like, strict=True))


def test_noise_of_zeros_stays_finite():
    zero = noise(0).map(torch.zeros_like)
    assert all(torch.isfinite(t).all() for t in on_sphere(zero, noise(1)))


@given(boxes((500, 500)))
def test_the_window_covers_the_region_with_room(roi):
    side = side_for(roi)
    assert square(roi, side).contains(roi.grown(ROOM))
    assert (side + 2 * RIM) % 8 == 0
