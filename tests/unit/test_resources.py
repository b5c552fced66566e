"""Models are found in the checkout first and in the installed data package second."""

import sys

import pytest

from sciup import resources
from sciup.errors import ModelError
from sciup.resources import find_model, model_folders


def add_model(root, name, trained=True):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("scale: 4\n")
    if trained:
        (folder / "weights.safetensors").touch()
    return folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A made-up checkout and a made-up installed data package; returns their models folders."""
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    module = checkout / "sciup" / "resources.py"
    module.parent.mkdir(parents=True)
    (checkout / "pyproject.toml").touch()
    monkeypatch.setattr(resources, "__file__", str(module))
    (site / "sciup_zoo").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(site)])
    monkeypatch.chdir(tmp_path)
    return checkout / "models", site / "sciup_zoo" / "models"


def test_every_model_of_both_places_is_listed_by_name(places):
    checkout, installed = places
    add_model(installed, "b"), add_model(checkout, "c"), add_model(checkout, "a")
    assert model_folders() == [checkout / "a", installed / "b", checkout / "c"]


def test_the_checkout_hides_the_installed_model(places):
    checkout, installed = places
    add_model(installed, "sky-x2"), add_model(checkout, "sky-x2")
    assert model_folders() == [checkout / "sky-x2"]
    assert find_model("sky-x2") == checkout / "sky-x2"


def test_outside_a_checkout_only_the_installed_models_count(places):
    checkout, installed = places
    add_model(installed, "sky-x2"), add_model(checkout, "fluorescence-x4")
    (checkout.parent / "pyproject.toml").unlink()
    assert [folder.name for folder in model_folders()] == ["sky-x2"]


def test_folders_without_a_recipe_are_no_models(places):
    checkout, _ = places
    (checkout / "empty").mkdir(parents=True)
    (checkout / "README.md").touch()
    assert model_folders() == []


def test_a_model_in_training_is_found_by_name_but_not_offered(places):
    checkout, installed = places
    add_model(checkout, "sky-x1", trained=False), add_model(checkout, "sky-x2")
    assert model_folders() == [checkout / "sky-x2"]
    assert model_folders(untrained=True) == [checkout / "sky-x1", checkout / "sky-x2"]
    assert find_model("sky-x1") == checkout / "sky-x1"
    with pytest.raises(ModelError) as caught:
        find_model("sky-x3")
    assert "sky-x1" not in str(caught.value)
    # nor does it hide one that is ready
    add_model(installed, "sky-x1")
    assert find_model("sky-x1") == installed / "sky-x1"


def test_a_path_is_a_model_too(places, tmp_path):
    folder = add_model(tmp_path / "mine", "my-camera")
    assert find_model(folder) == folder
    assert find_model("mine/my-camera").resolve() == folder


def test_a_name_means_the_model_that_comes_with_sciup(places, tmp_path):
    checkout, _ = places
    add_model(checkout, "sky-x2"), add_model(tmp_path, "sky-x2")
    assert find_model("sky-x2") == checkout / "sky-x2"
    assert find_model("./sky-x2").resolve() == tmp_path / "sky-x2"


def test_a_wrong_name_lists_the_models_and_the_nearest(places):
    checkout, _ = places
    add_model(checkout, "fluorescence-x4"), add_model(checkout, "sky-x2")
    with pytest.raises(ModelError) as caught:
        find_model("fluorescense-4x")
    assert str(caught.value) == (
        "there is no model 'fluorescense-4x'. Allowed: fluorescence-x4, sky-x2, "
        "or a folder with a recipe.yaml. To fix it: did you mean 'fluorescence-x4'."
    )


def test_a_name_like_no_other_is_not_guessed_at(places):
    add_model(places[0], "sky-x2")
    with pytest.raises(ModelError, match="give one of these"):
        find_model("qqqqqqqq")


def test_a_folder_that_is_no_model_is_called_so(places, tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ModelError, match=r"'pictures' is not a model: it holds no recipe\.yaml"):
        find_model("pictures")


def test_without_any_model_a_folder_is_asked_for(places):
    with pytest.raises(ModelError, match=r"Allowed: a folder with recipe\.yaml"):
        find_model("sky-x2")
