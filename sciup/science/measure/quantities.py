"""The quantities: small pure functions of the pixels of one draw in one region.

Each takes an image (h, w) in the unit of the result, a mask (h, w) of the pixels whose centres are
in the region, and a `Context`; it returns a number, or numbers by name; NaN where it cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sciup.science.measure.context import GAP, RING, Array, Context, Mask

Numbers = float | Mapping[str, float]
Kind = Literal["flux", "value", "position", "length", "count", "own"]
NAN = float("nan")

FINE = 4
"""Points per output px and axis at which sizes are measured."""

LARGEST = 256
"""Side in px from which sizes are measured at the pixels themselves."""

RIM = 4
"""Output px around a region that its sizes are interpolated from."""

CLEAR = 3.0
"""A filament rises this many standard deviations of the noise above the background."""

NEIGHBOURHOOD = 48
"""Output px around a region in which things to count are looked for: rules need surroundings."""


@dataclass(frozen=True)
class Quantity:
    """What can be measured.

    Attributes
    ----------
    name : str
    function : callable
        See the module.
    definition : str
        For people and for the table.
    kinds : mapping of str to str
        What its numbers are, by their name; empty if only the function knows.
    pad : callable
        Output px that it needs around a region, from the FWHM of the output's PSF and the side of
        the region.
    whole : bool
        Whether its numbers are whole ones.
    given : str
        Where a user's own function comes from.
    """

    name: str
    function: Callable[..., Any]
    definition: str
    kinds: Mapping[str, Kind]
    pad: Callable[[float, int], int] = lambda fwhm, side: 0  # noqa: ARG005
    whole: bool = False
    given: str = ""


def photometry(image: Array, mask: Mask, context: Context) -> dict[str, float]:  # noqa: ARG001
    """Light in the region above the background, with the covered share of each pixel.

    In the input's unit per pixel times input px: what a sum over input pixels has.
    """
    light = context.light(image)
    return {"flux": float((context.weights * light).sum()) * context.flux / context.scale**2}


def intensity(image: Array, mask: Mask, context: Context) -> Numbers:  # noqa: ARG001
    """Mean brightness of the region above the background, in units of input pixels."""
    light, total = context.light(image), float(context.weights.sum())
    return {"intensity": float((context.weights * light).sum()) / total * context.flux}


def centroid(image: Array, mask: Mask, context: Context) -> Numbers:
    """Centre of light under a Gaussian window of twice the output's PSF; input px, from 0.

    The window starts at what is brightest near the middle of the region and follows the light.
    """
    from sciup.science.measure.centre import follow, start

    light = context.light(image)
    if np.isnan(light).any():
        return {"centroid_y": NAN, "centroid_x": NAN}
    first = start(light, mask, context.centre, context.fwhm)
    y, x = context.to_input(*follow(light, first, context.fwhm))
    return {"centroid_y": y, "centroid_x": x}


def size(image: Array, mask: Mask, context: Context) -> Numbers:
    """Half-light radius, and diameter of the disc as large as the area above half the peak.

    The radius is about the barycentre of the region's light; the diameter is the FWHM of what is
    round. Both hold the output's PSF.
    """
    from scipy.ndimage import label, zoom

    near = _near(mask)
    light, mask = context.light(image)[near], mask[near]
    if np.isnan(light).any() or not light[mask].max(initial=0) > 0:
        return {"half_light_radius": NAN, "diameter": NAN}
    n = FINE if max(light.shape) <= LARGEST else 1
    fine = zoom(light, n, order=3, mode="nearest", grid_mode=True) if n > 1 else light
    inside = mask.repeat(n, 0).repeat(n, 1)
    fine = np.where(inside, fine, 0)
    y, x = np.nonzero(inside)
    weights = np.maximum(fine[inside], 0)
    away = np.hypot(*(c - (c * weights).sum() / weights.sum() for c in (y, x)))
    radius = _half(away, fine[inside])
    bright = label(fine > fine.max() / 2)[0]
    area = float((bright == bright.flat[fine.argmax()]).sum())
    step = context.step / n
    return {"half_light_radius": radius * step, "diameter": 2 * np.sqrt(area / np.pi) * step}


def length(image: Array, mask: Mask, context: Context) -> Numbers:
    """Length of the skeleton of what is brighter than Otsu's threshold in the region.

    A skeleton one pixel wide that runs at an angle a has ``max(|sin a|, |cos a|)`` pixels per
    length: each of its pixels counts as the inverse of that, with a from the structure tensor.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.feature import structure_tensor
    from skimage.filters import threshold_otsu
    from skimage.morphology import skeletonize

    light = context.light(image)
    if np.isnan(light).any():
        return {"length": NAN}
    smooth = gaussian_filter(light, context.fwhm / 4)
    inside = smooth[mask]
    if not np.ptp(inside) > 0:
        return {"length": 0.0}
    least = max(float(threshold_otsu(inside)), CLEAR * context.noise)
    # thinned before it is cut: thinning would shorten what runs through the border
    line = skeletonize(smooth > least) & mask
    # cos 2a and sin 2a of the direction along the ridge, which is across the gradients
    yy, xy, xx = structure_tensor(smooth, sigma=context.fwhm, mode="nearest", order="rc")
    angle = 0.5 * np.arctan2(-2 * xy, yy - xx)[line]
    pixels = 1 / np.maximum(np.abs(np.cos(angle)), np.abs(np.sin(angle)))
    return {"length": float(pixels.sum()) * context.step}


