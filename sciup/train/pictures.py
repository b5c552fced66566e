"""Curves and sheets of samples as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

TERMS = (
    "loss", "crps", "waves", "blocks", "linear", "energy", "mean", "imprint", "pixels", "means",
    "texture", "statistics", "adversarial",
)  # fmt: skip


def curves(path: Path, rows: list[dict[str, float]]) -> None:
    """Loss and its terms, gain over bicubic, and spread/skill at 1, 4, 16 px, against the step.

    Of a texture head, in place of the last: distance of the spectra, and the critic's accuracy.
    """
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for term in (t for t in TERMS if t in rows[0]):
        _line(left, rows, term, term)
    left.set(title="loss and its terms", yscale="log")
    _line(middle, rows, "gain", "gain")
    middle.set(title="gain of the mean over bicubic [dB]")
    if "skill1" in rows[0]:
        right.axhspan(0.8, 1.25, color="0.9")
        for side in (1, 4, 16):
            _line(right, rows, f"skill{side}", f"{side} px")
        right.set(title="spread / skill", ylim=(0.4, 1.6))
    else:
        _line(right, rows, "spectrum", "distance of spectra / dB")
        if "accuracy" in rows[0]:
            _line(right, rows, "accuracy", "accuracy of the critic")
        right.set(title="texture", yscale="log")
    for axes in (left, right):
        axes.legend(fontsize=8)
    for axes in (left, middle, right):
        axes.set_xlabel("step")
    figure.savefig(path, format="png", dpi=100)


def _line(axes: object, rows: list[dict[str, float]], key: str, label: str) -> None:
    """Every value faintly, and a running mean."""
    steps = np.array([row["step"] for row in rows])
    values = np.array([row.get(key, np.nan) for row in rows])
    mean = [np.mean(values[max(0, i - 9) : i + 1]) for i in range(len(values))]
    (drawn,) = axes.plot(steps, mean, label=label)  # type: ignore[attr-defined]
    axes.plot(steps, values, color=drawn.get_color(), alpha=0.25)  # type: ignore[attr-defined]


def sheet(path: Path, panels: dict[str, Tensor]) -> None:
    """One row per crop, one column per panel; every row has the grey scale of its truth.

    Parameters
    ----------
    path : Path
        PNG file to write.
    panels : dict of Tensor (n, h, w)
        Title and pictures in network units; ``std`` has its own scale.
    """
    pictures = {title: panel.numpy() for title, panel in panels.items()}
    count = len(pictures["truth"])
    figure = Figure(figsize=(2.2 * len(pictures), 2.25 * count), layout="constrained")
    grid = figure.subplots(count, len(pictures), squeeze=False)
    for row, axes in enumerate(grid):
        low, high = _limits(pictures["truth"][row])
        for column, (title, panel) in zip(axes, pictures.items(), strict=True):
            ends = (0, _limits(panel[row])[1]) if title == "std" else (low, high)
            column.imshow(panel[row], cmap="gray", vmin=ends[0], vmax=ends[1])
            column.set_axis_off()
            if row == 0:
                column.set_title(title, fontsize=9)
    figure.savefig(path, format="png", dpi=100)


def _limits(picture: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(picture, [0.5, 99.8])
    return float(low), float(max(high, low + 1e-3))
