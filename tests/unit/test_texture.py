"""A texture model from its recipe to the map: it learns, stands on its sampler, and is labelled."""

import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from astropy.io import fits
from safetensors.torch import load_file

import sciup
from sciup import api, catalogue, cli
from sciup.api import choose_model
from sciup.engine.block import Window
from sciup.engine.job import Worker
from sciup.engine.provenance import provenance
from sciup.errors import ModelError, OptionError
from sciup.generators import facts as model_facts
from sciup.generators.facts import ModelFacts, TextureFacts
from sciup.generators.registry import load_generator, load_texture
from sciup.io import open_image
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model, write_toy_texture
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train import kernels, loop, texture, watch
from sciup.train.degrade import Degrader
from sciup.train.kernels import pick
from sciup.train.loop import Settings
from sciup.train.made import Made
from sciup.train.objective import generator
from sciup.train.pack import Pack, make_pack
from sciup.train.recipe_file import check_recipe

QUIET = Settings(sheet=0, report=1)
PAT = {
    "pixels": 0.2,
    "means": 0.5,
    "texture": 0.5,
    "statistics": 1.0,
    "adversarial": 0.5,
    "imprint": 0.3,
}
SMALL = {"channels": 4, "blocks": 1, "fine": 2, "noise": True, "warm": 1, "pool": 2}


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy-x2"
    return write_toy_model(folder, domain="fluorescence", channels=4, head_channels=4)


def plain(folder, **changes):
    recipe = tiny_recipe(
        name="texture-toy", architecture="texture", sampler=str(folder), core=24, steps=5
    )
    del recipe["network"]
    return recipe | {"texture": SMALL | PAT} | changes


@pytest.fixture(scope="module")
def pack(sampler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "BANK", 4)
        return make_pack(check_recipe(plain(sampler), "made"), write_images(folder), folder)


