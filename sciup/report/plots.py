"""Pictures of the report, with matplotlib's objects: no display, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciup.report.cutout import SAMPLES, Cutout
from sciup.report.drawing import PANEL, image, panels, risk_image, scale_bar, stretch, title_of
from sciup.report.survey import Survey
from sciup.results.finished import Array, Finished

RISKS = ("risk", "risk_raw", "risk_bound", "risk_mean")


def samples(done: Finished, cutout: Cutout) -> Any:
    """Input, mean and the first draws at one stretch."""
    shown = [("input", "input")] if "input" in cutout.maps else []
    shown += [("mean", "mean")] if "mean" in cutout.maps else []
    shown += [(f"sample_{k}", f"sample {k}") for k in SAMPLES if f"sample_{k}" in cutout.maps]
    columns = min(3, len(shown))
    figure, axes = panels(columns, -(-len(shown) // columns))
    draw_values(axes, done, cutout, shown)
    return figure


def draw_values(
    axes: Sequence[Any], done: Finished, cutout: Cutout, shown: Sequence[tuple[str, str]]
) -> None:
    """Maps in the unit of the image, at one stretch; axes that are left over are hidden."""
    reference = next(n for n in ("mean", "sample_0", shown[0][0]) if n in cutout.maps)
    factor = {"input": 1}
    forward, low, high = stretch(done, cutout.maps[reference] * factor.get(reference, done.flux))
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    for ax, (name, title) in zip(axes, shown, strict=False):
        values = forward(cutout.maps[name] * factor.get(name, done.flux))
        options = {"interpolation": "nearest"} if name == "input" else {}
        image(ax, done, values, title, vmin=low, vmax=high, **options)
        grid = factor.get(name, done.scale)
        scale_bar(ax, done, cutout.region.shape[1], float(grid))


def overview(done: Finished, found: Survey, cutout: Cutout) -> Any:
    """The whole first plane: mean and risk, small, with the region that is shown enlarged."""
    names = [n for n in ("mean", *RISKS) if n in found.pictures]
    figure, axes = panels(max(len(names), 1))
    for ax, name in zip(axes, names, strict=False):
        values = found.pictures[name]
        if name == "mean":
            forward, low, high = stretch(done, values * done.flux)
            image(ax, done, forward(values * done.flux), "mean, whole", vmin=low, vmax=high)
            scale_bar(ax, done, done.region.shape[1], done.scale / found.factor)
        else:
            risk_image(figure, ax, done, values, f"{title_of(name)}, whole")
        _outline(ax, done, found, cutout)
    return figure


def _outline(ax: Any, done: Finished, found: Survey, cutout: Cutout) -> None:
    from matplotlib.patches import Rectangle

    factor = done.scale / found.factor
    start = [
        (a - b) * factor - 0.5 for a, b in zip(cutout.region.start, done.region.start, strict=True)
    ]
    height, width = (n * factor for n in cutout.region.shape)
    ax.add_patch(
        Rectangle((start[1], start[0]), width, height, fill=False, edgecolor="tab:cyan", lw=1.2)
    )


def risk(done: Finished, cutout: Cutout) -> Any:
    """Risk, bound and spread of the region."""
    names = [n for n in RISKS if n in cutout.maps]
    figure, axes = panels(len(names) + 1)
    for ax, name in zip(axes, names, strict=False):
        risk_image(figure, ax, done, cutout.maps[name], title_of(name))
        scale_bar(ax, done, cutout.region.shape[1], done.scale)
    if "std" in cutout.maps:
        top = np.nanmax(cutout.maps["std"], initial=0.0)
        options = {"cmap": "magma", "vmin": 0, "vmax": top}
        shown = image(axes[-1], done, cutout.maps["std"], "std of the samples", **options)
        figure.colorbar(
            shown,
            ax=axes[-1],
            location="bottom",
            shrink=0.8,
            pad=0.02,
            label=(done.image.unit or "").replace("$", r"\$"),
        )
    else:
        axes[-1].set_axis_off()
    return figure


def residual(done: Finished, cutout: Cutout) -> Any:
    """(y - A x) / sigma of the mean, and its histogram beside a normal one."""
    figure, (left, right) = panels(2)
    values = cutout.maps["residual"]
    residual_image(figure, left, done, values)
    known = values[np.isfinite(values)]
    edges = np.linspace(-5, 5, 41)
    right.hist(np.clip(known, -5, 5), edges, density=True, color="0.7", label="found")
    x = np.linspace(-5, 5, 201)
    right.plot(x, np.exp(-x * x / 2) / np.sqrt(2 * np.pi), color="tab:blue", label="pure noise")
    right.set_xlabel("residual / sigma")
    right.set_yticks([])
    right.legend(fontsize=9)
    return figure


def residual_image(figure: Any, ax: Any, done: Finished, values: Array) -> None:
    """The residual at the fixed scale of -4 to 4 sigma."""
    options = {"cmap": "RdBu_r", "vmin": -4, "vmax": 4, "interpolation": "nearest"}
    shown = image(ax, done, values, "residual of the mean, in sigma", **options)
    figure.colorbar(shown, ax=ax, location="bottom", shrink=0.8, pad=0.02)


def summary(done: Finished, cutout: Cutout, headline: str) -> Any:
    """The most important pictures in one figure."""
    shown = [("input", "input"), ("mean", "mean")]
    shown += [(f"sample_{k}", f"sample {k}") for k in SAMPLES]
    shown = [(name, title) for name, title in shown if name in cutout.maps]
    extra = [n for n in (*RISKS, "residual") if n in cutout.maps]
    columns = 4
    figure, axes = panels(columns, max(1, -(-(len(shown) + len(extra)) // columns)), PANEL * 1.02)
    if shown:
        draw_values(axes, done, cutout, shown)
    for ax, name in zip(axes[len(shown) :], extra, strict=False):
        ax.set_axis_on()
        if name == "residual":
            residual_image(figure, ax, done, cutout.maps[name])
        else:
            risk_image(figure, ax, done, cutout.maps[name], title_of(name))
    figure.suptitle(headline, fontsize=12, parse_math=False)
    return figure
