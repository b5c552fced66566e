"""What all figures of the report share: one stretch, a scale bar, fixed scales of risk."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from sciup.results.finished import Array, Finished
from sciup.stretch import AsinhStretch

DPI = 100
PANEL = 4.4
"""Width of a panel in inches."""

RISK = "inferno"
NICE = (1.0, 2.0, 5.0)


def png(figure: Any) -> bytes:
    """A figure as PNG, without words about the program that drew it."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=DPI, format="png", metadata={"Software": None})
    return stream.getvalue()


def uri(figure: Any) -> str:
    """A figure as a data address for a page."""
    return "data:image/png;base64," + base64.b64encode(png(figure)).decode("ascii")


def panels(columns: int, rows: int = 1, height: float = PANEL) -> tuple[Any, Any]:
    """A figure, and its axes as a flat array."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def stretch(done: Finished, reference: Array) -> tuple[Callable[[Array], Array], float, float]:
    """One stretch for all pictures, with its ends: from values of an input pixel to grey.

    Night sky: asinh of sky sigmas. Micrographs: linear, between percentiles of the reference.
    """
    i = done.instruments[0]
    level, sigma = float(i.background.value), float(i.noise_sigma.value)
    asinh = AsinhStretch()

    def forward(values: Array) -> Array:
        if not done.night_sky:
            return values
        return np.asarray(asinh.forward((values - level) / sigma), np.float64)

    shown = forward(reference[np.isfinite(reference)])
    if not shown.size:
        return forward, 0.0, 1.0
    low, high = (float(v) for v in np.percentile(shown, [0.5, 99.8]))
    return forward, low, max(high, low + 1e-6 * max(abs(low), 1.0))


def image(ax: Any, done: Finished, values: Array, title: str, **options: Any) -> Any:
    """A picture without ticks; masked pixels are grey."""
    from matplotlib import colormaps

    colours = colormaps[options.pop("cmap", "gray")].with_extremes(bad="0.6")
    origin = "lower" if done.night_sky else "upper"
    shown = ax.imshow(values, cmap=colours, origin=origin, **options)
    ax.set_title(title, fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])
    return shown


def scale_bar(ax: Any, done: Finished, pixels: float, grid: float, points: float = 9) -> None:
    """A bar with its length: about a fifth of the picture.

    Parameters
    ----------
    ax : Axes
    done : Finished
    pixels : float
        Input pixels across the picture.
    grid : float
        Pixels of the picture per input pixel.
    points : float
        Size of the letters.
    """
    size, unit = done.pixel or (1.0, "input px")
    unit = "\N{MICRO SIGN}m" if unit == "micrometer" else unit
    length = nice(pixels * size / 5)
    width = length / size * grid
    across = pixels * grid
    x0, y = 0.05, 0.06
    style = {"transform": ax.get_xaxis_transform(), "solid_capstyle": "butt"}
    start = x0 * across - 0.5
    ax.plot([start, start + width], [y, y], color="black", lw=6, **style)
    ax.plot([start, start + width], [y, y], color="white", lw=3, **style)
    ax.text(
        start, y + 0.03, f"{length:g} {unit}", transform=ax.get_xaxis_transform(),
        color="white", ha="left", va="bottom", fontsize=points,
        bbox={"facecolor": "black", "alpha": 0.5, "pad": 1.5, "lw": 0},
    )  # fmt: skip


def nice(length: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not above a length.

    Examples
    --------
    >>> nice(7.3), nice(0.03)
    (5.0, 0.02)
    """
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(n * power for n in NICE if n * power <= length * (1 + 1e-9)))


def title_of(name: str) -> str:
    """What a risk map is called in a figure."""
    words = {
        "risk": "risk of sample 0",
        "risk_raw": "raw vote (not calibrated)",
        "risk_bound": "certified bound",
        "risk_mean": "risk of the mean",
    }
    return words.get(name, name)


def risk_image(figure: Any, ax: Any, done: Finished, values: Array, title: str) -> None:
    """A risk map at its fixed scale."""
    shown = image(ax, done, values, title, cmap=RISK, vmin=0, vmax=1)
    figure.colorbar(shown, ax=ax, location="bottom", shrink=0.8, pad=0.02)