@pytest.fixture(scope="module")
def run(pack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "texture-toy"
    loop.train(pack, folder, Settings(sheet=5, report=1))
    return folder


def state_of(pack, **shares):
    recipe = replace(pack.recipe, texture=replace(pack.recipe.texture, **shares))
    state = texture.TextureState(replace(pack, recipe=recipe), "cpu")
    degrader = Degrader(recipe, pack.truths, pack.kernels, state.margin)
    bank = pack.kernels.projection(recipe)

    def step(i=None):
        batch = degrader.batch(state.step if i is None else i)
        rng = generator(recipe.seed, state.step, "cpu")
        return state.learn(batch, pick(bank, batch.kernel), rng, True)

    return state, step


def copy(net):
    return {k: v.clone() for k, v in net.state_dict().items()}


def differs(net, before):
    return any(not torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_run_is_a_texture_model_of_its_sampler(run, sampler):
    found = TextureFacts.beside(ModelFacts.read(sampler), run)
    assert found.sampler_weights == ModelFacts.read(sampler).weights
    head = load_texture(found, load_generator(sampler))
    assert not any(p.requires_grad for p in head.parameters())
    rows = watch.read_curves(run)
    assert [row["step"] for row in rows] == [2, 3, 4, 5]  # one step of the critic alone
    assert {"gain", "spectrum", "accuracy", *PAT} <= set(rows[0])
    assert (run / "curves.png").stat().st_size > 1000
    assert [p.name for p in (run / "samples").iterdir()] == ["step_000005.png"]


def test_it_goes_on_exactly_where_it_stopped(pack, run, tmp_path):
    part = tmp_path / "texture-toy"
    for _ in range(5):
        loop.train(pack, part, replace(QUIET, minutes=0.0))  # one step at a time
    straight, resumed = (load_file(f / "weights.safetensors") for f in (run, part))
    assert set(straight) == set(resumed)
    for key, value in straight.items():
        assert torch.equal(value, resumed[key]), key


def test_a_packed_run_is_the_same(pack, run, tmp_path):
    path = tmp_path / "pack.safetensors"
    pack.save(path)
    loop.train(Pack.load(path), tmp_path / "texture-toy", QUIET)
    one, other = (load_file(f / "weights.safetensors") for f in (run, tmp_path / "texture-toy"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_terms_begin_with_gradients_of_the_wished_sizes(pack):
    state, step = state_of(pack, warm=0, **PAT)
    seen = {}
    terms_of = state._terms

    def watched(made, u, fresh):
        values = terms_of(made, u, fresh)
        if u.is_leaf:
            seen.update(made=made, u=u, values=values)
        return values

    state._terms = watched
    step()
    leaf = seen["u"]
    error = (seen["made"].normalised(leaf) - seen["made"].normalised(seen["made"].truth)).square()
    (unit,) = torch.autograd.grad(error.mean(), leaf)
    assert set(state.voices) == set(PAT)
    assert state.voices["imprint"] == pytest.approx(PAT["imprint"])  # its share is its weight
    for name in set(PAT) - {"imprint"}:
        share = PAT[name]
        (slope,) = torch.autograd.grad(seen["values"][name], leaf, retain_graph=True)
        size = float(state.voices[name] * slope.norm() / unit.norm())
        loudest = state.voices[name] == share * texture.LOUDEST
        assert size < share if loudest else size == pytest.approx(share, rel=1e-3), name
    before = dict(state.voices)
    step()
    assert state.voices != before
    before, state.heard = dict(state.voices), texture.HEARD
    step()
    assert state.voices == before


def test_a_critic_that_is_sure_waits_and_the_head_goes_on(pack):
    state, step = state_of(pack, warm=0)
    state.accuracy = 0.99
    critic, head = copy(state.critic), copy(state.net)
    step()
    assert not differs(state.critic, critic)
    assert differs(state.net, head)
    state.accuracy = 0.5
    step()
    assert differs(state.critic, critic)


def test_the_critic_begins_alone(pack):
    state, step = state_of(pack, warm=1)
    critic, head = copy(state.critic), copy(state.net)
    assert step() is None
    assert state.step == 1
    assert differs(state.critic, critic)
    assert not differs(state.net, head)


def test_squared_errors_alone_need_no_critic(pack):
    state, step = state_of(pack, **dict.fromkeys(PAT, 0.0) | {"pixels": 1.0})
    critic = copy(state.critic)
    row = step()
    assert not differs(state.critic, critic)
    assert "accuracy" not in row
    assert "adversarial" not in row


def test_the_sampler_stays_as_it_is(pack):
    state, step = state_of(pack)
    before = copy(state.sampler)
    step(), step()
    assert not differs(state.sampler, before)


def test_batches_of_a_pool_come_back(pack, sampler):
    recipe = replace(pack.recipe, steps=5)
    degrader = Degrader(recipe, pack.truths, pack.kernels, load_generator(sampler).spec.margin)
    batches = loop._Batches(degrader, 2)
    assert batches[3] is batches[1]
    assert not torch.equal(batches[0].planes, batches[1].planes)
    assert torch.equal(batches[1].planes, degrader.batch(1).planes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler_weights": "0" * 64}, "stands on weights 000000000000"),
        ({"scale": 4}, "has scale 4, its sampler toy-x2"),
        ({"sampler": "nothing-x2"}, "no model 'nothing-x2'"),
    ],
)
def test_another_sampler_is_refused(sampler, tmp_path, changes, words):
    recipe = check_recipe(plain(sampler, **changes), "made")
    with pytest.raises(ModelError, match=words):
        make_pack(recipe, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": None}, "needs the name of its sampler"),
        ({"scale": 1}, "at scale 1"),
        ({"core": 16}, "48 output px"),
        ({"texture": {"pixels": 0}}, "not all 0"),
        ({"texture": {"gram": 1}}, "unknown key 'texture.gram'"),
    ],
)
def test_recipes_that_make_no_sense(sampler, changes, words):
    with pytest.raises(ModelError, match=re.escape(words)):
        check_recipe(plain(sampler, **changes), "made")


def test_a_sampler_with_other_weights_is_another(sampler, tmp_path):
    head = write_toy_texture(tmp_path / "texture-toy", sampler)
    other = write_toy_model(
        tmp_path / "toy-x2", domain="fluorescence", channels=4, head_channels=4, seed=1
    )
    with pytest.raises(ModelError, match=r"stands on toy-x2 with weights .*…, not on toy-x2"):
        sciup.upscale(cells((40, 40)), model=other, texture=head, psf_fwhm=2.0)
    # nor does a recipe help that says otherwise: the weights know
    recipe = yaml.safe_load((head / "recipe.yaml").read_text())
    recipe["sampler_weights"] = ModelFacts.read(other).weights
    (head / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    result = sciup.upscale(cells((40, 40)), model=other, texture=head, psf_fwhm=2.0)
    with pytest.raises(ModelError, match="was trained with sampler_weights"):
        result.texture.compute(scheduler="synchronous")


@pytest.fixture(scope="module")
def head(sampler):
    return write_toy_texture(sampler.with_name("texture-fluorescence-x2"), sampler)


@pytest.fixture
def shipped(sampler, head, monkeypatch):
    """Models that come with sciup, in place of the real ones."""
    monkeypatch.setattr("sciup.resources._roots", lambda: [sampler.parent])


def upscale(sampler, image, **more):
    options = {"samples": 1, "psf_fwhm": 2.0, "gain": 1.0, "read_noise": 1.0, "background": 0.0}
    return sciup.upscale(image, model=sampler, device="cpu", **options | more)


def test_the_texture_agrees_with_the_measurement_as_a_draw_does(sampler, head):
    """What no sharp image can explain, noise finer than the PSF, stays."""
    job = upscale(sampler, cells((60, 60)), texture=head, noise_free=True, precision="fp32").job
    with torch.inference_mode():
        window = window_of(job)
        plane = window.sampler
        whole = plane.units.stretch.inverse(window._texture())
        images = (whole, window._agreeing(whole.clone(), window.measured), window.project(0))
        said, agreed, draw = (
            float(((plane.projection.observe(v) - window.measured) * window.mask).abs().sum())
            for v in images
        )
    assert agreed < 0.85 * said
    assert agreed == pytest.approx(draw, rel=0.05)


def test_the_map_is_added_to_the_usual_ones_and_changes_none(sampler, head):
    image = cells((40, 50))
    with_it = upscale(sampler, image, texture=head)
    without = upscale(sampler, image)
    assert with_it.job.maps == (*without.job.maps, "texture")
    assert with_it.texture.shape == (80, 100)
    one, other = (r.mean.compute(scheduler="synchronous") for r in (with_it, without))
    assert np.array_equal(one, other)
    assert with_it.token != without.token
    with pytest.raises(OptionError, match="texture=True"):
        without.texture  # noqa: B018 - the property raises


@pytest.mark.parametrize("noise", [False, True])
def test_another_seed_is_another_texture_where_the_head_gets_noise(sampler, tmp_path, noise):
    head = write_toy_texture(tmp_path / "texture-toy", sampler, noise=noise)
    image = cells((40, 40))
    one, same, other = (
        upscale(sampler, image, texture=head, seed=n).texture.compute(scheduler="synchronous")
        for n in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert np.array_equal(one, other) != noise


def window_of(job):
    worker = Worker(job)
    (task,) = job.tasks()
    (tile,) = worker.tiles(job.input_box(task))
    return Window.read(worker.sampler(0, task.plane), tile)


def test_a_head_that_was_trained_with_noise_asks_for_it(sampler, tmp_path):
    folder = write_toy_texture(tmp_path / "texture-toy", sampler, noise=True)
    image = cells((40, 40))
    with torch.inference_mode():
        window = window_of(upscale(sampler, image, texture=folder).job)
        with pytest.raises(ValueError, match="needs one"):
            window.sampler.texture(window.planes, window.seen, window.features.mean, None)


def test_the_weights_know_whether_their_head_is_lit(tmp_path):
    """The same numbers fit either, and would make sources up in an empty sky."""
    sampler = write_toy_model(tmp_path / "toy-x2", channels=4, head_channels=4)
    folder = write_toy_texture(tmp_path / "texture-toy", sampler, lit=True)
    net = load_generator(sampler)
    assert load_texture(TextureFacts.read(folder), net).lit
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["texture"]["lit"] = False
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(ModelError, match="was trained with lit True, the recipe says False"):
        load_texture(TextureFacts.read(folder), net)


@torch.inference_mode()
def test_a_lit_head_adds_nothing_to_an_empty_sky(tmp_path):
    sampler = write_toy_model(tmp_path / "toy-x2", channels=4, head_channels=4)
    head = write_toy_texture(tmp_path / "texture-toy", sampler, lit=True)
    sky = np.random.default_rng(1).normal(0, 1, (60, 60)).astype(np.float32)
    star = sky.copy()
    star[28:33, 28:33] += 20
    options = {"psf_fwhm": 2.0, "background": 0.0, "noise_sigma": 1.0}
    added = []
    for image in (sky, star):
        window = window_of(sciup.upscale(image, model=sampler, texture=head, **options).job)
        added.append((window._texture() - window.features.mean).abs()[0, 0])
    dark, bright = added
    assert float(dark.max()) == 0.0
    assert float(bright.max()) > 0
    assert float((bright > 0).float().mean()) < 0.05  # the star, and mirrored beyond the edge


def test_a_head_is_judged_only_where_light_was_measured():
    guide = torch.randn(1, 1, 8, 8)
    share = torch.zeros(1, 1, 8, 8)
    share[..., :4] = 1.0
    made = Made(*(torch.randn(1, 1, 8, 8) for _ in range(3)), guide, share)
    seen, whole = made.judged(made.truth), made.normalised(made.truth)
    assert torch.allclose(seen[..., :4], whole[..., :4])
    assert torch.allclose(seen[..., 4:], made.normalised(guide)[..., 4:])


def test_only_the_sky_is_lit(sampler):
    with pytest.raises(ModelError, match="lit is for the night sky only"):
        check_recipe(plain(sampler, texture={"pixels": 1.0, "lit": True}), "made")


def test_asking_for_the_map_finds_the_usual_model(sampler, shipped):
    result = upscale(sampler, cells((40, 40)), maps=("mean", "texture"))
    assert result.job.maps == ("mean", "texture")
    assert result.job.texture.name == "texture-fluorescence-x2"


def test_a_texture_model_is_not_taken_for_a_sampler(sampler, shipped, head):
    image = open_image(cells((40, 40)))
    assert choose_model(image, None, None).name == "toy-x2"
    for ask in (lambda: choose_model(image, head, None), lambda: load_generator(head)):
        with pytest.raises(ModelError, match=r"draws nothing.*--model toy-x2 --texture"):
            ask()


@pytest.mark.parametrize("suffix", [".fits", ".ome.zarr"])
def test_files_say_that_it_is_an_illustration_and_whose(sampler, head, tmp_path, suffix):
    path = upscale(sampler, cells((40, 40)), texture=head).save(tmp_path / f"out{suffix}")
    if suffix == ".fits":
        with fits.open(path) as hdus:
            assert hdus["TEXTURE"].header["LABEL"] == "illustrative"
            assert "LABEL" not in hdus["SAMPLE"].header
            facts = json.loads(str(hdus["PROVENANCE"].data["JSON"][0]))
    else:
        about = json.loads((path / "texture" / "zarr.json").read_text())["attributes"]
        assert about["ome"]["multiscales"][0]["name"] == "texture (illustrative)"
        assert about["sciup"]["label"] == "illustrative"
        facts = json.loads((path / "zarr.json").read_text())["attributes"]["sciup"]["provenance"]
    weights = hashlib.sha256((head / "weights.safetensors").read_bytes()).hexdigest()
    assert facts["texture"]["weights"] == weights
    assert facts["texture"]["label"] == "illustrative"


def test_other_weights_of_the_head_do_not_resume(sampler, tmp_path):
    one = write_toy_texture(tmp_path / "texture-a", sampler)
    two = write_toy_texture(tmp_path / "texture-b", sampler, seed=1)
    jobs = [upscale(sampler, cells((40, 40)), texture=h).job for h in (one, two)]
    prints = [provenance(job, "fits")["fingerprint"]["texture"] for job in jobs]
    assert prints[0] != prints[1]


def call(capfd, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in arguments])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return (stop.value.code or 0), " ".join(err.split())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "in.fits"
    fits.writeto(path, cells((40, 40)))
    return path


def test_the_command_adds_the_map_and_says_what_it_is(capfd, sampler, shipped, file, tmp_path):
    out = tmp_path / "out.fits"
    code, words = call(
        capfd, "upscale", file, out, "--model", sampler, "--texture", "--samples", 1,
        "--psf-fwhm", 2, "--maps", "mean", "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    assert "illustrative, no part of what was calibrated" in words
    with fits.open(out) as hdus:
        assert [h.name for h in hdus][1:3] == ["MEAN", "TEXTURE"]


def test_errors_of_the_command(capfd, sampler, head, shipped, file, tmp_path):
    out = tmp_path / "out.fits"
    ask = ("upscale", file, out, "--psf-fwhm", 2, "--model")
    code, words = call(capfd, *ask, sampler, "--texture-model", "nothing")
    assert code == 2
    assert "there is no model 'nothing'" in words
    code, words = call(capfd, *ask, sampler, "--texture-model", sampler)
    assert code == 2
    assert "is no texture model" in words
    code, words = call(capfd, *ask, head)
    assert code == 2
    assert "--model toy-x2 --texture" in words
    (head / "weights.safetensors").rename(tmp_path / "kept")
    try:
        code, words = call(capfd, *ask, sampler, "--texture")
    finally:
        (tmp_path / "kept").rename(head / "weights.safetensors")
    assert code == 2
    assert "has no weights" in words
    assert "leave out --texture" in words


def test_the_catalogue_knows_texture_models(sampler, head, shipped, tmp_path):
    entries = {entry.name: entry for entry in catalogue.catalogue()}
    assert entries[head.name].risk == "illustrative"
    assert entries["toy-x2"].risk == "raw"
    assert "weights of toy-x2" in catalogue.verify(head)
    other = write_toy_texture(tmp_path / "texture-toy", sampler)
    recipe = yaml.safe_load((other / "recipe.yaml").read_text())
    (other / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"sampler_weights": "0" * 64}))
    with pytest.raises(ModelError, match="stands on toy-x2"):
        catalogue.verify(other)


def test_scale_1_has_no_texture(tmp_path):
    fine = write_toy_model(tmp_path / "toy-x1", scale=1, domain="fluorescence", channels=4)
    with pytest.raises(ValueError, match="at scale 1"):
        write_toy_texture(tmp_path / "texture-toy", fine)


def test_names_are_one(monkeypatch):
    from sciup.engine.settings import ADDED

    assert (model_facts.TEXTURE,) == ADDED
    assert api.TEXTURE in ADDED
