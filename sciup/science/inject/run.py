"""Put sources of known light into an image, run it again, and see what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, upscale
from sciup.errors import InputError, OptionError
from sciup.existence.believed import Believed
from sciup.existence.target import KINDS
from sciup.geometry import Box
from sciup.image import Domain
from sciup.io import open_image
from sciup.results.draws import Draws
from sciup.science.detect.run import FEWEST, LIMIT, MOST
from sciup.science.inject.light import Optics, checked
from sciup.science.inject.places import APART, CLEAR, Room, listed, rounds, scattered
from sciup.science.inject.places import MOST as SOURCES
from sciup.science.inject.plan import Injections, Plan, Progress
from sciup.science.measure.tables import read_table

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]

SAMPLES = 16
"""Draws that vote, unless told otherwise: as `sciup upscale`, for which risk is calibrated."""

THRESHOLD = 0.5
"""Least P(exists) of a detection."""

SNR = (3.0, 50.0)
"""Range of S/N of random sources."""

AT_RANDOM = 50
"""Copies of a stamp, where nobody says how many or where."""


def inject(
    image: Any,
    *,
    random: int | None = None,
    catalog: str | Path | Table | None = None,
    stamp: str | Path | Array | None = None,
    snr: tuple[float, float] | None = None,
    limit: float = LIMIT,
    threshold: float = THRESHOLD,
    match: float | None = None,
    samples: int | None = None,
    seed: int = 0,
    progress: Progress = lambda _what, _done, _all: None,
    **options: Any,
) -> Injections:
    """Put sources of known light into an image, and see which of them are found again.

    Every source goes through the PSF that the run believes in and is counted with the noise of its
    photons. Beliefs are those of the image as it is. In several rounds, so that injections do not
    crowd the field, the image with sources is run by the engine and searched as `sciup.detect`
    does. Bicubic and Richardson-Lucy pictures are searched by the same detector. False detections
    are those on a simulated sky without sources.

    Parameters
    ----------
    image : path, array, Image or Result
        One plane; a lazy result brings its options along, `samples` among them.
    random : int, optional
        Number of sources at random places of the footprint.
    catalog : path or Table, optional
        Places (``y``, ``x`` in input px from 0, or ``ra``, ``dec``) and ``flux`` (input units, sum
        over input px) or ``snr``.
    stamp : path or ndarray, optional
        Light of a source on the output grid, before any PSF, instead of a point; its middle goes to
        the place. Without `random` and `catalog`, 50 of them at random.
    snr : (float, float)
        Range of the S/N of random sources, log-uniform; 3 to 50 by default.
    limit : float
        S/N of the faintest point source that a detection shows; see `sciup.detect`.
    threshold : float
        Least P(exists) of a detection.
    match : float, optional
        Largest distance of a detection, input px; half the FWHM of the PSF by default.
    samples : int, optional
        Draws that vote, 16 by default.
    seed : int
        See `sciup.upscale`; it also decides places, photons and the simulated sky.
    progress : callable
        Called with what is done, and how much of it of all.
    **options
        For `sciup.upscale`: model, roi, psf_fwhm, gain, ...

    Returns
    -------
    Injections

    Raises
    ------
    InputError
        If the places have no data or lie outside, or the image has several planes.
    OptionError
        For options that are not allowed or would have no effect, and for more sources than there
        is room for.

    Examples
    --------
    >>> import sciup
    >>> from sciup.testing.toy_images import star_field
    >>> image = star_field((64, 64), stars=0)
    >>> done = sciup.inject(image, random=3, samples=4, model="night-sky-x2", psf_fwhm=2.5)
    >>> len(done.sources), sorted(map(str, set(done.summary["method"])))
    (3, ['Richardson-Lucy', 'bicubic', 'sciup'])
    """
    check_options(
        random=random, catalog=catalog, stamp=stamp, snr=snr, limit=limit, threshold=threshold,
        match=match, samples=samples, seed=seed,
    )  # fmt: skip
    light = None if stamp is None else read_stamp(stamp)
    result = _lazy(image, samples, seed, options)
    b = believed(result, limit)
    optics = Optics.of(result, light)
    apart = APART * b.fwhm + (max(optics.stamp.shape) - 1) / optics.scale
    reach = b.target.reach / optics.scale if match is None else match
    if 2 * reach > apart:
        raise OptionError(f"--match {reach:g}", f"at most {apart / 2:.1f}, half the least distance")
    room = _room(result, b)
    if catalog is not None:
        sources = listed(catalog, Draws.of_result(result), optics, b)
    else:
        count = AT_RANDOM if random is None else random
        sources = scattered(count, snr or SNR, room, apart, optics, b, seed)
    made = rounds(sources.places, apart)
    plan = Plan(result, optics, b, sources, made, apart, reach, limit, threshold, seed)
    return plan.run(progress)


def _lazy(image: Any, samples: int | None, seed: int, options: dict[str, Any]) -> Result:
    """The run without injections."""
    if not isinstance(image, Result):
        return upscale(image, samples=SAMPLES if samples is None else samples, seed=seed, **options)
    ignored = list(options)
    if samples is not None and samples != image.job.settings.samples:
        ignored.append("samples")
    if ignored:
        raise OptionError(
            f"a lazy result has its own {', '.join(ignored)}",
            "random, catalog, stamp, snr, limit, threshold, match, seed",
            "give the others to sciup.upscale",
        )
    return image


def _room(result: Result, b: Believed) -> Room:
    """Where sources may be; raises for a stack."""
    image = result.job.image
    if any(n != 1 for n in image.shape[:-2]):
        raise InputError(
            f"several planes: {image.axes} = {image.shape}",
            "one plane",
            "choose one with --channel, --time, --z",
        )
    return Room(image, next(image.planes), result.job.region, int(np.ceil(CLEAR * b.fwhm)))


def believed(result: Result, limit: float) -> Believed:
    """What a point source of a run is; raises for a limit that is not possible."""
    job = result.job
    domain: Domain = "night-sky" if Draws.of_result(result).night_sky else "fluorescence"
    flux = job.model.scale**2 if job.image.flux_per_pixel else 1
    return Believed.of(
        KINDS[domain][0], limit, result.instrument, scale=job.model.scale,
        target_fwhm=job.model.target_fwhm, flux=flux,
    )  # fmt: skip


def check_options(
    *,
    random: int | None,
    catalog: str | Path | Table | None,
    stamp: Any,
    snr: tuple[float, float] | None,
    limit: float,
    threshold: float,
    match: float | None,
    samples: int | None,
    seed: int,
) -> None:
    """Refuse options of `inject` before the image is read; see there."""
    if random is not None and catalog is not None:
        raise OptionError("--random and --catalog both say where sources go", "one of them")
    if random is None and catalog is None and stamp is None:
        raise OptionError("nothing to inject", "--random N, --catalog FILE, --stamp FILE")
    if snr is not None and catalog is not None:
        raise OptionError(
            "--snr is of random sources", "a column snr or flux of the --catalog", "leave --snr out"
        )
    (low, high), draws = snr or SNR, SAMPLES if samples is None else samples
    rules = (
        (random is None or 1 <= random <= SOURCES, f"--random {random}", f"1 to {SOURCES}"),
        (0 < low <= high < np.inf, f"--snr {low:g}:{high:g}", "LOW:HIGH, 0 < LOW <= HIGH"),
        (0 < limit < np.inf, f"a limit of S/N {limit:g}", "a number above 0"),
        (0 < threshold <= 1, f"--threshold {threshold:g}", "a chance above 0, at most 1"),
        (match is None or 0 < match < np.inf, f"--match {match}", "input px above 0"),
        (FEWEST <= draws <= MOST, f"--samples {samples}", f"{FEWEST} to {MOST}"),
        (seed >= 0, f"--seed {seed}", "0 or above"),
    )
    for good, what, allowed in rules:
        if not good:
            raise OptionError(what, allowed)
    if isinstance(catalog, str | Path):
        read_table(Path(catalog))
    if stamp is not None:
        read_stamp(stamp)


def read_stamp(stamp: str | Path | Array) -> Array:
    """The light of a stamp, of sum 1; masked pixels are dark."""
    if not isinstance(stamp, str | Path):
        return checked(stamp)
    image = open_image(Path(stamp))
    if any(n != 1 for n in image.shape[:-2]):
        raise InputError(f"the stamp has shape {image.shape}", "an image of one plane")
    values, footprint = image.read(next(image.planes), Box.of_shape(image.plane_shape))
    return checked(np.where(footprint, values, 0.0))


__all__ = ["Injections", "check_options", "inject", "read_stamp"]
