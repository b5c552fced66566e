"""Completeness of the methods, and bias of their fluxes, by S/N."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciup.science.inject.methods import METHODS, OURS

if TYPE_CHECKING:
    from sciup.science.inject.plan import Injections

COLOURS = {"sciup": "#0072B2", "bicubic": "#E69F00", "Richardson-Lucy": "#009E73"}
"""Told apart by the colour-blind (Okabe & Ito)."""

MARKS = {"sciup": "o", "bicubic": "s", "Richardson-Lucy": "^"}
WIDEST = 1.5
"""Flux error at which the second panel ends at most."""


def draw(found: Injections) -> Any:
    """A figure of two panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for shift, name in zip((0.96, 1.0, 1.04), METHODS, strict=True):
        _completeness(left, found, name, shift)
        _bias(right, found, name, shift)
    _axes(left, found, "completeness")
    left.set_ylim(-0.03, 1.03)
    left.legend(loc="lower right", fontsize=8, frameon=False)
    _axes(right, found, "flux / expected flux $-$ 1")
    right.axhline(0, color="0.5", lw=0.8, zorder=0)
    low, high = right.get_ylim()
    right.set_ylim(max(low, -WIDEST), min(high, WIDEST))
    right.set_title("flux of what was found: median, 16 to 84 %; dots: sciup", fontsize=9)
    left.set_title(f"{len(found.sources)} injections; 95 % intervals", fontsize=9)
    return figure


def _points(found: Injections, name: str) -> tuple[Any, Any]:
    """Rows of a method, and the mean S/N of the sources of each."""
    snr = np.asarray(found.sources["snr"], float)
    rows = [r for r in found.summary if r["method"] == name]
    middles = [
        np.exp(np.log(snr[(snr >= r["snr_low"]) & (snr < r["snr_high"])]).mean()) for r in rows
    ]
    return rows, np.array(middles)


def _completeness(ax: Any, found: Injections, name: str, shift: float) -> None:
    rows, at = _points(found, name)
    c, low, high = (
        np.array([r[k] for r in rows], float)
        for k in ("completeness", "completeness_lo95", "completeness_hi95")
    )
    ends = np.maximum([c - low, high - c], 0)
    ax.errorbar(
        at * shift, c, ends, marker=MARKS[name], color=COLOURS[name], ms=5, capsize=2, lw=1.3,
        label=f"{name}: {_false(rows[0])}",
    )  # fmt: skip


def _false(row: Any) -> str:
    """Density of false detections."""
    low, high = row["false_lo95"], row["false_hi95"]
    return f"{row['false_per_mpx']:.3g} false per Mpx ({low:.3g}-{high:.3g})"


def _bias(ax: Any, found: Injections, name: str, shift: float) -> None:
    rows, at = _points(found, name)
    b, low, high = (
        np.array([r[k] for r in rows], float) for k in ("flux_bias", "flux_p16", "flux_p84")
    )
    ok = np.isfinite(b)
    ends = np.maximum([(b - low)[ok], (high - b)[ok]], 0)
    ax.errorbar(
        (at * shift)[ok], b[ok], ends, marker=MARKS[name], color=COLOURS[name], ms=5, capsize=2,
        lw=1.3,
    )  # fmt: skip
    if name == OURS:
        table = found.sources
        kept = np.asarray(table["found"], bool) & ~np.asarray(table["known"], bool)
        off = np.asarray(table["flux"], float) / np.asarray(table["flux_expected"], float) - 1
        ax.plot(np.asarray(table["snr"], float)[kept], off[kept], ".", color=COLOURS[name],
                ms=3, alpha=0.4, zorder=0)  # fmt: skip


def _axes(ax: Any, found: Injections, label: str) -> None:
    snr = np.asarray(found.sources["snr"], float)
    low, high = snr.min() * 0.85, snr.max() * 1.18
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [t for t in (0.1, 0.3, 1, 3, 5, 10, 20, 50, 100, 300, 1000) if low <= t <= high]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("S/N of the injected source")
    ax.set_ylabel(label)


def write(found: Injections, stem: Path) -> list[Path]:
    """Write the figure as PNG and PDF."""
    figure, paths = draw(found), []
    for suffix, more in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        path = stem.with_name(stem.name + suffix)
        figure.savefig(path, dpi=150, metadata=more)
        paths.append(path)
    return paths


__all__ = ["draw", "write"]
