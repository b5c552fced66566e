"""The shipped models give what they gave: users must be told of a change."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sciup.existence import Existence
from sciup.generators.facts import ModelFacts
from sciup.resources import model_folders
from sciup.risk.calibration import Calibration
from sciup.science.measure.measurements import Measurements

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.npy"))


def make():
    spec = importlib.util.spec_from_file_location("golden_make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_shipped_model_has_its_values():
    assert sorted(f.name for f in model_folders()) == NAMES


@pytest.mark.parametrize("kind", [Calibration, Existence, Measurements])
def test_what_is_shipped_beside_a_model_is_for_it(kind):
    models = [ModelFacts.read(f) for f in model_folders() if (f / kind.file).is_file()]
    assert models
    for facts in models:
        assert isinstance(kind.of_model(facts.folder, facts.key), kind)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_before(name):
    module = make()
    before, now = np.load(FOLDER / f"{name}.npy"), module.outputs(name)
    assert now.shape == before.shape
    for key, old, new in zip(module.maps_of(name), before, now, strict=True):
        assert np.array_equal(np.isnan(old), np.isnan(new)), key
        off = np.abs(new - old)
        if key == "risk_raw":  # a draw at the very tolerance may fall on either side
            assert np.mean(off > 1e-6) < 0.02, key
        else:
            # other processors round differently: 1e-5 of the range or so
            assert off.max() < 1e-3 * np.ptp(old), key
