"""Figures of an evaluation, with matplotlib's objects: no display, no global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate.fluorescence.run import Findings, unique
from sciup.evaluate.fluorescence.scores import BLOCKS, FREQUENCIES
from sciup.evaluate.fluorescence.summary import ALL, groups, over

Array = NDArray[np.float64]

FIRST = ("truth", "draw", "mean", "bicubic", "noise of the truth")
COLOURS = dict(zip(FIRST, ("black", "tab:orange", "tab:blue", "tab:green", "0.6"), strict=True))
COLUMNS = 5
"""Panels beside each other."""
SHEET = ("input", "bicubic", "best", "sample", "mean", "std", "truth")


def _figure(columns: int, rows: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure of panels, rows x columns, and its axes as an array."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _short(name: str) -> str:
    """A name that fits above a panel."""
    return name if len(name) <= 22 else f"{name[:20]}…"


def _mean(found: Findings, condition: str, name: str, curve: str) -> Array | None:
    """Mean curve of a set."""
    several = found.curves.get((condition, name), {}).get(curve)
    return np.mean(several, axis=0) if several else None


def _places(found: Findings) -> tuple[list[str], list[str]]:
    """Conditions and sets for which there are curves."""
    return unique(c for c, _ in found.curves), sorted(unique(s for _, s in found.curves))


def spectra(found: Findings) -> Any:
    """Power against spatial frequency, sets by conditions."""
    return _grid(found, "power ", "log10 power", (-6, None))


def correlations(found: Findings) -> Any:
    """Fourier ring correlation against spatial frequency."""
    figure = _grid(found, "frc ", "FRC", (-0.1, 1.05))
    for axes in figure.axes[: len(found.curves)]:
        axes.axhline(1 / 7, color="0.7", lw=0.8, zorder=0)
    return figure


def _grid(found: Findings, prefix: str, label: str, limits: tuple[float, float | None]) -> Any:
    """All curves of one kind, a panel per condition and set."""
    columns = min(COLUMNS, len(found.curves))
    figure, axes = _figure(columns, -(-len(found.curves) // columns), (2.6, 2.3))
    for ax in axes.ravel()[len(found.curves) :]:
        ax.set_axis_off()
    for ax, ((condition, name), curves) in zip(axes.ravel(), found.curves.items(), strict=False):
        for key in (k for k in curves if k.startswith(prefix)):
            word = key.removeprefix(prefix)
            style = {"color": COLOURS[word]} if word in COLOURS else {}
            style |= {"ls": ":"} if word.startswith("noise") else {}
            values = _mean(found, condition, name, key)
            ax.plot(FREQUENCIES, values, lw=1.3, label=word, **style)
        _frame(ax, f"{_short(name)}\n{condition}", "cycles per output px", label, None, None)
        ax.set_ylim(bottom=limits[0], top=limits[1])
        if limits[1] is None:
            _tight(ax)
    _legend(figure)
    return figure


def _legend(figure: Any) -> None:
    """One legend for all panels, below them."""
    found = [ax.get_legend_handles_labels() for ax in figure.axes]
    lines = {label: line for pair in found for line, label in zip(*pair, strict=True)}
    figure.legend(
        lines.values(),
        lines.keys(),
        loc="outside lower center",
        ncols=min(len(lines), 3 * len(figure.axes)),
        fontsize=7,
    )


def _styles(found: Findings) -> dict[str, dict[str, Any]]:
    """The same colour for a set in every panel."""
    sets = sorted(unique(r["set"] for r in found.rows))
    return {name: {"color": f"C{i % 10}", "lw": 1.2} for i, name in enumerate(sets)} | {
        ALL: {"color": "black", "lw": 2.0}
    }


def _tight(ax: Any) -> None:
    """Limits of what is drawn, not lower than a millionth of the top."""
    values = np.concatenate([line.get_ydata() for line in ax.lines])
    top = float(np.nanmax(values))
    ax.set_ylim(max(float(np.nanmin(values)) - 0.2, top - 7), top + 0.2)


def reliability(found: Findings) -> Any:
    """How often draw 0 is wrong, against what the others voted."""
    conditions, sets = _places(found)
    styles = _styles(found)
    figure, (row,) = _figure(len(conditions), 1, (3.2, 3.2))
    for ax, condition in zip(row, conditions, strict=True):
        ax.plot([0, 1], [0, 1], color="0.7", lw=0.8)
        for name in sets:
            table = _mean(found, condition, name, "reliability")
            if table is None:
                continue
            full = table[0] > 1e-3 * table[0].sum()
            said, wrong = (table[i][full] / table[0][full] for i in (1, 2))
            ax.plot(said, wrong, "o-", ms=3, label=_short(name), **styles[name])
        _frame(ax, condition, "share of draws that differ", "truth differs", (0, 1), (0, 1))
    _legend(figure)
    return figure


def ranks(found: Findings) -> Any:
    """Rank histograms, sizes of block by conditions; flat when right."""
    conditions, sets = _places(found)
    styles = _styles(found)
    blocks = BLOCKS[:3]
    figure, axes = _figure(len(blocks), len(conditions), (3.0, 2.3))
    for row, condition in zip(axes, conditions, strict=True):
        for ax, block in zip(row, blocks, strict=True):
            for name in sets:
                curve = _mean(found, condition, name, f"rank {block}")
                if curve is not None:
                    places = np.arange(len(curve) + 1) - 0.5
                    ax.stairs(curve * len(curve), places, label=_short(name), **styles[name])
            ax.axhline(1, color="0.7", lw=0.8)
            title = f"{condition}, {block} px means"
            _frame(ax, title, "draws below the truth", "share over flat", None, (0, 3))
    _legend(figure)
    return figure


def spread_skill(found: Findings) -> Any:
    """Spread over skill of perturbed draws against the size of blocks."""
    conditions, _ = _places(found)
    styles = _styles(found)
    figure, (row,) = _figure(len(conditions), 1, (3.2, 3.0))
    for ax, condition in zip(row, conditions, strict=True):
        ax.axhspan(0.92, 1.08, color="0.92", zorder=0)
        ax.axhline(1, color="0.7", lw=0.8)
        rows = [r for r in found.rows if r["condition"] == condition and r["kind"] == "model"]
        first = rows[0]["method"]
        for name, group in groups([r for r in rows if r["method"] == first]):
            values = [over(group, f"p_skill{block}").value for block in BLOCKS]
            ax.plot(BLOCKS, values, "o-", ms=3, label=_short(name), **styles[name])
        ax.set_xscale("log", base=4)
        ax.set_xticks(BLOCKS, [str(b) for b in BLOCKS])
        ax.minorticks_off()
        _frame(ax, condition, "side of blocks, output px", "spread / skill", None, (0.5, 1.5))
    _legend(figure)
    return figure


def gains(found: Findings) -> Any:
    """Gain of every method with its interval, a panel per condition."""
    conditions = unique(r["condition"] for r in found.rows)
    styles = _styles(found)
    names = unique(r["method"] for r in found.rows)
    figure, axes = _figure(len(conditions), 1, (3.4, 1.1 + 0.24 * len(names)))
    for ax, condition in zip(axes[0], conditions, strict=True):
        here = [r for r in found.rows if r["condition"] == condition]
        for place, (name, group) in enumerate(groups(here)):
            height = np.arange(len(names)) + 0.09 * (place - 2)
            found_ = [_gain(group, method) for method in names]
            values = np.array([v[0] for v in found_])
            bars = np.abs(np.array([[v[0] - v[1], v[2] - v[0]] for v in found_]).T)
            style = styles[name] | {"lw": 0.8}
            ax.errorbar(values, height, xerr=bars, fmt="o", ms=2.5, label=_short(name), **style)
        ax.axvline(0, color="0.7", lw=0.8)
        ax.set_yticks(range(len(names)), names if ax is axes[0][0] else [""] * len(names))
        ax.set_ylim(len(names) - 0.5, -0.5)
        _frame(ax, condition, "gain of the mean over bicubic, dB", "", None, None)
        ax.grid(axis="y", lw=0.3)
    _legend(figure)
    return figure


def _gain(group: Sequence[Sequence[dict[str, Any]]], method: str) -> tuple[float, float, float]:
    """Gain of a method with the ends of its interval; NaN where it was not run."""
    part = [[r for r in rows if r["method"] == method] for rows in group]
    part = [rows for rows in part if rows]
    if not part:
        return (float("nan"),) * 3
    value = over(part, "gain_mean")
    return value.value, *value.ends


def _frame(
    ax: Any,
    title: str,
    x: str,
    y: str,
    xlim: tuple[float, float] | None,
    ylim: tuple[float, float] | None,
) -> None:
    """Words and limits of a panel."""
    ax.set_title(title, fontsize=8)
    ax.set_xlabel(x, fontsize=8)
    ax.set_ylabel(y, fontsize=8)
    ax.tick_params(labelsize=7)
    if xlim:
        ax.set_xlim(*xlim)
    if ylim:
        ax.set_ylim(*ylim)


def sheet(pictures: Mapping[str, Mapping[str, Array]], best: Mapping[str, str]) -> Any:
    """Pictures side by side, a row per set.

    Parameters
    ----------
    pictures : mapping
        By set, then by title, in scores' units.
    best : mapping
        By set, the name of the best baseline.
    """
    figure, axes = _figure(len(SHEET), len(pictures), (1.9, 2.05))
    for row, (name, shown) in zip(axes, pictures.items(), strict=True):
        low, high = np.percentile(shown["truth"], [0.5, 99.8])
        for ax, column in zip(row, SHEET, strict=True):
            source = {"best": best.get(name, "bicubic"), "input": "nearest"}.get(column, column)
            title = source if column == "best" else column
            style = (
                {"cmap": "magma", "vmin": 0, "vmax": (high - low) / 3}
                if column == "std"
                else {"cmap": "gray", "vmin": low, "vmax": high}
            )
            ax.imshow(shown[source], interpolation="nearest", **style)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title(title.replace(", ", ",\n"), fontsize=7)
        row[0].set_ylabel(_short(name), fontsize=8)
    return figure


def figures(found: Findings) -> dict[str, Any]:
    """All figures by file name."""
    from sciup.evaluate.fluorescence.summary import best

    out = {
        "gains": gains(found),
        "spread_skill": spread_skill(found),
        "reliability": reliability(found),
        "ranks": ranks(found),
        "spectra": spectra(found),
        "frc": correlations(found),
    }
    conditions, sets = _places(found)
    for number, condition in enumerate(conditions, 1):
        shown = {s: found.sheets[condition, s] for s in sets if (condition, s) in found.sheets}
        rivals = {}
        for name in shown:
            rows = [r for r in found.rows if (r["condition"], r["set"]) == (condition, name)]
            rivals[name] = best(rows, "baseline") or "bicubic"
        out[f"sheet_{number}"] = sheet(shown, rivals)
        out[f"sheet_{number}"].suptitle(condition, fontsize=9)
    return out
