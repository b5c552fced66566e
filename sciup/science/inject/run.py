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
from sciup.science.inject.light import Optics
from sciup.science.inject.places import APART, CLEAR, Room, listed, rounds, scattered
from sciup.science.inject.plan import Injections, Plan, Progress

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

EMPTY = 20_000
"""Places without an injection at which detections are false."""


def inject(
    image: Any,
    *,
    random: int | None = None,
    catalog: str | Path | Table | None = None,
    stamp: str | Path | Array | None = None,
    snr: tuple[float, float] = SNR,
    limit: float = LIMIT,
    threshold: float = THRESHOLD,
    match: float | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Progress = lambda _what, _done, _all: None,
    **options: Any,
) -> Injections:
    """Put sources of known light into an image, and see which of them are found again.

    Every source goes through the PSF that the run believes in and is counted with the noise of its
    photons. Beliefs are those of the image as it is. In several rounds, so that injections do not
    crowd the field, the image with sources is run by the engine and searched as `sciup.detect`
    does. Bicubic and Richardson-Lucy pictures are searched by the same detector, at the threshold
    that finds as much where nothing was injected.

    Parameters
    ----------
    image : path, array, Image or Result
        One plane; a lazy result brings its options along.
    random : int, optional
        Number of sources at random places of the footprint.
    catalog : path or Table, optional
        Places (``y``, ``x`` in input px from 0, or ``ra``, ``dec``) and ``flux`` (input units, sum
        over input px) or ``snr``.
    stamp : path or ndarray, optional
        Light of a source on the output grid, before any PSF, instead of a point; its middle goes to
        the place. Without `random` and `catalog`, 50 of them at random.
    snr : (float, float)
        Range of the S/N of random sources, log-uniform.
    limit : float
        S/N of the faintest point source that a detection shows; see `sciup.detect`.
    threshold : float
        Least P(exists) of a detection.
    match : float, optional
        Largest distance of a detection, input px; half the FWHM of the PSF by default.
    samples, seed : int
        See `sciup.upscale`; the seed also decides places and photons.
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
        For options that are not allowed, and for more sources than there is room for.

    Examples
    --------
    >>> import sciup
    >>> from sciup.testing.toy_images import star_field
    >>> image = star_field((64, 64), stars=0)
    >>> done = sciup.inject(image, random=3, samples=4, model="night-sky-x2", psf_fwhm=2.5)
    >>> len(done.sources), sorted(map(str, set(done.summary["method"])))
    (3, ['Richardson-Lucy', 'bicubic', 'sciup'])
    """
    _check(random, catalog, stamp, threshold, match, samples, seed)
    given = isinstance(image, Result)
    result = image if given else upscale(image, samples=samples, seed=seed, **options)
    b = believed(result, limit)
    optics = Optics.of(result, None if stamp is None else _stamp(stamp))
    apart = APART * b.fwhm + (max(optics.stamp.shape) - 1) / optics.scale
    reach = b.target.reach / optics.scale if match is None else match
    if 2 * reach > apart:
        raise OptionError(f"--match {reach:g}", f"at most {apart / 2:.1f}, half the least distance")
    room = _room(result, b)
    rng = np.random.default_rng([seed, 1])
    if catalog is not None:
        sources = listed(catalog, Draws.of_result(result), optics, b)
        empty = room.beside(sources.places, apart, EMPTY, rng)
    else:
        count = AT_RANDOM if random is None else random
        sources = scattered(count, snr, room, apart, optics, b, seed)
        empty = room.uniform(EMPTY, rng)
    if not len(empty):
        raise InputError("there is no empty place beside the sources", fix="choose a larger --roi")
    plan = Plan(
        result, optics, b, sources, empty, rounds(sources.places, apart), apart, reach, limit,
        threshold, seed,
    )  # fmt: skip
    return plan.run(progress)


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


def _check(
    random: int | None, catalog: Any, stamp: Any, threshold: float, match: float | None,
    samples: int, seed: int,
) -> None:  # fmt: skip
    """Refuse options before anything is computed."""
    if random is not None and catalog is not None:
        raise OptionError("--random and --catalog both say where sources go", "one of them")
    if random is None and catalog is None and stamp is None:
        raise OptionError("nothing to inject", "--random N, --catalog FILE, --stamp FILE")
    if not 0 < threshold <= 1:
        raise OptionError(f"--threshold {threshold:g}", "a chance above 0, at most 1")
    if match is not None and not (np.isfinite(match) and match > 0):
        raise OptionError(f"--match {match:g}", "input px above 0")
    if not FEWEST <= samples <= MOST:
        raise OptionError(f"--samples {samples}", f"{FEWEST} to {MOST}")
    if seed < 0:
        raise OptionError(f"--seed {seed}", "0 or above")


def _stamp(stamp: str | Path | Array) -> Array:
    """The pixels of a stamp; masked ones are dark."""
    if not isinstance(stamp, str | Path):
        return np.asarray(stamp, np.float64)
    image = open_image(Path(stamp))
    if any(n != 1 for n in image.shape[:-2]):
        raise InputError(f"the stamp has shape {image.shape}", "an image of one plane")
    values, footprint = image.read(next(image.planes), Box.of_shape(image.plane_shape))
    return np.where(footprint, values, 0.0).astype(np.float64)


__all__ = ["Injections", "inject"]
