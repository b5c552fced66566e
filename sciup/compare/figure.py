"""All pictures of one image side by side, at one stretch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.compare.methods import Entry
from sciup.compare.scores import Row
from sciup.compare.seen import Seen
from sciup.stretch import AsinhStretch

Array = NDArray[np.float64]

COLUMNS = 4
PANEL = 3.4
"""Width of a panel in inches."""


def draw(
    seen: Seen,
    entries: list[Entry],
    rows: list[Row],
    truth: Array | None,
    title: str,
    path: Path,
) -> None:
    """Write the figure: input, every method, the truth if there is one."""
    from matplotlib.figure import Figure

    panels = [("input", seen.measured.values / seen.share)]
    panels += [(_title(r), e.values) for e, r in zip(entries, rows, strict=True)]
    panels += [("truth", truth)] if truth is not None else []
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(PANEL * columns, (PANEL + 0.45) * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    grey = _Grey(seen, truth if truth is not None else entries[0].values)
    for ax, (words, values) in zip(axes, panels, strict=False):
        grey.show(ax, values)
        ax.set_title(words, fontsize=9)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _title(row: Row) -> str:
    """Name, what it is, and what matters most."""
    quality = f"{row['psnr']:.1f} dB, " if "psnr" in row else ""
    return f"{row['method']}\n{row['kind']}; {quality}chi2 {row['chi2']:.2f}"


class _Grey:
    """One stretch for all: asinh of sky sigmas, linear for micrographs."""

    def __init__(self, seen: Seen, reference: Array) -> None:
        self.seen = seen
        shown = self._stretched(reference)
        shown = shown[np.isfinite(shown)]
        low, high = np.percentile(shown, [0.5, 99.8]) if shown.size else (0.0, 1.0)
        self.ends = {"vmin": float(low), "vmax": max(float(high), float(low) + 1e-12)}

    def _stretched(self, values: Array) -> Array:
        if not self.seen.night_sky:
            return values
        level, sigma = (np.nanmedian(x) / self.seen.share for x in self._sky)
        return np.asarray(AsinhStretch().forward((values - level) / sigma))

    @property
    def _sky(self) -> tuple[Array, Array]:
        return self.seen.measured.level, self.seen.measured.sigma

    def show(self, ax: Any, values: Array) -> None:
        """One picture, as large as the others whatever its pixels."""
        origin = "lower" if self.seen.night_sky else "upper"
        ax.imshow(
            self._stretched(values),
            cmap="gray",
            interpolation="nearest",
            origin=origin,
            **self.ends,
        )
        ax.set_xticks([])
        ax.set_yticks([])
