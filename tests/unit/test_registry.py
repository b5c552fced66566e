"""A model folder is read whole or refused with the reason."""

import hashlib

import numpy as np
import pytest
import torch
import yaml

from sciup import api
from sciup.api import choose_model, upscale
from sciup.errors import ModelError
from sciup.generators.registry import ModelFacts, load_generator, read_recipe
from sciup.io import open_image
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model


@pytest.fixture
def folder(tmp_path):
    return write_toy_model(tmp_path / "toy", channels=4, head_channels=4)


def change(folder, **changes):
    recipe = read_recipe(folder) | changes
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump({k: v for k, v in recipe.items() if v is not None})
    )


def test_facts(folder):
    facts = ModelFacts.read(folder)
    assert (facts.name, facts.domain) == ("toy", "night-sky")
    assert (facts.scale, facts.target_fwhm) == (2, 2.0)
    data = (folder / "weights.safetensors").read_bytes()
    assert facts.weights == hashlib.sha256(data).hexdigest()


def test_the_network_is_ready_to_draw(folder):
    net = load_generator(folder)
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    n = 10 + 2 * net.spec.margin
    with torch.inference_mode():
        features = net.encode(torch.zeros(1, 7, n, n))
        noise = torch.zeros(1, 5, 10 + 2 * net.head_margin, 10 + 2 * net.head_margin)
        assert net.draw(features, noise).shape == (1, 1, 20, 20)


def test_toy_models_are_repeatable_and_leave_the_random_state_alone(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    a, b, c = (
        ModelFacts.read(write_toy_model(tmp_path / n, seed=s, name="m", channels=4)).weights
        for n, s in (("a", 0), ("b", 0), ("c", 1))
    )
    assert a == b != c
    assert torch.equal(before, torch.get_rng_state())


def test_missing_weights(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights\.safetensors.*sciup train"):
        ModelFacts.read(folder)


def test_wrong_checksum(folder):
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    for read in (ModelFacts.read, load_generator):
        with pytest.raises(ModelError, match="checksum"):
            read(folder)


def test_an_empty_checksum_file(folder):
    (folder / "weights.sha256").write_text("\n")
    with pytest.raises(ModelError, match="sha256"):
        ModelFacts.read(folder)


def test_without_a_checksum_file_the_weights_are_taken(folder):
    (folder / "weights.sha256").unlink()
    assert ModelFacts.read(folder).weights


def test_weights_of_another_architecture(folder):
    change(folder, network={"channels": 8, "blocks": 1, "head_channels": 4, "head_blocks": 1})
    with pytest.raises(ModelError, match="does not fit its recipe"):
        load_generator(folder)


@pytest.mark.parametrize("network", [{"chanels": 4}, [4], "big", {"channels": "four"}])
def test_a_network_that_cannot_be_built(folder, network):
    change(folder, network=network)
    with pytest.raises(ModelError, match=r"network|does not fit"):
        load_generator(folder)


def test_damaged_weights(folder):
    (folder / "weights.safetensors").write_bytes(b"not safe at all")
    (folder / "weights.sha256").unlink()
    with pytest.raises(ModelError, match="does not fit its recipe"):
        load_generator(folder)


def test_unknown_architecture(folder):
    change(folder, architecture="diffusion")
    with pytest.raises(ModelError, match=r"diffusion.*posterior"):
        load_generator(folder)


@pytest.mark.parametrize("key", ["name", "domain", "scale", "target_fwhm"])
def test_missing_keys_are_named(folder, key):
    change(folder, **{key: None})
    with pytest.raises(ModelError, match=f"lacks {key}"):
        ModelFacts.read(folder)


@pytest.mark.parametrize("text", ["{", "- name\n- domain\n- scale\n- target_fwhm", "", "just text"])
def test_files_that_are_no_recipes(folder, text):
    (folder / "recipe.yaml").write_text(text)
    with pytest.raises(ModelError, match="recipe"):
        ModelFacts.read(folder)


def test_no_recipe(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        ModelFacts.read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": "two"},
        {"scale": 3},
        {"scale": 2.0},
        {"target_fwhm": "sharp"},
        {"domain": "radio"},
        {"domain": ["night-sky"]},
    ],
)
def test_values_that_are_not_allowed(folder, changes):
    change(folder, **changes)
    with pytest.raises(ModelError, match=next(iter(changes))):
        ModelFacts.read(folder)


def test_a_recipe_of_another_domain_than_the_weights(folder):
    change(folder, domain="fluorescence")
    with pytest.raises(ModelError, match="trained with domain 'night-sky'"):
        load_generator(folder)


def test_another_scale_than_the_models(folder):
    with pytest.raises(ModelError, match="scale 4 was asked of 'toy'"):
        upscale(cells((20, 20)), model=folder, scale=4)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"recipe\.yaml"):
        upscale(np.eye(20), model=tmp_path)


@pytest.fixture
def family(tmp_path, monkeypatch):
    """Models for two domains and three scales in place of those that come with sciup."""
    names = ("cells-x1", "cells-x2", "cells-x4", "cells-x4-fast", "stars-x1", "stars-x4")
    domains = {"cells": "fluorescence", "stars": "night-sky"}
    folders = [
        write_toy_model(
            tmp_path / n, scale=int(n.split("-x")[1][0]), domain=domains[n[:5]], channels=4
        )
        for n in names
    ]
    monkeypatch.setattr(api, "model_folders", lambda: folders)
    return folders


@pytest.mark.parametrize(("scale", "name"), [(1, "cells-x1"), (2, "cells-x2"), (4, "cells-x4")])
def test_the_first_model_of_domain_and_scale_is_chosen(family, scale, name):
    assert choose_model(open_image(cells((20, 20))), None, scale).name == name


def test_without_a_scale_the_usual_one_is_chosen(family):
    image = open_image(cells((20, 20)))
    assert choose_model(image, None, None).name == "cells-x4"
    # nor may another damaged model be in the way
    (family[0] / "weights.safetensors").write_bytes(b"")
    assert choose_model(image, None, None).name == "cells-x4"
    image.domain = "night-sky"
    assert choose_model(image, None, None).name == "stars-x1"


def test_no_model_for_the_scale(family):
    image = open_image(cells((20, 20)))
    image.domain = "night-sky"
    with pytest.raises(ModelError, match=r"night-sky at scale 2\..*stars-x4 \(night-sky, 4x\)"):
        choose_model(image, None, 2)


def test_draws_stay_above_the_floor_of_their_recipe(folder):
    """A fine-tuned floor bends what lies below it and leaves the rest as it is."""
    plain = load_generator(folder)
    sizes = read_recipe(folder)["network"]
    change(folder, network=sizes | {"floor": -0.3})
    bounded = load_generator(folder)
    n, m = 12 + 2 * plain.spec.margin, 12 + 2 * plain.head_margin
    rng = torch.Generator().manual_seed(1)
    planes = 3 * torch.randn(1, 7, n, n, generator=rng)
    noise = 5 * torch.randn(1, plain.spec.fine_noise + 1, m, m, generator=rng)
    before, after = (net.draw(net.encode(planes), noise) for net in (plain, bounded))
    assert before.min() < -1
    assert after.min() >= -0.3
    high = before > 0.4
    assert high.any()
    torch.testing.assert_close(after[high], before[high], atol=2e-3, rtol=0)
    assert (after - before)[before < -0.5].min() > 0.2
