"""One pass over all maps, block by block: shares, small pictures, and where the risk is high."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace

import numpy as np

from sciup.geometry import Box, shards
from sciup.image import Plane
from sciup.results.finished import Array, Finished

SIDE = 2048
"""Output pixels per side that are read at a time: a shard of an OME-Zarr result."""

LONGEST = 512
"""Small pictures have at most this many pixels along a side."""

COARSE = 4
"""Output pixels per side that make one pixel in the search for places of high risk."""

MOST = 20
"""Places that are listed."""

LIKELY = 0.5
"""Least risk or raw vote of a place: an alarm that misses little can flag most of an image."""

SIGNAL = 3.0
"""Noise sigmas above the background from which a place carries signal."""

SHOWN = ("mean", "risk", "risk_raw", "risk_bound", "risk_mean", "ood")


@dataclass(frozen=True)
class Place:
    """A connected region of high risk that carries signal.

    Attributes
    ----------
    total : float
        Sum of the risk over its output pixels.
    plane : tuple of int
    box : Box
        Output pixels.
    centre : (float, float)
        Output pixels (y, x), weighted by the risk.
    area : int
        Output pixels.
    mean, peak : float
        Of the risk; the peak of means over `COARSE` x `COARSE` pixels.
    """

    total: float
    plane: Plane
    box: Box
    centre: tuple[float, float]
    area: int
    mean: float
    peak: float


@dataclass
class Survey:
    """What the maps say all in all.

    Attributes
    ----------
    threshold : float
        Risk from which a pixel is flagged.
    edges : tuple of float
        Inner edges of the bins of the risk.
    pixels, flagged, unbounded, foreign : int
        Pixels with a risk; those that are flagged; without a certified bound; out of domain.
    binned : ndarray
        Pixels per bin.
    total : float
        Sum of the risk.
    factor : int
        Output pixels per side of one pixel of the pictures.
    pictures : dict of str to ndarray
        Block means of the first plane, by map.
    places : list of Place
        The largest first.
    """

    threshold: float
    edges: tuple[float, ...]
    binned: Array
    factor: int
    pixels: int = 0
    flagged: int = 0
    unbounded: int = 0
    foreign: int = 0
    total: float = 0.0
    pictures: dict[str, Array] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)

    @property
    def least(self) -> float:
        """Risk from which a place is listed."""
        return max(self.threshold, LIKELY)

    def share(self, count: float) -> float:
        """Of all pixels with a risk."""
        return count / max(self.pixels, 1)

    def count(self, values: dict[str, Array], name: str) -> None:
        """Add one block to the shares."""
        risk = values[name]
        known = np.isfinite(risk)
        self.pixels += int(known.sum())
        self.total += float(risk[known].sum())
        self.flagged += int((risk[known] >= self.threshold).sum())
        index = np.searchsorted(self.edges, risk[known], side="right")
        self.binned += np.bincount(index, minlength=len(self.binned))
        if "risk_bound" in values:
            self.unbounded += int((known & np.isnan(values["risk_bound"])).sum())
        if "ood" in values:
            self.foreign += int((known & (values["ood"] > 0)).sum())

    def keep(self, places: list[Place]) -> None:
        """The largest of the places so far."""
        self.places = heapq.nlargest(MOST, self.places + places, key=lambda p: p.total)


def survey(done: Finished) -> Survey:
    """Look at every pixel of the result once, with the memory of a few blocks."""
    promised = done.facts["risk"]
    calibrated = done.risk_map == "risk"
    edges = tuple(promised.get("bins") or ()) if calibrated else (0.25, 0.5, 0.75)
    found = Survey(
        threshold=float(promised["alarm"]["threshold"]) if calibrated else LIKELY,
        edges=edges,
        binned=np.zeros(len(edges) + 1),
        factor=reduction(done.plane_shape),
    )
    names = [name for name in SHOWN if name in done.maps]
    for number, plane in enumerate(done.planes):
        for _, box in shards(done.plane_shape, max(SIDE, found.factor)):
            values = {name: done.read(name, plane, box) for name in names}
            if number == 0:
                _paint(found, values, box, done.plane_shape)
            if done.risk_map is not None:
                found.count(values, done.risk_map)
                if "mean" in values:
                    limit = signal_limit(done, number)
                    places = find_places(values[done.risk_map], values["mean"], found.least, limit)
                    found.keep([_moved(p, plane, box) for p in places])
    return found


def reduction(shape: tuple[int, int]) -> int:
    """The power of two by which a plane is made smaller for a picture.

    Examples
    --------
    >>> reduction((500, 300)), reduction((513, 300)), reduction((4096, 100000))
    (1, 2, 256)
    """
    return 1 << max(0, (-(-max(shape) // LONGEST) - 1)).bit_length()


def block_means(values: Array, factor: int) -> Array:
    """Means of blocks of `factor` x `factor` pixels that are not NaN; the last may be smaller.

    Examples
    --------
    >>> block_means(np.array([[1.0, 3.0, np.nan], [2.0, 2.0, 7.0]]), 2)
    array([[2., 7.]])
    """
    if factor == 1:
        return values
    h, w = (-(-n // factor) for n in values.shape)
    padded = np.full((h * factor, w * factor), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(h, factor, w, factor)
    known = np.isfinite(blocks)
    count = known.sum((1, 3))
    total = np.where(known, blocks, 0.0).sum((1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def signal_limit(done: Finished, number: int) -> float:
    """Value of an output pixel from which it is more than background, `SIGNAL` noise sigmas."""
    i = done.instruments[number]
    level = i.background.value if i.dark.value is None else i.dark.value
    return (float(level) + SIGNAL * float(i.noise_sigma.value)) / done.flux


def find_places(risk: Array, mean: Array, threshold: float, limit: float) -> list[Place]:
    """Connected regions of one block where risk and signal are high, on a coarser grid.

    Parameters
    ----------
    risk, mean : ndarray (h, w)
        NaN where masked.
    threshold, limit : float
        Least risk; value above which there is signal.
    """
    from scipy import ndimage

    r, level = block_means(risk, COARSE), block_means(mean, COARSE)
    high = (r >= threshold) & (level > limit)
    # what lies almost side by side is one place
    around = ndimage.binary_dilation(high, np.ones((3, 3)))
    labels, count = ndimage.label(around, np.ones((3, 3)))
    labels = np.where(high, labels, 0)
    if not count:
        return []
    index = np.arange(1, count + 1)
    known = block_means(np.isfinite(risk).astype(float), COARSE) * COARSE**2
    area = ndimage.sum_labels(known, labels, index)
    filled = np.where(high, r, 0.0)
    total = ndimage.sum_labels(filled * known, labels, index)
    peak = ndimage.maximum(filled, labels, index)
    centre = ndimage.center_of_mass(filled, labels, index)
    slices = ndimage.find_objects(labels)
    whole = Box.of_shape(risk.shape)
    found = []
    for i in np.argsort(total)[::-1][:MOST]:
        box = Box(tuple(s.start for s in slices[i]), tuple(s.stop for s in slices[i]))
        y, x = (float((c + 0.5) * COARSE - 0.5) for c in centre[i])
        found.append(
            Place(
                float(total[i]), (), box.scaled(COARSE).intersect(whole), (y, x), round(area[i]),
                float(total[i] / area[i]), float(peak[i]),
            )
        )  # fmt: skip
    return found


def _moved(place: Place, plane: Plane, block: Box) -> Place:
    """The place in the coordinates of the result."""
    y, x = (c + a for c, a in zip(place.centre, block.start, strict=True))
    return replace(place, plane=plane, box=place.box.shifted(block.start), centre=(y, x))


def _paint(found: Survey, values: dict[str, Array], box: Box, shape: tuple[int, int]) -> None:
    """Put the block means of one block into the pictures."""
    small = Box.of_shape(shape).coarsened(found.factor)
    part = box.coarsened(found.factor)
    for name, block in values.items():
        picture = found.pictures.setdefault(name, np.full(small.shape, np.nan))
        picture[part.slices] = block_means(block, found.factor)
