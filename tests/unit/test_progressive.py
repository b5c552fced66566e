"""The progressive sampler for 8x: its steps, its keypoints, and what it learns from."""

import dask
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sciup
from sciup.errors import ModelError, OptionError
from sciup.generators.progressive import ProgressiveSampler
from sciup.generators.registry import load_generator
from sciup.geometry import Box
from sciup.resources import find_model
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train import kernels, loop
from sciup.train.loop import Settings
from sciup.train.losses import crps
from sciup.train.pack import make_pack
from sciup.train.progressive import attended, fade
from sciup.train.recipe_file import check_recipe
from sciup.train.recipe_parts import Progressive
from sciup.train.state import State

INSTRUMENT = {"psf_fwhm": 2.0, "gain": 1.0, "read_noise": 2.0, "background": 10.0}
MAPS = ("sample", "mean", "step_2x", "step_4x", "keypoints_spot", "keypoints_filament")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("toy") / "x8", scale=8, domain="fluorescence")


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return ProgressiveSampler("toy", 8, "fluorescence", 2.0, None, 8, 1, 8, 1).eval()


def maps_of(image, model, **options):
    """All of `MAPS`, computed once."""
    made = sciup.upscale(
        image, model=model, samples=1, maps=MAPS, precision="fp32", **INSTRUMENT, **options
    )
    return dict(zip(MAPS, dask.compute(*(made._map(name) for name in MAPS)), strict=True))


def planes_for(net, n, seed=0):
    side = n + 2 * net.spec.margin
    return torch.randn(1, 7, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("part", ["mean", "two", "four", "keypoints"])
def test_a_step_is_the_same_in_a_smaller_window(net, part):
    """Everything is a valid convolution: a window that is cut smaller says the same of its core."""
    cut = 3

    def said(planes):
        features = net.encode(planes)
        return features.mean if part == "mean" else getattr(features.steps, part)

    planes = planes_for(net, 14)
    with torch.inference_mode():
        whole, inner = said(planes), said(planes[..., cut:-cut, cut:-cut])
    k = whole.shape[-1] // 14
    assert inner.shape[-1] == 8 * k
    edge = cut * k
    torch.testing.assert_close(inner, whole[..., edge:-edge, edge:-edge], rtol=1e-4, atol=1e-5)
    assert inner.std() > 0


def test_a_step_that_has_not_faded_in_is_an_interpolation(net):
    planes = planes_for(net, 12)
    with torch.inference_mode():
        net.mean_head.fade = (1.0, 0.0)
        faded = net.encode(planes)
        net.mean_head.fade = (1.0, 1.0)
        full = net.encode(planes)
    four = faded.steps.four
    torch.testing.assert_close(four, full.steps.four)
    twice = torch.nn.functional.interpolate(four, scale_factor=2, mode="bicubic")
    inner = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(faded.mean[inner], twice[inner])
    assert (full.mean - faded.mean).abs().max() > 1e-4


@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1))
def test_fading_grows_one_step_after_the_other(share, a, b):
    weights = Progressive(fade=share)
    early, late = (fade(weights, x) for x in sorted((a, b)))
    assert 0 <= early[0] <= late[0] <= 1
    assert 0 <= early[1] <= late[1] <= 1
    assert early[0] == 1 or early[1] == 0
    assert fade(weights, 1.0) == (1.0, 1.0)


def test_a_region_is_the_same_as_the_whole(model):
    image = cells((140, 24), seed=3).astype(np.float32)
    whole = maps_of(image, model)
    part = maps_of(image, model, roi=Box((122, 5), (136, 20)))  # across two windows
    for name in MAPS:
        np.testing.assert_array_equal(part[name], whole[name][976:1088, 40:160], err_msg=name)
        assert np.ptp(part[name]) > 0


def test_the_steps_are_what_the_blocks_say(model):
    """Pixels of a step are repeated, and keypoints are probabilities."""
    made = maps_of(cells((24, 24), seed=1).astype(np.float32), model)
    for name, side in (("step_2x", 4), ("step_4x", 2)):
        blocks = made[name].reshape(192 // side, side, 192 // side, side)
        assert np.ptp(blocks, axis=(1, 3)).max() == 0
        assert blocks.std() > 0
    spots = made["keypoints_spot"]
    assert 0 < spots.min() < spots.max() < 1


def test_usual_maps_hold_keypoints_of_the_domain(model):
    image = cells((40, 40)).astype(np.float32)
    made = sciup.upscale(image, model=model, samples=1, **INSTRUMENT)
    assert [m for m in made.job.maps if m.startswith("keypoints")] == [
        "keypoints_spot",
        "keypoints_nucleus",
        "keypoints_filament",
    ]


@pytest.mark.parametrize(
    ("scale", "name"), [(4, "keypoints_spot"), (4, "step_2x"), (8, "keypoints_point")]
)
def test_maps_that_a_model_cannot_make_are_refused(scale, name, tmp_path):
    toy = write_toy_model(tmp_path / "toy", scale=scale, domain="fluorescence")
    with pytest.raises(OptionError, match=f"cannot make the map '{name}'"):
        sciup.upscale(np.ones((40, 40), np.float32), model=toy, maps=(name,), **INSTRUMENT)


def test_the_score_does_not_depend_on_even_attention():
    draws, truth = torch.randn(2, 3, 8, 8), torch.randn(2, 1, 8, 8)
    ones = torch.ones(2, 1, 8, 8)
    torch.testing.assert_close(crps(draws, truth, ones), crps(draws, truth))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_attention_is_that_of_the_places_it_names(seed):
    """Weighted with the indicator of one half, the score is that of this half."""
    rng = torch.Generator().manual_seed(seed)
    draws, truth = torch.randn(1, 4, 6, 8, generator=rng), torch.randn(1, 1, 6, 8, generator=rng)
    half = torch.zeros(1, 1, 6, 8)
    half[..., :4] = 2
    torch.testing.assert_close(crps(draws, truth, half), crps(draws[..., :4], truth[..., :4]))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "BANK", 2)
        return make_pack(check_recipe(recipe(), "made"), write_images(folder), folder)


