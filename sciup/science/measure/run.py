"""Measure a quantity on every draw of a result, region by region."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciup.api import Result
from sciup.errors import OptionError
from sciup.image import Plane
from sciup.io import open_image
from sciup.results.draws import Draws
from sciup.science.measure.groups import largest
from sciup.science.measure.measurements import Measurements
from sciup.science.measure.own import find_quantity
from sciup.science.measure.places import find_regions
from sciup.science.measure.work import Progress, Run, Told

if TYPE_CHECKING:
    from astropy.table import Table

USUAL = 64
"""Draws unless asked otherwise: 39 are the least for an interval of 95 % that assumes nothing; with
64 its ends do not hang on the two outermost draws alone."""

MOST = 1024
BACKGROUNDS = ("known", "ring")


def measure(
    result: str | Path | Result | Draws,
    with_: str | Callable[..., Any],
    *,
    regions: Any = None,
    catalog: Any = None,
    labels: Any = None,
    radius: str | float | None = None,
    samples: int | None = None,
    plane: str | Plane | None = None,
    background: str | None = None,
    source: str | None = None,
    model: str | None = None,
    opener: Any = open_image,
    progress: Progress | None = None,
) -> Table:
    """Measure a quantity on every draw of a result: values with intervals.

    Parameters
    ----------
    result : path, Result or Draws
        A finished result, or a lazy one of `sciup.upscale`.
    with_ : str or callable
        ``photometry``, ``centroid``, ``size``, ``length``, ``count``, ``intensity``,
        ``FILE.py:FUNCTION``, or a function ``f(image, mask)`` or ``f(image, mask, context)`` that
        returns a number or a dict of numbers.
    regions : path, str or sequence of Region, optional
        Regions of DS9 (a file or their text), or shapes or points that napari saved as CSV; or
        `sciup.science.measure.shapes.Region`, in output px.
    catalog : path or Table, optional
        With columns ``ra`` and ``dec``, or ``y`` and ``x`` in input px; also ``id``, ``radius``.
    labels : path or ndarray, optional
        Label image on the grid of the input or of the result.
    radius : float or str, optional
        Of the circles of a catalogue and of points: input px, or ``"0.5arcsec"``.
    samples : int, optional
        Draws to measure; 64 by default.
    plane : str or tuple of int, optional
        Indices on the axes before y and x, or ``all``; needed where there are several planes.
    background : {"known", "ring"}, optional
        Above which light is counted: the sky as the run believed it, block by block, or the
        pedestal; or the median around the region. Default: known for the sky, ring for micrographs.
    source, model : str, optional
        Where input and model are now, for a finished result.
    opener : callable
        Opens the input as the run did.
    progress : callable, optional
        Called with the number of regions done and in all.

    Returns
    -------
    astropy.table.Table
        One row for each region; ``meta`` says how it was made and what the intervals mean.

    Examples
    --------
    >>> import numpy as np, sciup
    >>> image = np.random.default_rng(0).poisson(20.0, (32, 48)).astype("float32")
    >>> image[10:20, 10:30] += 100
    >>> result = sciup.upscale(image, samples=3, psf_fwhm=2.0)
    >>> table = sciup.measure(result, "intensity", regions="box(20.5,15.5,20,10,0)", samples=4)
    >>> bool(60 < table["intensity"][0] < 140)
    True
    """
    from sciup.science.measure.table import make_table

    quantity = find_quantity(with_)
    draws = _draws(result, source, model, opener)
    known = _known(background, draws)
    count = USUAL if samples is None else samples
    if not 2 <= count <= MOST:
        raise OptionError(f"--samples {count}", f"2 to {MOST}; 39 or more for 95 %")
    planes = _planes(plane, draws)
    found = [
        (p, find_regions(draws, p, largest(count), regions=regions, catalog=catalog,
                         labels=labels, radius=radius))
        for p in planes
    ]  # fmt: skip
    told = Told(sum(len(r) for _, r in found), progress)
    run = Run(draws, quantity, count, known, samples is None)
    trusted = _measurements(run, planes)  # damaged ones are told before any work
    rows = [row for p, r in found for row in run.rows(p, r, told)]
    if isinstance(trusted, Measurements) and run.count < trusted.draws:
        trusted = (
            f"{run.count} draws spread less surely than the {trusted.draws} of the calibration"
        )
    return make_table(rows, draws, quantity, run.count, run.levels.get(planes[0]), trusted)


def _measurements(run: Run, planes: list[Plane]) -> Measurements | str:
    """What calibrates the intervals, or why nothing does."""
    if run.quantity.given:
        return "functions of your own were not measured on fields of known truth"
    if run.known != run.draws.night_sky:
        return "they were measured with the default background only"
    model = run.draws.model_of(planes)
    if isinstance(model, str):
        return model
    if any(i.psf_error.value for i in run.draws.instruments):
        return "they were measured with one width of the PSF; these draws have three"
    return Measurements.of_model(model.folder, model.key)


def _draws(result: Any, source: str | None, model: str | None, opener: Any) -> Draws:
    if isinstance(result, Draws):
        return result
    if isinstance(result, Result):
        return Draws.of_result(result)
    return Draws.open(result, source=source, model=model, opener=opener)


def _known(background: str | None, draws: Draws) -> bool:
    """Whether light is counted above a known level."""
    if background is None:
        return draws.night_sky
    if background not in BACKGROUNDS:
        raise OptionError(f"--level {background}", " or ".join(BACKGROUNDS))
    return background == "known"


def _planes(wanted: str | Plane | None, draws: Draws) -> list[Plane]:
    allowed = f"all, or one of {', '.join(','.join(map(str, p)) for p in draws.planes[:20])}"
    if wanted is None:
        if len(draws.planes) > 1:
            raise OptionError(
                f"{draws.name} has {len(draws.planes)} planes", allowed, "choose with --plane"
            )
        return draws.planes
    if wanted == "all":
        return draws.planes
    try:
        index = tuple(int(n) for n in (wanted.split(",") if isinstance(wanted, str) else wanted))
    except ValueError:
        index = (-1,)
    if index not in draws.planes:
        raise OptionError(f"--plane {wanted}", allowed)
    return [index]


__all__ = ["measure"]
