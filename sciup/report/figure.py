"""The figure that a paper needs: one stretch, unselected draws, risk, residual, PSFs, caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import OptionError, OutputError
from sciup.io import open_image
from sciup.report.curves import psf_images
from sciup.report.cutout import SAMPLES, Cutout, choose, cut
from sciup.report.drawing import RISK, image, scale_bar, stretch
from sciup.report.words import judge
from sciup.report.write import default_page
from sciup.results.again import Opener, find_facts, find_input, result_of
from sciup.results.finished import Finished
from sciup.results.sky import Sky

NARROWEST, WIDEST = 80.0, 400.0
"""Allowed widths in mm."""

MM = 1 / 25.4
COLUMNS = 4
DPI = 300
STYLE: Any = {"font.size": 7.0, "pdf.fonttype": 42, "svg.fonttype": "none", "axes.linewidth": 0.5}
"""Text stays text, so that a journal can edit it."""

SUFFIXES = (".pdf", ".png", ".svg")
RISKS = {"risk": "risk", "risk_raw": "raw vote, not calibrated"}


@dataclass(frozen=True)
class _Panel:
    """Where a panel is drawn, and what of."""

    figure: Any
    ax: Any
    bar: Any
    done: Finished
    cutout: Cutout


def write_figures(
    result: str | Path,
    out: Sequence[str | Path] | None = None,
    *,
    roi: str | None = None,
    width: float = 180.0,
    model: str | None = None,
    source: str | None = None,
    opener: Opener = open_image,
    overwrite: bool = False,
) -> list[Path]:
    """Write a figure about a region of a finished result, and a caption beside it.

    Parameters
    ----------
    result : path
        FITS file or OME-Zarr folder that `sciup upscale` has written.
    out : sequence of path, optional
        Each ends in ``.pdf``, ``.svg`` (vectors, text as text) or ``.png`` (300 dpi). A PDF and a
        PNG beside the result unless given.
    roi : str, optional
        ``Y0:Y1,X0:X1`` in input px, ``RA DEC SIZE``, or a region file of DS9; the middle unless
        given.
    width : float
        Of the figure, in mm.
    model, source : str, optional
        Model folder and place of the input, where what is recorded is not enough.
    opener : callable
        Opens the input as the run did.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    list of Path
        The figures, and the caption as a text file beside the first.

    Raises
    ------
    InputError
        If it is not a finished result.
    OptionError
        If the region is not inside the result, or name or width are not possible.
    OutputError
        If the files cannot be written, or are there already.
    """
    stem = default_page(Path(result).expanduser()).with_suffix("").name.removesuffix("_report")
    usual = [Path(result).expanduser().with_name(f"{stem}_figure{s}") for s in (".pdf", ".png")]
    paths = _paths([Path(p).expanduser() for p in out or usual], overwrite)
    if not NARROWEST <= width <= WIDEST:
        raise OptionError(f"--width {width:g}", f"{NARROWEST:g} to {WIDEST:g} mm")
    done = Finished.open(result)
    region = choose(done, roi)
    again = result_of(done, find_facts(done, model), find_input(done, opener, source))
    cutout = cut(done, region, again)
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure = draw(done, cutout, Sky.of(done), width)
        for path in paths[:-1]:
            _save(figure, path)
    paths[-1].write_text(caption(done, cutout) + "\n", encoding="utf-8")
    return paths


def _save(figure: Any, path: Path) -> None:
    """Write a figure, complete before it gets its name; the same figure is the same file."""
    form = path.suffix[1:].lower()
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    growing = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(growing, format=form, dpi=DPI, metadata=undated[form])
        growing.replace(path)
    except OSError as error:
        growing.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written: {error.strerror}", fix="choose another --out"
        ) from None


def _paths(out: Sequence[Path], overwrite: bool) -> list[Path]:
    """Figures and caption; refused before any work."""
    for path in out:
        if path.suffix.lower() not in SUFFIXES:
            raise OptionError(f"--out {path}", f"a name that ends in {', '.join(SUFFIXES)}")
        if not path.absolute().parent.is_dir():
            raise OutputError(
                f"there is no folder {path.parent}", fix=f"make it: mkdir -p {path.parent}"
            )
    paths = [*out, out[0].with_suffix(".txt")]
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already", fix="choose another --out or --overwrite")
    return paths


def draw(done: Finished, cutout: Cutout, sky: Sky | None, width: float) -> Any:
    """The figure: input and three draws above, mean, risk, residual and PSFs below."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height, across = cutout.region.shape
    panel = width * MM / COLUMNS
    tall = float(np.clip(height / across, 0.4, 2.0)) * panel
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(width * MM, 2 * tall + 0.9), layout=tight)
    grid = figure.add_gridspec(3, COLUMNS, height_ratios=(tall, tall, 0.07))
    axes = [figure.add_subplot(grid[k // COLUMNS, k % COLUMNS]) for k in range(2 * COLUMNS)]
    bars = [figure.add_subplot(grid[2, k]) for k in range(COLUMNS)]
    for bar in bars:
        bar.set_axis_off()
    names = ["input", *(f"sample_{k}" for k in SAMPLES), "mean"]
    _values(axes[: len(names)], done, cutout, names)
    for k, make in enumerate((_risk, _residual, _psfs), len(names)):
        make(_Panel(figure, axes[k], bars[k - COLUMNS], done, cutout))
    for k, ax in enumerate(axes):
        title = ax.get_title()
        ax.set_title("")
        ax.set_title(f"({'abcdefgh'[k]}) {title}", fontsize=7.5, loc="left", pad=2)
    if sky is not None:
        _compass(axes[1], done, cutout, sky)
    return figure


def _values(axes: Sequence[Any], done: Finished, cutout: Cutout, names: Sequence[str]) -> None:
    """Maps in the unit of the image at one stretch; what is missing is said."""
    known = [n for n in names if n in cutout.maps]
    reference = next((n for n in ("mean", "sample_0") if n in known), known[0])
    factors = {n: 1 if n == "input" else done.flux for n in known}
    forward, low, high = stretch(done, cutout.maps[reference] * factors[reference])
    for ax, name in zip(axes, names, strict=True):
        title = name.replace("_", " ")
        if name not in known:
            _missing(ax, title)
            continue
        shown = forward(cutout.maps[name] * factors[name])
        image(ax, done, shown, title, vmin=low, vmax=high, interpolation="nearest")
        if name in ("input", "sample_0"):
            grid = 1 if name == "input" else done.scale
            scale_bar(ax, done, cutout.region.shape[1], float(grid), 6.5)


def _missing(ax: Any, title: str) -> None:
    ax.set_title(title)
    ax.set_axis_off()
    ax.text(0.5, 0.5, "not stored", transform=ax.transAxes, ha="center", va="center", color="0.5")


def _risk(p: _Panel) -> None:
    name = next((n for n in RISKS if n in p.cutout.maps), None)
    if name is None:
        return _missing(p.ax, "risk")
    shown = image(p.ax, p.done, p.cutout.maps[name], RISKS[name], cmap=RISK, vmin=0, vmax=1)
    return _bar(p, shown, f"share beyond {p.done.tolerance.words}")


def _residual(p: _Panel) -> None:
    if "residual" not in p.cutout.maps:
        return _missing(p.ax, "residual")
    options = {"cmap": "RdBu_r", "vmin": -4, "vmax": 4, "interpolation": "nearest"}
    shown = image(p.ax, p.done, p.cutout.maps["residual"], "residual of the mean", **options)
    return _bar(p, shown, "(input $-$ predicted) / sigma")


def _bar(p: _Panel, shown: Any, label: str) -> None:
    """A colour bar below, as wide as its picture."""
    p.bar.set_axis_on()
    bar = p.figure.colorbar(shown, cax=p.bar, orientation="horizontal")
    bar.set_label(label, fontsize=6.5, labelpad=1)
    bar.ax.tick_params(labelsize=6, length=2, pad=1)


def _psfs(p: _Panel) -> None:
    """PSF of the input left, of the output right, on one grid."""
    output = float(p.done.facts.get("output_psf_fwhm_px", 0.0)) / p.done.scale
    before, after, step = psf_images(p.done, output)
    both = np.hstack([before / before.max(), after / after.max()])
    p.ax.imshow(both, cmap="viridis", vmin=0, vmax=1, origin="lower")
    p.ax.axvline(before.shape[1] - 0.5, color="white", lw=0.8)
    p.ax.set_title("PSFs, input and output")
    p.ax.set_xticks([])
    p.ax.set_yticks([])
    fwhm = float(p.done.instruments[0].psf_fwhm.value)
    for x, width in ((0.25, fwhm), (0.75, output)):
        p.ax.text(x, 0.04, f"{width:.3g} px", transform=p.ax.transAxes, color="white", ha="center")
    p.ax.set_xlabel(f"FWHM; fields {before.shape[1] * step:.2g} input px wide", fontsize=6.5)


def _compass(ax: Any, done: Finished, cutout: Cutout, sky: Sky) -> None:
    """Arrows to north and east in the upper right corner."""
    fine = cutout.region.shifted(tuple(-a for a in done.region.start)).scaled(done.scale)
    middle = [(a + b) / 2 - 0.5 for a, b in zip(fine.start, fine.stop, strict=True)]
    turned = 1 if done.night_sky else -1  # y runs upward in pictures of the sky
    style = {"arrowstyle": "<|-", "color": "white", "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    for name, (dy, dx) in zip("NE", sky.compass(middle[0], middle[1]), strict=True):
        tip = (11 * dx, 11 * dy * turned)
        place = {"xycoords": "axes fraction", "textcoords": "offset points"}
        ax.annotate("", (0.84, 0.82), tip, arrowprops=style, **place)
        label = (15 * dx, 15 * dy * turned)
        ax.annotate(
            name,
            (0.84, 0.82),
            label,
            color="white",
            ha="center",
            va="center",
            fontsize=6.5,
            **place,
        )


def caption(done: Finished, cutout: Cutout) -> str:
    """What the panels show, as a paragraph to paste."""
    facts = done.facts
    (y0, x0), (y1, x1) = cutout.region.start, cutout.region.stop
    grey = "asinh of the noise" if done.night_sky else "linear"
    risk = next((n for n in RISKS if n in cutout.maps), None)
    text = [
        f"Region {y0}:{y1}, {x0}:{x1} (y, x in input pixels) of {Path(str(facts['source'])).name},"
        f" {done.scale} times finer by sciup {facts.get('sciup')}, model {facts['model']} (weights"
        f" {str(facts['weights'])[:12]}), seed {facts['seed']}.",
        f"(a) Input. (b) to (d) The first three of {int(facts['samples']) + 1} samples, not"
        f" selected: each agrees with the input. (e) Their mean. (a) to (e) share one stretch"
        f" ({grey}).",
    ]
    if risk is not None:
        meaning = (
            "Calibrated risk: how often sample 0 differs"
            if risk == "risk"
            else "Not calibrated: share of the other samples that differ from sample 0"
        )
        text.append(f"(f) {meaning} by more than {done.tolerance.words}. {judge(done).headline}")
    varies = done.instruments[0].psf_cells.value is not None
    where = " (in the middle of the image: it varies over the field)" if varies else ""
    text.append(
        "(g) Input minus what the instrument would see of the mean, in standard deviations of the"
        " noise. (h) PSF of the input, as"
        f" {done.instruments[0].psf_fwhm.origin}{where}, and declared PSF of the output."
    )
    missing = [n for n in ("input", "residual", *(f"sample_{k}" for k in SAMPLES), "mean")
               if n not in cutout.maps]  # fmt: skip
    if missing:
        why = f" ({cutout.problem})" if cutout.problem else ""
        text.append(f"Not shown: {', '.join(missing)}{why}.")
    if len(done.planes) > 1:
        text.append(f"The first of {len(done.planes)} planes is shown.")
    return " ".join(text)
