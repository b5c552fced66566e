"""Large factors: the stages fit, the light is kept, and what is invented is said."""

import numpy as np
import pytest

import sciup
from sciup.errors import OptionError
from sciup.explorer import cascade as module
from sciup.explorer.cascade import Cascade, sharpen
from sciup.io import open_image
from sciup.io._array import open_array
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

KNOWN = {"psf_fwhm": 2.0, "gain": 1.0, "read_noise": 1.0, "background": 0.0, "device": "cpu"}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Only toy models: 2x and 4x for micrographs, 2x for the sky."""
    small = {"channels": 4, "head_channels": 4}
    made = [
        write_toy_model(tmp_path / "f2", scale=2, domain="fluorescence", **small),
        write_toy_model(tmp_path / "f4", scale=4, domain="fluorescence", **small),
        write_toy_model(tmp_path / "s2", scale=2, domain="night-sky", **small),
    ]
    monkeypatch.setattr(module, "model_folders", lambda: made)
    return {p.name: p for p in made}


@pytest.mark.parametrize(
    ("factor", "stages"), [(8, [4, 2]), (16, [4, 4]), (32, [4, 4, 2]), (64, [4, 4, 4])]
)
def test_few_stages_make_the_factor(folders, factor, stages):
    found = Cascade.choose(open_image(cells()), None, factor)
    assert [s.scale for s in found.stages] == stages
    assert found.factor == factor
    assert "invented" in found.risk
    assert f"{factor**2} output pixels" in found.risk


def test_the_sky_goes_by_twos_and_the_model_asked_for_comes_first(folders):
    sky = open_array(np.zeros((8, 8), np.float32), domain="night-sky")
    assert [s.scale for s in Cascade.choose(sky, None, 64).stages] == [2] * 6
    first = Cascade.choose(open_image(cells()), folders["f2"], 16).stages
    assert [s.scale for s in first] == [2, 4, 2]


@pytest.mark.parametrize("factor", [3, 6, 7, 12, 128, -4, 0])
def test_other_factors_are_refused(folders, factor):
    with pytest.raises(sciup.SciupError):
        Cascade.choose(open_image(cells()), None, factor)


def test_a_factor_without_models_is_refused(monkeypatch):
    monkeypatch.setattr(module, "model_folders", list)
    with pytest.raises(OptionError, match="cannot be made"):
        Cascade.choose(open_image(cells()), None, 8)


@pytest.mark.parametrize("flux", [False, True])
def test_later_stages_keep_the_light(folders, flux):
    image = open_array(cells((24, 24)), flux_per_pixel=flux, domain="fluorescence")
    options = {"samples": 1, "maps": ("sample",), "precision": "fp32"} | KNOWN
    run = sciup.upscale(image, model=folders["f2"], **options)
    first = np.asarray(run.sample(0))
    chain = Cascade.choose(image, folders["f2"], 8)
    out = sharpen(first, chain, run.instrument, flux_per_pixel=flux, seed=0, device="cpu")
    n = chain.factor // 2
    assert out.image.shape == (24 * 8, 24 * 8)
    total = out.image.sum() if flux else out.image.mean()
    before = first.sum() if flux else first.mean()
    assert total == pytest.approx(before, rel=0.02)
    assert out.backward.shape == first.shape
    assert np.corrcoef(out.backward.ravel(), first.ravel())[0, 1] > 0.98
    assert n == 4


def test_explore_says_that_nearly_everything_is_invented(folders, tmp_path):
    found = sciup.explore(
        cells((32, 32)), roi="4:12,6:14", answers=2, steps=15, scale=8, model=folders["f4"], **KNOWN
    )
    answer = found.regions[0].answers[0]
    assert answer.image.shape == found.regions[0].shown.shape == (64, 64)
    assert answer.residual.shape == (8, 8)
    assert 0 <= answer.facts["later_stages_relative_error"] < 1
    assert found.scale == 8
    facts = found.as_json()
    assert "invented" in facts["risk"]
    assert [s["scale"] for s in facts["stages"]] == [4, 2]
