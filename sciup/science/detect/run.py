"""Detect on every draw of a result: a catalogue with the chance that each entry exists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciup.api import Result
from sciup.errors import OptionError
from sciup.existence.believed import Believed
from sciup.existence.candidates import Candidates, first_of, search
from sciup.existence.target import KINDS
from sciup.geometry import Box
from sciup.image import Plane
from sciup.io import open_image
from sciup.results.again import Opener
from sciup.results.draws import Draws
from sciup.results.level import Level
from sciup.science.detect.chances import Chances
from sciup.science.detect.rows import Found, flux_unit, table_of
from sciup.science.detect.walk import Strips, bands, cells
from sciup.science.measure.roi import region_of_result

if TYPE_CHECKING:
    from astropy.table import Table

LIMIT = 5.0
"""S/N of the faintest point source that counts, unless another is asked for."""

SAMPLES = 64
"""Draws that vote, unless told otherwise: chances are told apart by 1/65."""

FEWEST, MOST = 4, 256

Progress = Callable[[int, int], None]
"""Called with the number of cells done and of all."""


def _silent(done: int, total: int) -> None:
    """No progress."""


def detect(
    result: str | Path | Result | Draws,
    kind: str | None = None,
    *,
    limit: float = LIMIT,
    samples: int = SAMPLES,
    roi: str | None = None,
    plane: str | None = None,
    source: str | None = None,
    model: str | None = None,
    opener: Opener = open_image,
    progress: Progress = _silent,
    wide: int | None = None,
) -> Table:
    """Find sources or structures in every draw, and say how likely each of them exists.

    Draw by draw everything is found whose light is above the limit. What lies within half the FWHM
    of the input's PSF is one candidate, and its raw chance is ``(1/2 + n) / (K + 1)`` if n of K
    other draws show it. To exist means: a truth as sharp as the result has it there, and brighter
    than the limit. Where the model is calibrated for kind, limit and number of draws,
    `p_exists` is how often that was true of such candidates on fields whose instrument the program
    found out; ``meta["p_exists"]`` says whether it was so here.

    Parameters
    ----------
    result : path, Result or Draws
        What `sciup upscale` wrote, or what `sciup.upscale` returned.
    kind : str, optional
        Night sky: ``point`` or ``extended``; micrographs: ``spot``, ``nucleus`` or ``filament``
        (its ends and forks). The first by default.
    limit : float
        S/N, in the noise of the input, of the faintest point source that counts.
    samples : int
        K, the draws that vote; one more is made. Those that the result lacks are drawn.
    roi : str, optional
        ``Y0:Y1,X0:X1`` in input px, ``RA DEC SIZE``, or a region file of DS9; all by default.
    plane : str, optional
        Indices of one plane, such as ``0`` or ``0,2``; ``all`` by default.
    source, model, opener
        See `sciup.results.draws.Draws.open`.
    progress : callable
        Called with the number of cells done and of all.
    wide : int, optional
        Cells that are drawn side by side; decides memory, never the catalogue.

    Returns
    -------
    astropy.table.Table
        One row per candidate, most certain first; units, descriptions and ``meta``.

    Raises
    ------
    InputError
        If it is no result, or its draws can neither be read nor made again.
    OptionError
        For a kind, limit, region, plane or number of draws that is not allowed.

    Examples
    --------
    >>> import sciup
    >>> from sciup.testing.toy_images import star_field
    >>> image = star_field((40, 48), stars=3)
    >>> result = sciup.upscale(image, model="night-sky-x2", psf_fwhm=2.5)
    >>> catalogue = sciup.detect(result, samples=4)
    >>> set(catalogue.colnames) >= {"x", "y", "p_exists", "flux", "flux_lo68", "flux_hi68"}
    True
    """
    if not FEWEST <= samples <= MOST:
        raise OptionError(f"--samples {samples}", f"{FEWEST} to {MOST}")
    draws = _draws(result, source, model, opener)
    kind, part = _kind(kind, draws), _part(roi, draws)
    planes = _planes(plane, draws)
    # a damaged calibration is told before any work
    chances = Chances.of(draws, planes, kind, limit, samples)
    wanted = [(p, _believed(draws, p, kind, limit)) for p in planes]
    total = sum(len(row) for _, b in wanted for row in cells(draws, b.target, part))
    ticks = iter(range(1, total + 1))

    def tick() -> None:
        progress(next(ticks), total)

    levels = [Level(draws, p) for p, _ in wanted]
    found = [
        Found(p, _plane(draws, level, b, part, samples + 1, wide, tick), b)
        for (p, b), level in zip(wanted, levels, strict=True)
    ]
    meta = _meta(draws, found[0].believed, limit, samples) | {
        "level": levels[0].words,
        "p_exists": chances.words,
    }
    if len(draws.planes) > 1:
        meta["instrument_of"] = f"plane {','.join(map(str, found[0].plane))}"
    return table_of(found, draws, kind, chances, meta)


def _believed(draws: Draws, plane: Plane, kind: str, limit: float) -> Believed:
    return Believed.of(
        kind,
        limit,
        draws.instruments[draws.planes.index(plane)],
        scale=draws.scale,
        target_fwhm=draws.target_fwhm,
        flux=draws.flux,
    )


def _plane(
    draws: Draws,
    level: Level,
    believed: Believed,
    part: Box,
    count: int,
    wide: int | None,
    tick: Callable[[], None],
) -> Candidates:
    """The candidates of one plane."""
    target, strips, parts = believed.target, Strips(draws, level.plane, count), []
    for band in bands(cells(draws, target, part), count, wide):
        box = Box(band[0].window.start, band[-1].window.stop)
        drawn = strips.read(box)
        for cell in band:
            window = drawn[:, *cell.window.relative_to(box).slices]
            found = search(window, level.window(cell.window), target)
            found = found.shifted(cell.window.start)
            parts.append(found.take(_inside(found, cell.core.intersect(part))))
            tick()
    return _once(Candidates.join([*parts, Candidates.none(count)]), target.reach)


def _inside(found: Candidates, box: Box) -> Any:
    """Which anchors lie in a box; those between two pixels belong to the upper or left one."""
    low, high = np.array(box.start) - 0.5, np.array(box.stop) - 0.5
    return ((found.anchor >= low) & (found.anchor < high)).all(1)


def _once(found: Candidates, reach: float) -> Candidates:
    """Without what two neighbouring cells both have: more votes, then more light stay."""
    order = np.lexsort((*found.place.T, -found.fluxes.mean(1), -found.votes))
    return found.take(first_of(found.place, order, reach))


def _draws(
    result: str | Path | Result | Draws, source: str | None, model: str | None, opener: Opener
) -> Draws:
    if isinstance(result, Draws):
        return result
    if isinstance(result, Result):
        return Draws.of_result(result)
    return Draws.open(result, source=source, model=model, opener=opener)


def _kind(kind: str | None, draws: Draws) -> str:
    allowed = KINDS["night-sky" if draws.night_sky else "fluorescence"]
    if kind is not None and kind not in allowed:
        raise OptionError(f"--kind {kind!r} for a result of {draws.domain}", ", ".join(allowed))
    return kind or allowed[0]


def _part(roi: str | None, draws: Draws) -> Box:
    """Output pixels of the result that are searched."""
    if roi is None:
        return Box.of_shape(draws.plane_shape)
    return region_of_result(roi, draws).relative_to(draws.region).scaled(draws.scale)


def _planes(plane: str | None, draws: Draws) -> list[Plane]:
    if plane in (None, "all"):
        return draws.planes
    try:
        wanted = tuple(int(i) for i in str(plane).split(",") if i.strip())
    except ValueError:
        wanted = (-1,)
    if wanted not in draws.planes:
        known = [",".join(map(str, p)) for p in draws.planes if p]
        text = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise OptionError(
            f"the result has no plane {plane!r}", text or "none: it has a single plane"
        )
    return [wanted]


def _meta(draws: Draws, b: Believed, limit: float, samples: int) -> dict[str, Any]:
    """How the catalogue was made; keys that FITS can hold."""
    meta = dict(draws.about) | {
        "result": draws.name,
        "draws": samples + 1,
        "votes": samples,
        "limit": float(limit),
        "limitflx": b.limit,
        "reach": b.target.reach / draws.scale,
        "radius": b.target.radius / draws.scale,
        "psf": b.fwhm,
        "psf_out": draws.target_fwhm,
        "noise": b.sigma,
        "fluxunit": str(flux_unit(draws) or draws.unit or ""),
    }
    if draws.sky is not None:
        meta["pixel"] = pixel_scale(draws)
    return meta


def pixel_scale(draws: Draws) -> float:
    """Side of an input pixel in arcsec, in the middle of the result."""
    from astropy.coordinates import SkyCoord

    if draws.sky is None:
        return float("nan")
    y, x = ((n - 1) / 2 for n in draws.plane_shape)
    places = [draws.sky.degrees(*at) for at in ((y, x), (y + 1, x), (y, x + 1))]
    first, up, right = (SkyCoord(*at, unit="deg", frame="icrs") for at in places)
    step = np.sqrt(first.separation(up).arcsec * first.separation(right).arcsec)
    return float(step) * draws.scale


__all__ = ["LIMIT", "SAMPLES", "detect"]
