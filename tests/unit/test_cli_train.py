"""`sciup train`, `pack` and `simulate`: bad input ends with code 2 and words that help."""

import re

import pytest
import yaml

from sciup import cli
from sciup.generators.lessons import Lessons
from sciup.io import open_image
from sciup.physics.estimate import probe
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train import kernels
from sciup.train.pack import Pack
from sciup.train.recipe_file import load_recipe


@pytest.fixture(autouse=True)
def _few_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "BANK", 4)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("# mine\n" + yaml.safe_dump(tiny_recipe()))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


def call(capfd, *arguments):
    """Exit code and what a person reads."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in arguments])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return (stop.value.code or 0), " ".join(err.split())


def lessons(folder):
    return (folder / "run" / "training.txt").read_text()


def test_train_then_another_recipe_is_refused(capfd, recipe, images, tmp_path):
    options = ["--data", images, "--out", tmp_path / "run", "--device", "cpu"]
    code, err = call(capfd, "train", recipe, *options)
    assert code == 0, err
    assert "weights" in err
    assert "spread/skill" in err
    assert (tmp_path / "run" / "recipe.yaml").read_text() == recipe.read_text()
    used = [f for f in sorted(images.rglob("*.tif")) if f"/{f.name}\n" in lessons(tmp_path)]
    assert used
    image = open_image(used[0])
    assert probe(image, next(image.planes)).pixels in Lessons.read(tmp_path / "run").planes
    code, err = call(capfd, "train", recipe, *options)
    assert code == 0, err  # complete: nothing to do
    recipe.write_text(recipe.read_text().replace("seed: 5", "seed: 6"))
    code, err = call(capfd, "train", recipe, *options)
    assert code == 2
    assert "seed differ" in err
    code, err = call(capfd, "train", recipe, *options, "--split", "0.5")
    assert code == 2


@pytest.mark.parametrize("command", ["train", "pack", "simulate"])
def test_an_unknown_key(capfd, recipe, images, tmp_path, command):
    recipe.write_text(recipe.read_text() + "step: 3\n")
    place = [tmp_path / "p.safetensors"] if command == "pack" else ["--out", tmp_path / "out"]
    code, err = call(capfd, command, recipe, *place, "--data", images)
    assert code == 2
    assert "did you mean 'steps'" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["train", "pack", "simulate"])
def test_a_folder_that_is_not_there(capfd, recipe, tmp_path, command):
    place = [tmp_path / "p.safetensors"] if command == "pack" else ["--out", tmp_path / "out"]
    code, err = call(capfd, command, recipe, *place, "--data", tmp_path / "none")
    assert code == 2
    assert "is not a folder" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "RECIPE, --data or --out is missing"),
        (["--new", "../up"], "letters, digits"),
        (["--new", "a", "--domain", "moon"], "fluorescence, night-sky"),
        (["--new", "a", "--scale", "3"], "1, 2, 4"),
    ],
)
def test_options_that_are_refused(capfd, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    code, err = call(capfd, "train", *options)
    assert code == 2
    assert words in err
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.parametrize("domain", ["fluorescence", "night-sky"])
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_a_new_recipe_is_valid_and_never_overwrites(
    capfd, tmp_path, monkeypatch, domain, scale, quick
):
    monkeypatch.chdir(tmp_path)
    options = ["--new", "mine", "--domain", domain, "--scale", scale, *quick]
    assert call(capfd, "train", *options)[0] == 0
    made = load_recipe(tmp_path / "mine.yaml")
    assert (made.name, made.domain, made.scale) == ("mine", domain, scale)
    code, err = call(capfd, "train", *options)
    assert code == 2
    assert "exists" in err


def test_pack_with_a_limit(capfd, recipe, images, tmp_path):
    write_images(tmp_path / "large", 4, (600, 600))
    out = tmp_path / "p.safetensors"
    code, err = call(capfd, "pack", recipe, out, "--data", tmp_path / "large", "--limit", "5")
    assert code == 0, err
    assert out.stat().st_size < 5 * 2**20
    assert float(re.search(r"([\d.]+) MiB$", err)[1]) < 5
    assert Pack.load(out).text == recipe.read_text()
    code, err = call(capfd, "pack", recipe, out, "--data", images, "--split", "2")
    assert code == 2
    assert "--split 2" in err
