"""Figures about the instrument and the calibration."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from sciup.physics.psf import gaussian, moffat
from sciup.report.drawing import PANEL, image, panels
from sciup.results.finished import Array, Finished
from sciup.risk.calibration import EVERYTHING, Promise

OVERSAMPLED = 8
"""Pixels per input pixel in which PSFs are drawn."""


def psfs(done: Finished) -> Any:
    """PSF of the input and declared PSF of the output at one scale, with cuts through both."""
    output = float(done.facts.get("output_psf_fwhm_px", 0.0)) / done.scale
    before, after, step = psf_images(done, output)
    figure, (left, middle, right) = panels(3, height=PANEL * 0.9)
    for ax, values, title in (
        (left, before, f"input, FWHM {float(done.instruments[0].psf_fwhm.value):.3g} input px"),
        (middle, after, f"output, FWHM {output:.3g} input px"),
    ):
        half = values.shape[0] * step / 2
        image(ax, done, values / values.max(), title, cmap="viridis", vmin=0, vmax=1,
              extent=(-half, half, -half, half), interpolation="nearest")  # fmt: skip
        row = values[values.shape[0] // 2] / values.max()
        x = (np.arange(len(row)) - len(row) // 2) * step
        right.plot(x, row, label=title.split(",")[0])
    right.set_xlabel("input px")
    right.set_ylabel("share of the peak")
    right.legend(fontsize=9)
    return figure


def psf_images(done: Finished, output: float) -> tuple[Array, Array, float]:
    """PSF images of input and output on one odd grid, and its step in input pixels."""
    i = done.instruments[0]
    fwhm = float(i.psf_fwhm.value)
    reach = max(3.0, 2.5 * fwhm, 2.5 * output)
    side = 2 * round(reach * OVERSAMPLED) + 1
    after = gaussian(side, max(output * OVERSAMPLED, 0.5))
    if i.psf.value is not None:
        step = float(i.psf_step.value or 1)
        return _on_grid(np.asarray(i.psf.value, np.float64), side, step), after, 1 / OVERSAMPLED
    if i.psf_beta.value is not None:
        before = moffat(side, fwhm * OVERSAMPLED, float(i.psf_beta.value))
    else:
        before = gaussian(side, fwhm * OVERSAMPLED)
    return before, after, 1 / OVERSAMPLED


def _on_grid(psf: Array, side: int, step: float) -> Array:
    """A PSF image of pixels of `step` input px, each as it is, about its brightest; 0 beyond."""
    peak = np.unravel_index(int(np.nanargmax(psf)), psf.shape)
    steps = np.floor((np.arange(side) - side // 2) / (OVERSAMPLED * step) + 0.5).astype(int)
    rows, cols = (steps + int(p) for p in peak)
    inside = np.outer((rows >= 0) & (rows < psf.shape[0]), (cols >= 0) & (cols < psf.shape[1]))
    index = np.ix_(np.clip(rows, 0, psf.shape[0] - 1), np.clip(cols, 0, psf.shape[1] - 1))
    return np.where(inside, np.nan_to_num(psf[index]), 0.0)


def calibration(promise: Promise) -> Any:
    """What a score means per stratum of S/N, and what is certified of every bin."""
    figure, (left, right) = panels(2, height=PANEL * 0.9)
    found = promise.maps["risk"]
    left.plot([0, 1], [0, 1], color="0.8", lw=1)
    for label, x, y in zip(strata(found.strata), found.scores, found.probabilities, strict=True):
        left.plot(x, y, marker=".", lw=1.3, label=label)
    left.set_xlabel("score: votes and spread of the draws")
    left.set_ylabel("share that is wrong (fitted)")
    left.legend(fontsize=8)
    edges = np.array([0.0, *found.edges, 1.0])
    bounds = np.asarray(promise.certificate.bound(EVERYTHING), np.float64)
    right.plot([0, 1], [0, 1], color="0.8", lw=1)
    right.stairs(np.nan_to_num(bounds, nan=1.0), edges, fill=True, color="tab:orange", alpha=0.5,
                 label="certified bound")  # fmt: skip
    right.axvline(promise.alarm.threshold, color="tab:red", lw=1, ls="--", label="alarm")
    right.set_xlabel("risk")
    right.set_ylabel("share of wrong pixels, at most")
    right.legend(fontsize=8)
    for ax in (left, right):
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
    return figure


def strata(edges: tuple[float, ...]) -> list[str]:
    """Names of the strata of local S/N.

    Examples
    --------
    >>> strata((2.0, 5.0))
    ['S/N below 2', 'S/N 2 to 5', 'S/N above 5']
    """
    inner = [f"S/N {a:g} to {b:g}" for a, b in pairwise(edges)]
    return [f"S/N below {edges[0]:g}", *inner, f"S/N above {edges[-1]:g}"]