def count(image: Array, mask: Mask, context: Context) -> Numbers:
    """Sources of the sky, or spots and nuclei of a micrograph, whose middle is in the region.

    By the fixed rules of `sciup.keypoints`.
    """
    from sciup.keypoints import KINDS, find

    found = find(np.nan_to_num(context.light(image)), context.domain, context.noise, context.fwhm)
    y, x = np.rint(found.place).astype(int).T if len(found) else np.empty((2, 0), int)
    inside = mask[y.clip(0, mask.shape[0] - 1), x.clip(0, mask.shape[1] - 1)]
    kinds = found.kind[inside]
    if context.domain == "night-sky":
        return {"sources": len(kinds)}
    names = KINDS["fluorescence"]
    return {
        "spots": int((kinds == names.index("spot")).sum()),
        "nuclei": int((kinds == names.index("nucleus")).sum()),
    }


def _half(away: Array, light: Array) -> float:
    """Distance within which half of the light lies; NaN where there is none in all.

    Negative pixels count: left out, noise far away would be light, and all would seem large.
    """
    order = np.argsort(away)
    inside = np.cumsum(light[order])
    if not inside[-1] > 0:
        return NAN
    first = int(np.argmax(inside >= inside[-1] / 2))
    last = max(first - 1, 0)
    return float(np.interp(inside[-1] / 2, inside[[last, first]], away[order][[last, first]]))


def _near(mask: Mask) -> tuple[slice, slice]:
    """The box of a mask and `RIM` px around it, which a spline looks at."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (
        slice(max(0, int(rows[0]) - RIM), int(rows[-1]) + 1 + RIM),
        slice(max(0, int(columns[0]) - RIM), int(columns[-1]) + 1 + RIM),
    )


def _ring(fwhm: float, side: int) -> int:  # noqa: ARG001
    return int(np.ceil((GAP + RING) * fwhm)) + 1


def _first(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


QUANTITIES = {
    q.name: q
    for q in (
        Quantity("photometry", photometry, _first(photometry.__doc__), {"flux": "flux"}, _ring),
        Quantity(
            "centroid",
            centroid,
            _first(centroid.__doc__),
            {"centroid_y": "position", "centroid_x": "position"},
            _ring,
        ),
        Quantity(
            "size",
            size,
            _first(size.__doc__),
            {"half_light_radius": "length", "diameter": "length"},
            _ring,
        ),
        Quantity("length", length, _first(length.__doc__), {"length": "length"}, _ring),
        Quantity(
            "count",
            count,
            _first(count.__doc__),
            {},
            lambda fwhm, side: max(NEIGHBOURHOOD, _ring(fwhm, side)),
            True,
        ),
        Quantity("intensity", intensity, _first(intensity.__doc__), {"intensity": "value"}, _ring),
    )
}
"""The quantities that come with sciup, by name."""

__all__ = ["QUANTITIES", "Kind", "Numbers", "Quantity"]
