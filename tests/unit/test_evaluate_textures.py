"""What textures of the night sky are scored by: images whose scores are known beforehand."""

import numpy as np
import pytest

from sciup import cli
from sciup.evaluate.sky import textures
from sciup.evaluate.sky.fields import flux_of, make_field
from sciup.generators.registry import ModelFacts
from sciup.testing.toy_model import write_toy_model, write_toy_texture
from sciup.train.sky.scenes import add_star

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    sampler = write_toy_model(folder / "toy-x2", channels=4, head_channels=4)
    write_toy_texture(folder / "texture-toy-x2", sampler, lit=True)
    return ModelFacts.read(sampler)


@pytest.fixture(scope="module")
def field(model):
    """One bright star in an empty sky."""
    return make_field(np.zeros((96, 96)), [], 0, model, added=1)


def test_the_truth_itself_has_the_best_scores(field, model):
    found = textures.score(field.truth, field, model)
    assert found["error"] == 0
    assert found["false"] == 0
    smooth = textures.score(textures.classical(field, model.scale)["bicubic"], field, model)
    for key in ("lsd", "pyramid"):
        assert found[key] < 0.5 * smooth[key], key
    assert found["empty"] > 1000


def test_a_source_put_into_empty_sky_is_false(field, model):
    image = field.truth.copy()
    y, x = np.unravel_index(np.argmin(image[20:-20, 20:-20]), image[20:-20, 20:-20].shape)
    add_star(image, y + 20.0, x + 20.0, 3 * flux_of(5.0, field))
    found = textures.score(image, field, model)
    assert found["false"] == 1
    assert found["error"] > 0


def test_a_smooth_image_is_far_in_spectra_and_a_blurred_one_in_statistics(field, model):
    noisy = field.truth + RNG.normal(0, 0.3, field.truth.shape)
    best, worst = (textures.score(x, field, model) for x in (field.truth, noisy))
    assert worst["lsd"] > 3 * best["lsd"]
    assert worst["pyramid"] > 3 * best["pyramid"]


def test_classical_methods_keep_the_light(field, model):
    light = field.truth.sum()
    for name, image in textures.classical(field, model.scale).items():
        assert image.shape == field.truth.shape, name
        assert image.sum() == pytest.approx(light, rel=0.15), name


def test_the_table_compares_with_the_first_texture_and_the_best_classical_method():
    def rows(method, errors, lsd):
        return [
            {"method": method, "field": str(i), "error": e, "lsd": lsd, "pyramid": lsd}
            | {"imprint": 0.0, "flux": 0.0, "false": 1, "empty": 1e6}
            for i, e in enumerate(errors)
        ]

    made = [
        *rows("bicubic", (1.0, 1.0), 9.0),
        *rows("TV", (0.5, 0.5), 8.0),
        *rows("e", (0.1, 0.1), 6.0),
        *rows("pat", (0.2, 0.2), 2.0),
    ]
    found = textures.table(made, ["e", "pat"], "made")
    by = {row["method"]: row for row in found.rows}
    assert by["TV"]["gain"] == pytest.approx(3.0103, abs=1e-3)
    assert by["e"]["over TV"] == pytest.approx(6.9897, abs=1e-3)
    assert by["pat"]["lsd / e"] == pytest.approx(1 / 3)
    assert by["pat"]["false_per_Mpx"] == pytest.approx(1.0)
    assert "over TV" not in by["bicubic"]


def run(*arguments):
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(a) for a in arguments])
    return exit_.value.code or 0


@pytest.mark.parametrize("more", [[], ["--scenes", "pack.npy", "--pairs", 2], ["folder"]])
def test_images_and_pairs_are_refused_beside_textures(model, tmp_path, monkeypatch, capsys, more):
    monkeypatch.setattr("sciup.resources._roots", lambda: [model.folder.parent])
    assert run("evaluate", "texture-toy-x2", *more, "--out", tmp_path / "out") == 2
    assert "simulated fields alone" in " ".join(capsys.readouterr().err.split())


def test_a_texture_model_of_the_sky_is_evaluated(model, field, tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.resources._roots", lambda: [model.folder.parent])
    monkeypatch.setattr(textures, "fields", lambda *_a, **_k: iter([field]))
    out = tmp_path / "out"
    assert run("evaluate", "texture-toy-x2", "--scenes", tmp_path / "s.npy", "--out", out) == 0
    assert (out / "texture_sheet.png").stat().st_size > 1000
    assert "texture-toy-x2" in (out / "texture.csv").read_text()


def test_without_fields_it_is_said_what_to_do(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sciup.resources._roots", lambda: [model.folder.parent])
    monkeypatch.setattr(textures, "fields", lambda *_a, **_k: iter(()))
    arguments = ("--scenes", tmp_path / "s.npy", "--count", 0, "--out", tmp_path / "out")
    assert run("evaluate", "texture-toy-x2", *arguments) == 2
    assert "no field to evaluate" in " ".join(capsys.readouterr().err.split())
