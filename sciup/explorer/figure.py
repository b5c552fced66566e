"""The figure of one region: input, answers at one stretch, residuals, the result in words."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.explorer.answers import POSSIBLE, Answer, Region
from sciup.stretch import AsinhStretch

if TYPE_CHECKING:
    from sciup.explorer.exploration import Exploration

DPI = 110
PANEL = 2.7
"""Width of a panel in inches."""

MOST = 6
"""Answers that are shown."""

LIMIT = 4.0
"""Sigmas at the ends of the colours of residuals."""

Array = NDArray[Any]


def draw(found: Exploration, region: Region, path: Path) -> None:
    """Write the figure of one region as PNG."""
    from matplotlib.figure import Figure

    shown = shown_of(region)
    columns = 2 + max(len(shown), 1)
    figure = Figure(figsize=(PANEL * columns, PANEL * 2 + 1.7), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    grey = _Grey(found, region)
    grey.image(axes[0, 0], region.measured, 1, f"input  {region.roi}")
    grey.image(axes[0, 1], region.shown, found.scale, "sample 0, as drawn")
    axes[1, 0].set_axis_off()
    colours = grey.residual(axes[1, 1], region.shown_residual, region.shown_facts)
    for k, answer in enumerate(shown):
        grey.image(axes[0, 2 + k], answer.image, found.scale, _title(answer))
        grey.residual(axes[1, 2 + k], answer.residual, answer.facts)
    if not shown:
        axes[0, 2].set_axis_off()
        axes[1, 2].set_axis_off()
    bar = figure.colorbar(colours, ax=axes[1, -1], location="right", shrink=0.9)
    bar.set_label("(y - A x) / sigma", fontsize=8)
    _legend(axes[1, 0], found, region)
    wide = int(24 * columns)
    title = "NOTHING FOUND: " * (not region.found) + region.words
    figure.suptitle(
        textwrap.fill(title, wide), fontsize=11, color="black" if region.found else "firebrick"
    )
    notes = textwrap.fill(f"{POSSIBLE} {found.cascade.risk}".strip(), int(1.4 * wide))
    figure.supxlabel(notes, fontsize=8, color="firebrick" if found.cascade.risk else "0.25")
    figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})


def shown_of(region: Region) -> list[Answer]:
    """What stands beside sample 0: the sketch, if there is one, and the first answers."""
    first = [] if region.drawing is None else [region.drawing]
    return [*first, *region.answers[:MOST]]


class _Grey:
    """One stretch for the input and all images."""

    def __init__(self, found: Exploration, region: Region) -> None:
        job = found.result.job
        self.found, self.region = found, region
        self.sky = job.model.domain == "night-sky"
        self.flux = job.image.flux_per_pixel
        self.grid = job.image.grid
        instrument = job.instruments[0]
        self.level = float(instrument.background.value)
        self.sigma = float(instrument.noise_sigma.value) or 1.0
        ends = [self.forward(region.measured, 1), self.forward(region.shown, found.scale)]
        ends += [self.forward(a.image, found.scale) for a in shown_of(region)]
        values = np.concatenate([e[np.isfinite(e)] for e in ends])
        low, high = np.percentile(values, [0.5, 99.8]) if values.size else (0.0, 1.0)
        self.low, self.high = float(low), float(max(high, low + 1e-6))

    @property
    def forward(self) -> Callable[[Array, int], Array]:
        """Values of a grid that is `scale` times finer than the input's, to grey."""
        asinh = AsinhStretch()

        def go(values: Array, scale: int) -> Array:
            same = values * (scale**2 if self.flux else 1)
            if not self.sky:
                return np.asarray(same)
            return np.asarray(asinh.forward((same - self.level) / self.sigma))

        return go

    def image(self, ax: Any, values: Array, scale: int, title: str) -> None:
        """A picture, with the aperture and a scale bar."""
        from matplotlib import colormaps

        grey = colormaps["gray"].with_extremes(bad="0.6")
        origin = "lower" if self.sky else "upper"
        ax.imshow(
            self.forward(values, scale), cmap=grey, vmin=self.low, vmax=self.high, origin=origin,
            interpolation="nearest",
        )  # fmt: skip
        self._bare(ax, title)
        self._aperture(ax, scale)
        if scale == 1:
            self._bar(ax)

    def residual(self, ax: Any, values: Array, f: Mapping[str, Any]) -> Any:
        """Residuals on the input grid."""
        from matplotlib import colormaps

        colours = colormaps["RdBu_r"].with_extremes(bad="0.6")
        origin = "lower" if self.sky else "upper"
        shown = ax.imshow(
            values, cmap=colours, vmin=-LIMIT, vmax=LIMIT, origin=origin,
            interpolation="nearest",
        )  # fmt: skip
        if not f:
            self._bare(ax, "")
            return shown
        self._bare(ax, f"chi² {f['chi2']:.0f} / {f['pixels']}, worst 8 px block"
                       f" {f['worst_8px_block_sigma']:+.1f}σ")  # fmt: skip
        return shown

    @staticmethod
    def _bare(ax: Any, title: str) -> None:
        ax.set_title(textwrap.fill(title, 34), fontsize=8)
        ax.set_xticks([])
        ax.set_yticks([])

    def _aperture(self, ax: Any, scale: int) -> None:
        from matplotlib.patches import Circle

        at, radius = self.region.facts.get("at"), self.region.facts.get("radius")
        if at is None or radius is None:
            return
        y, x = (scale * (c - a + 0.5) - 0.5 for c, a in zip(at, self.region.box.start, strict=True))
        ax.add_patch(Circle((x, y), radius * scale, fill=False, color="orange", lw=0.9))

    def _bar(self, ax: Any) -> None:
        """A fifth of the width, in the file's unit."""
        width = self.region.box.shape[1]
        size = self.grid.size[1] if self.grid.size else 1.0
        unit = (self.grid.unit or "") if self.grid.size else "input px"
        power = 10.0 ** np.floor(np.log10(width * size / 4))
        length = max(n * power for n in (1.0, 2.0, 5.0) if n * power <= width * size / 4)
        style = {"transform": ax.get_xaxis_transform(), "solid_capstyle": "butt"}
        start = 0.05 * width - 0.5
        ax.plot([start, start + length / size], [0.06, 0.06], color="white", lw=3, **style)
        ax.text(start, 0.09, f"{length:g} {unit}", color="white", fontsize=7,
                transform=ax.get_xaxis_transform())  # fmt: skip


def _title(answer: Answer) -> str:
    return ("" if answer.accepted or answer.name == "sketch" else "REJECTED: ") + answer.title


def _legend(ax: Any, found: Exploration, region: Region) -> None:
    """What was done, beside the residuals."""
    q = found.question
    lines = [
        f"goal: {region.goal}",
        f"scale: {found.scale}x",
        f"search: {found.cascade.stages[0].name}",
        f"seed {found.result.job.settings.seed}, {q.steps} steps",
        f"accepted: {sum(a.accepted for a in region.answers)} of {len(region.answers)}",
        "allowed: |chi² - N| ≤ 2 √(2N),",
        "and 5σ in every 8 px block",
    ]
    if found.result.job.settings.noise_free:
        lines[-2:] = ["allowed: rms(A x - y) ≤ 0.001 rms(y)"]
    ax.text(0.0, 0.95, "\n".join(lines), va="top", fontsize=8, transform=ax.transAxes)


__all__ = ["draw"]
