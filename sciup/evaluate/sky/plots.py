"""Figures of the night sky from the rows of its tables: flux pulls, reliability of P(exists)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate.baselines import bicubic
from sciup.evaluate.sky.detect import CHANCES
from sciup.evaluate.sky.fields import DRAWS, Field
from sciup.evaluate.sky.sources import CLASSES, pulls
from sciup.evaluate.tables import Table

Array = NDArray[np.float64]

SHOWN = 4
"""Fields on the sheet."""
CROP = 160
"""Fine px per side of a picture, but for 40 input px or more."""


def figures(tables: Sequence[Table]) -> dict[str, Any]:
    """Figures that the tables of `sciup.evaluate.sky.evaluate` allow, by file name.

    Parameters
    ----------
    tables : sequence of Table
        Those named ``sky_sources_*`` and ``sky_candidates`` are drawn.

    Returns
    -------
    dict of str to matplotlib Figure
    """
    found = {}
    for table in tables:
        if table.name.startswith("sky_sources_") and table.rows:
            found[table.name.replace("sources", "pulls")] = _pulls(table)
        if table.name == "sky_candidates" and table.rows:
            found["sky_reliability"] = _reliability(table)
    return found


def sheet(fields: Sequence[tuple[Field, Array]], scale: int) -> Any:
    """Input, bicubic, mean, two draws, truth and spread at the middle of a few fields.

    One stretch, asinh in units of the noise that one input pixel leaves in an output pixel.
    """
    parts = []
    for field, draws in fields:
        first = bicubic(field.observed.astype(float) / scale**2, scale)
        images = {"bicubic": first, "mean": draws.mean(0), "draw": draws[0], "another": draws[1]}
        parts.append((field, images | {"std": draws.std(0)}))
    return beside(parts, scale)


def beside(fields: Sequence[tuple[Field, dict[str, Array]]], scale: int) -> Any:
    """Input, images by name, and truth at the middle of a few fields; stretch as in `sheet`."""
    from matplotlib.figure import Figure

    names = ["input", *fields[0][1], "truth"]
    figure = Figure(figsize=(1.9 * len(names), 2.0 * len(fields)), layout="constrained")
    panels = figure.subplots(len(fields), len(names), squeeze=False)
    for row, (field, made) in zip(panels, fields, strict=True):
        flat = field.observed.astype(float) / scale**2
        images = [flat.repeat(scale, 0).repeat(scale, 1), *made.values(), field.truth]
        for axes, name, image in zip(row, names, images, strict=True):
            view = np.arcsinh(_middle(image, max(CROP, 40 * scale)) * scale**2)
            axes.imshow(view, cmap="gray", vmin=-1.5, vmax=5, origin="lower")
            axes.set(xticks=[], yticks=[], title=name if field is fields[0][0] else "")
        row[0].set_ylabel(f"{field.name}, {field.shape}, {field.fwhm:g} px", fontsize=7)
    return figure


def _middle(image: Array, side: int) -> Array:
    """At most `side` pixels in the middle."""
    rows, cols = (slice(max(n - side, 0) // 2, (n + side) // 2) for n in image.shape)
    return image[rows, cols]


def _pulls(table: Table) -> Any:
    """Histograms of pulls by class of S/N over the standard normal density."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * len(CLASSES), 2.4), layout="constrained")
    edges = np.linspace(-5, 5, 41)
    normal = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    panels = figure.subplots(1, len(CLASSES), sharey=True, squeeze=False)[0]
    for axes, (low, high) in zip(panels, CLASSES, strict=True):
        part = [dict(r) for r in table.rows if low <= r["snr"] < high]
        if part:
            axes.hist(np.clip(pulls(part, DRAWS), -5, 5), edges, density=True, color="0.75")
        axes.plot(edges, normal, color="black", lw=1)
        label = f"S/N {low:g}-{high:g}" if np.isfinite(high) else f"S/N > {low:g}"
        axes.set(title=f"{label}, n = {len(part)}", xlabel="(mean - truth) / spread")
    return figure


def _reliability(table: Table) -> Any:
    """Share of candidates that exist against P(exists), with binomial errors."""
    from matplotlib.figure import Figure

    said, exists = (np.array([r[k] for r in table.rows], float) for k in ("p", "exists"))
    index = np.clip(np.digitize(said, CHANCES) - 1, 0, len(CHANCES) - 2)
    figure = Figure(figsize=(3.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for i in np.unique(index):
        n, share = int((index == i).sum()), float(exists[index == i].mean())
        error = np.sqrt(max(share * (1 - share), 0.25 / n) / n)
        axes.errorbar(said[index == i].mean(), share, error, fmt="o", color="tab:blue")
    axes.plot([0, 1], [0, 1], color="black", lw=1)
    axes.set(xlabel="P(exists)", ylabel="share that exists", xlim=(0, 1), ylim=(0, 1))
    return figure
