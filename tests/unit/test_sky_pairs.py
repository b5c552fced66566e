"""Pairs of stars closer than the PSF is wide, as the draws and as rivals see them."""

import numpy as np
import pytest

from sciup.evaluate.sky import pairs
from sciup.evaluate.sky.photometry import aperture_fluxes
from sciup.generators.registry import ModelFacts
from sciup.testing.toy_images import star
from sciup.testing.toy_model import write_toy_model


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> ModelFacts:
    folder = tmp_path_factory.mktemp("model")
    return ModelFacts.read(write_toy_model(folder / "toy", channels=4, head_channels=4))


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
@pytest.mark.parametrize(("apart", "two"), [(12.0, True), (6.0, True), (2.0, False)])
def test_two_is_what_has_a_dip(angle, apart, two):
    half = apart / 2 * np.array([np.sin(angle), np.cos(angle)])
    middle = np.array([31.3, 32.8])
    places = np.array([[middle - half, middle + half]])
    image = sum(star((64, 64), *p, 3.0) for p in places[0])
    found = pairs.falls_between(np.stack([image, 2 * image]), places, apart)
    assert found.shape == (2, 1)
    assert (found == two).all()


def test_a_single_star_is_not_two():
    place = np.array([[[30.2, 31.0], [30.2, 31.0]]])
    assert not pairs.falls_between(star((64, 64), 30.2, 31.0, 3.0)[None], place, 6.0).any()


def test_the_grid_is_what_it_says(toy):
    found = pairs.grid(toy, 1.0, 50.0, 2)
    assert found.places.shape == (4, 2, 2)
    apart = np.hypot(*(found.places[:, 1] - found.places[:, 0]).T)
    assert apart == pytest.approx(found.field.fwhm * toy.scale)
    assert found.field.truth.sum() == pytest.approx(8 * found.flux, rel=1e-3)
    assert found.field.shape == "moffat 4"
    alone = pairs.grid(toy, 0.0, 50.0, 2)
    assert np.array_equal(alone.places[:, 0], alone.places[:, 1])
    assert alone.field.truth.sum() == pytest.approx(8 * alone.flux, rel=1e-3)


def test_the_fit_and_the_aperture_are_right_where_they_must_be(toy):
    """Bright: the fit finds both fluxes; far apart: the corrected aperture does, too."""
    near = pairs.grid(toy, 0.75, 2000.0, 2)
    found = pairs.fitted(near.field, toy, near.places)
    assert found == pytest.approx(near.flux, rel=0.02)
    far = pairs.grid(toy, 4.0, 2000.0, 2)
    true = aperture_fluxes(far.field.truth, far.places.reshape(-1, 2), 4.0)
    assert pairs._forced(far, toy, 4.0, true) == pytest.approx(true, rel=0.03)
    # closer than that, the neighbour's light is in the circle
    close = aperture_fluxes(near.field.truth, near.places.reshape(-1, 2), 2.0)
    assert (pairs._forced(near, toy, 2.0, close) > 1.2 * close).all()


def test_the_table_has_all_methods(toy, monkeypatch):
    monkeypatch.setattr(pairs, "SEPARATIONS", (1.5,))
    monkeypatch.setattr(pairs, "SNRS", (50.0,))
    done = []
    found = pairs.table(toy, across=1, progress=lambda *at: done.append(at))
    assert done == [(0, 1), (1, 1)]
    rows = {row["method"]: row for row in found.rows}
    assert list(rows) == [
        "draws", "bicubic", "Richardson-Lucy 10", "Richardson-Lucy 30", "forced aperture",
        "PSF fit",
    ]  # fmt: skip
    assert rows["PSF fit"]["off"] < 10
    assert 0 <= rows["draws"]["two"] <= 1
    assert np.isnan(rows["PSF fit"]["two"])
    assert "FWHM 2.3 input px" in found.markdown()


def test_the_command(toy, tmp_path, monkeypatch):
    from sciup.cli import main

    monkeypatch.setattr(pairs, "SEPARATIONS", (1.0,))
    monkeypatch.setattr(pairs, "SNRS", (20.0,))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(toy.folder), "--pairs", "1", "--out", str(tmp_path / "out")])
    assert stop.value.code == 0
    assert "PSF fit" in (tmp_path / "out" / "sky_pairs.md").read_text()
