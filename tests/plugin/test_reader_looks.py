"""The one table of looks: what napari takes, colours that can be told apart, no heavy imports."""

import subprocess
import sys

import numpy as np
import pytest
from napari.layers import Image, Labels

from sciup.engine.settings import MAPS
from sciup_napari import looks
from sciup_napari.looks import LIGHT, LOOKS, after, kind_of, look, meaning, ramp


@pytest.mark.parametrize("name", [*LOOKS, "a map of the future"])
def test_napari_takes_every_look(name):
    made = look(name, (1, 9))
    labels = kind_of(name) == "labels"
    data = np.ones((8, 9), "u1" if labels else "f4")
    layer = (Labels if labels else Image)(data, **made)
    for key, value in after(name).items():
        setattr(layer, key, value)
    assert layer.name == made["name"]
    assert meaning(name)


def test_every_map_has_a_look_of_its_own():
    assert set(MAPS) <= set(LOOKS)
    titles = [entry.title for entry in LOOKS.values()]
    assert len(set(titles)) == len(titles)


def test_limits():
    for name in LOOKS:
        if name.startswith("risk") or name == "support":
            assert look(name, (3, 4))["contrast_limits"] == (0, 1)
    for name in LIGHT:
        assert look(name, (3, 4))["contrast_limits"] == (3, 4)
        assert "contrast_limits" not in look(name)
    assert look("mean", (5, 5))["contrast_limits"] == (5, 6)


def test_what_is_shown_at_first():
    assert [n for n in LOOKS if LOOKS[n].visible] == ["sample", "risk_raw", "risk"]


def test_overlays_are_transparent_at_zero_and_grow():
    for name, entry in LOOKS.items():
        if entry.veil:
            alpha = look(name)["colormap"]["colors"][:, 3]
            assert alpha[0] == 0
            assert (np.diff(alpha) >= 0).all()
            assert alpha[-1] > 0.85
            assert np.interp(0.05, np.linspace(0, 1, len(alpha)), alpha) < 0.06


def test_looks_are_not_shared():
    ramp("inferno")["colors"][:] = 0
    assert ramp("inferno")["colors"].max() > 0.9


def seen_without_red(rgb):
    """Linear colours as seen with deuteranopia (Viénot, Brettel and Mollon 1999)."""
    matrix = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]
    return np.asarray(rgb) ** 2.2 @ np.array(matrix).T


def test_colours_can_be_told_apart_without_red_and_green():
    def rgb(text):
        return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]

    marks = [looks.INVENTED, looks.MISSED, looks.ALARM, looks.OUTSIDE]
    seen = [seen_without_red(rgb(c)) for c in marks]
    for i, a in enumerate(seen):
        for b in seen[:i]:
            assert np.linalg.norm(a - b) > 0.25
    risky = ramp("inferno")["colors"][20:, :3]
    away = np.linalg.norm(seen_without_red(risky) - seen_without_red(rgb(looks.ALARM)), axis=1)
    assert away.min() > 0.5


def test_the_table_needs_neither_napari_nor_torch():
    code = (
        "import sys, sciup_napari.looks as l; l.look('mean'); l.look('risk');"
        "print(sorted({'torch', 'napari', 'qtpy', 'dask', 'zarr'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