def recipe(**changes):
    sizes = {"scale": 8, "core": 8, "architecture": "progressive", "steps": 2, "batch": 2}
    return tiny_recipe() | sizes | {"progressive": {"fade": 1.0}} | changes


def test_a_run_learns_steps_and_keypoints_and_leaves_a_model(pack, tmp_path, monkeypatch):
    rows, fades = [], []
    learn = State.learn

    def spy(state, *args):
        row = learn(state, *args)
        fades.append(state.net.mean_head.fade)
        return row

    monkeypatch.setattr(State, "learn", spy)
    quiet = Settings(sheet=0, report=1)
    loop.train(pack, tmp_path / "run", quiet, lambda step, row: rows.append(dict(row)))
    assert fades == [(0.0, 0.0), (1.0, 0.0)]
    assert rows[0]["steps"] > 0
    assert rows[0]["heatmaps"] > 0
    assert isinstance(load_generator(tmp_path / "run"), ProgressiveSampler)


def test_attention_follows_what_is_expected_and_not_the_truth(pack):
    from sciup.train.degrade import Degrader
    from sciup.train.state import build

    net = build(pack.recipe)
    degrader = Degrader(pack.recipe, pack.truths, pack.kernels, net.spec.margin)
    batch = degrader.batch(0)
    assert batch.keypoints.shape == (2, 3, 64, 64)
    assert batch.keypoints.min() >= 0
    assert batch.keypoints.max() <= 1
    steps = net.encode(batch.planes).steps
    attention, terms = attended(steps, batch, pack.recipe)
    assert attention.min() > 0
    assert not attention.requires_grad
    torch.testing.assert_close(attention.mean(), torch.tensor(1.0))
    batch = type(batch)(**vars(batch) | {"keypoints": 1 - batch.keypoints})
    again, other = attended(steps, batch, pack.recipe)
    assert torch.equal(again, attention)
    assert other["heatmaps"] > terms["heatmaps"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "posterior"}, "scale 8 needs"),
        ({"scale": 4}, "scale 8 needs"),
        ({"progressive": {"heatmaps": 0}}, "attention follows the heatmaps"),
        ({"progressive": {"fade": 2}}, "fade must be 1 or below"),
        ({"target_fwhm": 0}, "keypoints need a target_fwhm"),
        ({"loss": {"waves": 1, "octaves": 5}}, "octaves must lie between 1 and 4"),
        ({"loss": {"waves": 1, "octaves": 4}, "core": 4}, "waves of 4 octaves need"),
        ({"network": {"floor": float("nan")}}, "floor must be a finite number"),
        ({"progressive": {"atention": 2}}, "attention"),
    ],
)
def test_recipes_that_make_no_sense(changes, words):
    with pytest.raises(ModelError, match=words):
        check_recipe(recipe(**changes), "made")


def test_the_evaluation_tells_every_sampler_the_blur_of_the_truth(model, monkeypatch):
    """A 4x sampler on a case of 8x: what is left of the blur is as in the truth, not finer."""
    from sciup.evaluate.fluorescence import progressive
    from sciup.evaluate.fluorescence.methods import Options, result
    from sciup.evaluate.fluorescence.protocol import Case, Condition, degrade
    from sciup.generators.registry import ModelFacts

    condition = Condition.parse("4:200", 8)
    observed, truth = degrade(cells((256, 256)).astype(float), condition, [0])
    about = (str(condition), "made", "unit", "cells", 8)
    case = Case(*about, observed.astype(np.float32), truth, condition.light, condition.fwhm)
    first = ModelFacts.read(find_model("fluorescence-x4"))
    lazy = result(case, first, Options(draws=2), "known", truth_scale=8)
    assert lazy.instrument.psf_fwhm.value == pytest.approx(np.hypot(case.fwhm, 0.25))

    told = []
    kept = progressive.result

    def spy(*args, **options):
        told.append((args[3], options))
        return kept(*args, **options)

    monkeypatch.setattr(progressive, "result", spy)
    score = progressive.heatmap_score(case, ModelFacts.read(model), Options(draws=2), "psf")
    assert 0 <= score <= 1
    assert told == [("psf", {})]
