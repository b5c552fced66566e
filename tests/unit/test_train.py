"""Training is exact: batch i is a function of (seed, i), and a stopped run goes on bit for bit."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from sciup.errors import InputError, ModelError
from sciup.testing.toy_images import cells
from sciup.testing.toy_training import tiny_recipe
from sciup.train import exposure, kernels, loop, state
from sciup.train.data import Truths, robust_noise
from sciup.train.degrade import Degrader
from sciup.train.loop import Settings
from sciup.train.pack import make_pack
from sciup.train.recipe import Recipe
from sciup.train.recipe_file import check_recipe, load_recipe
from sciup.train.sources import load_truths

RECIPE = tiny_recipe(sources=[{"dataset": "made", "share": 1.0}])


@pytest.fixture(autouse=True)
def _few_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "BANK", 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "train" / "made").mkdir(parents=True)
    rows = ["split\tdataset\timage"]
    for i in range(3):
        tifffile.imwrite(folder / "train" / "made" / f"{i}.tif", cells((90, 110), seed=i))
        rows.append(f"train\tmade\t{i}")
    (folder / "MANIFEST.tsv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def degrader(data, tmp_path):
    return made(data, tmp_path)


def made(data, cache):
    recipe = check_recipe(RECIPE, "made")
    margin = state.build(recipe).spec.margin
    truths = load_truths(recipe, data, cache).truths
    return Degrader(recipe, truths, kernels.Kernels.draw(recipe), margin)


def tensors(batch):
    return {n: v for n, v in vars(batch).items() if isinstance(v, torch.Tensor)}


def test_a_batch_depends_on_seed_and_number_only(degrader, data, tmp_path):
    first = tensors(degrader.batch(3))
    degrader.batch(0)
    torch.manual_seed(99)
    again = tensors(degrader.batch(3))
    fresh = made(data, tmp_path)
    other = tensors(degrader.batch(4))
    assert len(first) > 5
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, tensors(fresh.batch(3))[name])
    assert not torch.equal(first["planes"], other["planes"])


def test_a_batch_says_what_was_measured(degrader):
    """The measurement is A truth plus noise of the size stated: chi^2 per pixel is near 1."""
    chi = []
    for i in range(6):
        b = degrader.batch(i)
        edge = kernels.RIM
        inner = b.measured[..., edge:-edge, edge:-edge]
        assert inner.shape[-1] * 2 == b.truth.shape[-1]
        # far from the loss region's edge A does not look outside it
        grid = torch.nn.functional.pad(b.truth, (edge * 2,) * 4, mode="replicate")
        bank = degrader.kernels.projection(degrader.recipe)
        seen = kernels.pick(bank, b.kernel).observe(grid)[..., edge:-edge, edge:-edge]
        sigma, mask = (x[..., edge:-edge, edge:-edge] for x in (b.sigma, b.mask))
        middle = np.s_[..., 5:-5, 5:-5]
        z = ((inner - seen) / sigma)[middle][mask[middle] > 0]
        chi.append(z.square().mean().item())
    assert 0.6 < np.mean(chi) < 1.6


def run_in_parts(pack, run, parts):
    for minutes in parts:
        loop.train(pack, run, Settings(minutes=minutes, report=2, sheet=0))
    return run / "checkpoint.pt"


def test_resume_is_exact(data, tmp_path):
    """4 steps at once equal 1 + 1 + 2 steps, bit for bit."""
    pack = make_pack(check_recipe(RECIPE, "made"), data, tmp_path)
    torch.manual_seed(1)
    straight = run_in_parts(pack, tmp_path / "a", [None])
    torch.manual_seed(2)
    # no time at all: a run stops after one step
    parts = run_in_parts(pack, tmp_path / "b", [0.0, 0.0])
    assert torch.load(parts, weights_only=True)["step"] == 2
    torch.randn(7)
    run_in_parts(pack, tmp_path / "b", [None])
    a, b = (torch.load(p, weights_only=True) for p in (straight, parts))
    assert a["step"] == b["step"] == 4
    for group in ("net", "average"):
        for name, value in a[group].items():
            assert torch.equal(value, b[group][name]), (group, name)
    for one, other in zip(a["optimiser"], b["optimiser"], strict=True):
        for key, moments in one["state"].items():
            for name, value in moments.items():
                assert torch.equal(value, other["state"][key][name])
    weights = [load_file(tmp_path / run / "weights.safetensors") for run in "ab"]
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])
    # and it did learn something, however little
    fresh = state.build(pack.recipe).state_dict()
    assert any(not torch.equal(fresh[n], a["net"][n]) for n in fresh)
    with safe_open(tmp_path / "a" / "weights.safetensors", "pt") as file:
        assert file.metadata()["step"] == "4"
    assert len((tmp_path / "a" / "curves.csv").read_text().splitlines()) == 3


def test_weights_at_the_start_depend_on_the_seed_only():
    recipe = check_recipe(RECIPE, "made")
    a, b = state.build(recipe).state_dict(), state.build(recipe).state_dict()
    c = state.build(replace(recipe, seed=6)).state_dict()
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert not torch.equal(a["entry.weight"], c["entry.weight"])


def write(folder, **changes):
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes))
    return path


def test_recipe_round_trip(tmp_path):
    recipe = load_recipe(write(tmp_path))
    assert recipe == Recipe.of_plain(json.loads(json.dumps(recipe.as_plain())))


@pytest.mark.parametrize(
    ("changes", "nearest"),
    [
        ({"learning_rte": 1e-3}, "'learning_rate'"),
        ({"step": 3}, "'steps'"),
        ({"network": {"chanels": 3}}, "'channels'"),
        ({"degradation": RECIPE["degradation"] | {"psf_fhwm": 2}}, "'psf_fwhm'"),
        ({"zzzzzz": 1}, "remove it"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path, changes, nearest):
    with pytest.raises(ModelError, match=nearest):
        load_recipe(write(tmp_path, **changes))


@pytest.mark.parametrize(
    "changes", [{"scale": 3}, {"domain": "moon"}, {"steps": "many"}, {"degradation": None}]
)
def test_wrong_values_are_refused(tmp_path, changes):
    with pytest.raises(ModelError, match=next(iter(changes))):
        load_recipe(write(tmp_path, **changes))


def test_files_that_are_no_recipes(tmp_path):
    for text in ("- a\n- b", "{", ""):
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(ModelError):
            load_recipe(tmp_path / "r.yaml")
    with pytest.raises(ModelError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


def test_missing_data_are_named(data, tmp_path):
    recipe = check_recipe(RECIPE | {"sources": [{"dataset": "moon", "share": 1}]}, "made")
    with pytest.raises(InputError, match="moon"):
        load_truths(recipe, data, tmp_path)
    with pytest.raises(InputError, match=r"MANIFEST\.tsv"):
        load_truths(recipe, tmp_path, tmp_path)


def test_crops_are_mirrored_at_multiples_of_the_step():
    """Where a crop leaves the image the mirror lies between two input pixels."""
    image = np.arange(60 * 70, dtype=np.float32).reshape(60, 70)
    truths = Truths([image], np.zeros(1), np.ones(1))
    for seed in range(30):
        square, real, _ = truths.crop(np.random.default_rng(seed), 64, 32, 4)
        assert square.shape == real.shape == (64, 64)
        assert real[16:48, 16:48].all()
        blocks = real.reshape(16, 4, 16, 4)
        assert (blocks.all((1, 3)) == blocks.any((1, 3))).all()


def test_robust_noise_sees_noise_not_structure():
    image = cells((200, 200), electrons=1e6, read_noise=0) * 0
    noisy = image + np.random.default_rng(0).normal(0, 3, image.shape)
    noisy[50:60, 50:60] += 1000
    assert robust_noise(noisy) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_bright_stars_have_the_targets_width_and_the_flux_drawn(share):
    plain = check_recipe(RECIPE, "made")
    degradation = replace(plain.degradation, bright_star_share=share)
    recipe = replace(plain, batch=40, target_fwhm=2.0, degradation=degradation)
    side = recipe.core * recipe.scale + 80
    stars = exposure._bright_stars(recipe, np.random.default_rng(0), side).numpy()[:, 0]
    assert stars.shape == (40, side, side)
    there = stars.max((1, 2)) > 0
    assert there.mean() == pytest.approx(share, abs=0.2)
    y, x = np.indices((side, side)) - side / 2
    for star in stars[there]:
        flux = star.sum() / recipe.scale**2
        low, high = exposure.BRIGHT_STARS
        assert low * 0.99 < flux < high * 1.01
        cy, cx = (star * y).sum() / star.sum(), (star * x).sum() / star.sum()
        assert max(abs(cy), abs(cx)) < 0.82 * recipe.core * recipe.scale
        width = np.sqrt((star * ((y - cy) ** 2 + (x - cx) ** 2)).sum() / star.sum() / 2)
        assert width * 2.3548 == pytest.approx(recipe.target_fwhm, rel=0.02)
