"""What is looked for, how it is found in one image, and how much light it has there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates, spline_filter

from sciup.errors import OptionError
from sciup.existence.discs import BEYOND, RING, blob, disc
from sciup.existence.points import SIGMA_TO_FWHM, detections, local_flux, point_flux
from sciup.existence.union import Array
from sciup.image import KEYPOINT_KINDS, Domain
from sciup.keypoints import find
from sciup.keypoints._maxima import vertex

KINDS = KEYPOINT_KINDS
"""What can be looked for, by domain; the first is meant unless another is asked for."""

NUCLEUS = 8.0
"""Radius of the smallest nuclei that are found, px of the draws: half of it is the least reach."""


@dataclass(frozen=True)
class Target:
    """What is looked for in images of one kind and sharpness.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    fwhm : float
        Of the PSF of the images, px.
    reach : float
        Detections that are this close show the same, px: half the FWHM of the *input's* PSF.
    limit : float
        Flux above which something counts, sum of pixel values.
    noise : float
        Of the input, spread over the pixels of the images.
    """

    kind: str
    fwhm: float
    reach: float
    limit: float
    noise: float

    def __post_init__(self) -> None:
        if not (self.fwhm > 0 and self.reach > 0 and self.limit > 0 and self.noise >= 0):
            raise OptionError(f"{self}", "fwhm, reach and limit above 0, noise not below")

    @classmethod
    def of(cls, kind: str, *, fwhm: float, input_fwhm: float, limit: float, noise: float) -> Target:
        """With the reach that belongs to a PSF of the input, `input_fwhm` px of the draws."""
        least = NUCLEUS / 2 if kind == "nucleus" else 0.0
        return cls(kind, fwhm, max(input_fwhm / 2, least), limit, noise)

    @property
    def domain(self) -> Domain:
        """Whose structures these are."""
        for domain, kinds in KINDS.items():
            if self.kind in kinds:
                return domain
        raise OptionError(f"kind {self.kind!r}", ", ".join(sum(KINDS.values(), ())))

    @property
    def pointlike(self) -> bool:
        """Whether it is as small as the PSF."""
        return self.kind in ("point", "spot")

    @property
    def radius(self) -> float:
        """Of the disc over which light is summed, px; of nuclei the smallest.

        1.5 FWHM hold ``1 - 2^-9`` of a Gaussian PSF, as in the evaluation of sky models.
        """
        if self.pointlike:
            return 1.5 * self.fwhm
        return NUCLEUS if self.kind == "nucleus" else max(2 * self.reach, self.fwhm)

    @property
    def seen(self) -> float:
        """Distance within which pixels may decide the light at a place, px."""
        return BEYOND if self.kind == "nucleus" else RING[1] * self.radius

    @property
    def around(self) -> float:
        """Distance within which an edge or a masked pixel changes what is found, px."""
        return max(self.reach, self.radius) + self.fwhm

    def area(self, psf_area: float) -> float:
        """Pixels whose noise adds up in a flux; `psf_area`: those of a point source."""
        return psf_area if self.pointlike else float(np.pi * self.radius**2)


def point_limit(snr: float, sigma: float, area: float, gain: float) -> float:
    """Flux of a point source with this S/N, input units.

    The solution F of ``S = F / sqrt(sigma^2 N + F / g)``, with ``N = 1 / sum(p^2)`` pixels for the
    PSF p (King 1983, PASP 95, 163) and g electrons per unit.

    Examples
    --------
    >>> flux = point_limit(5.0, 2.0, 9.0, 4.0)
    >>> round(flux / float(np.sqrt(4 * 9 + flux / 4)), 9)
    5.0
    """
    photons = snr**2 / gain
    return float(photons / 2 + np.sqrt(photons**2 / 4 + snr**2 * sigma**2 * area))


@dataclass
class Light:
    """One image, level 0, and what there is to be found in it.

    Attributes
    ----------
    values : ndarray (h, w)
        Finite; what was masked is filled in.
    masked : ndarray of bool (h, w)
    target : Target
    """

    values: Array
    masked: NDArray[np.bool_]
    target: Target

    @cached_property
    def points(self) -> Array:
        """Flux of a point source at each pixel."""
        light = point_flux if self.target.domain == "night-sky" else local_flux
        return light(self.values, self.target.fwhm)

    @cached_property
    def tops(self) -> tuple[Array, Array]:
        """Maxima of these fluxes between pixels."""
        # at the outermost pixels a maximum is cut, not seen
        places, _ = detections(self.points, 0.0, rim=1)
        y, x = places.astype(np.intp).T
        return vertex(self.points, (y, x))

    def found(self) -> tuple[Array, Array]:
        """Places (n, 2) and fluxes of everything of the kind that is above the limit."""
        t = self.target
        if t.kind == "point":
            places, fluxes = self.tops
        else:
            seen = find(self.values, t.domain, t.noise, t.fwhm)
            places = seen.of(KINDS[t.domain].index(t.kind)).place
            fluxes = self.heights(places) if t.pointlike else self.fluxes(places)
        last = np.array(self.values.shape) - 1
        at = np.clip(np.rint(places).astype(np.intp), 0, last)
        # what the outermost pixels show is half of something, mirrored
        inside = (np.minimum(places, last - places) > 0.5).all(1)
        good = (fluxes > t.limit) & inside & ~self.masked[tuple(at.T)]
        return places[good], fluxes[good]

    def heights(self, places: Array) -> Array:
        """Flux (n,) that fits a point source at given places or at a maximum within reach."""
        if not len(places):
            return np.empty(0)
        there = map_coordinates(
            spline_filter(self.points), places.T, mode="mirror", prefilter=False
        )
        return brightest(places, *self.tops, self.target.reach, there)[0]

    def fluxes(self, places: Array) -> Array:
        """Light (n,) in the disc at given places, whether or not something was found there.

        Something as small as the PSF moves from draw to draw by more than a disc forgives: where
        there is a maximum within reach, the disc goes there. A sum needs no PSF: a fit of one that
        is a little wider or narrower than in the draw is wrong by as much.
        """
        if not len(places):
            return np.empty(0)
        if self.target.pointlike:
            tops, heights = self.tops
            _, index = brightest(places, tops, heights, self.target.reach, np.zeros(len(places)))
            places = np.where(index[:, None] >= 0, np.append(tops, [[0, 0]], 0)[index], places)
        if self.target.kind == "nucleus":
            return blob(self.values, places)
        # the level of the sky is known, that of a micrograph is what lies around
        level = self.target.domain == "fluorescence"
        return disc(self.values, places, self.target.radius, level=level)


def brightest(
    places: Array, others: Array, heights: Array, reach: float, instead: Array
) -> tuple[Array, NDArray[np.int64]]:
    """Height and index of the highest of the others within reach of each place.

    Where there is none, the height is `instead` and the index -1.
    """
    from scipy.spatial import KDTree

    out, index = instead.astype(float), np.full(len(places), -1)
    if len(others):
        for i, close in enumerate(KDTree(others).query_ball_point(places, reach)):
            if close:
                index[i] = close[int(np.argmax(heights[close]))]
                out[i] = heights[index[i]]
    return out, index


def filled(draws: Array, level: Array | float, domain: Domain) -> tuple[Array, NDArray[np.bool_]]:
    """Draws (k, h, w) above the level with nothing missing, and where they are masked.

    In the sky nothing shines behind a mask; in a micrograph what is nearest goes on, because an
    edge against darkness would be a structure.
    """
    masked = np.asarray(np.isnan(draws).any(0))
    above = draws - level
    if masked.any():
        if domain == "night-sky" or masked.all():
            above[:, masked] = 0.0
        else:
            y, x = distance_transform_edt(masked, return_distances=False, return_indices=True)
            above = above[:, y, x]
    return above, masked


__all__ = ["KINDS", "SIGMA_TO_FWHM", "Light", "Target", "brightest", "filled", "point_limit"]
