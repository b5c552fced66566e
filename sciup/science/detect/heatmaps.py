"""Where a progressive sampler expects keypoints: the peaks of a stored heatmap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units
from astropy.table import Column, Table

from sciup.errors import OptionError
from sciup.existence.target import KINDS
from sciup.geometry import Box, shards
from sciup.image import Domain
from sciup.keypoints import peaks
from sciup.results.finished import Finished

SIDE = 1024
"""Output px per side that are read at a time."""

HALO = 16
"""And around them: a peak is decided by what lies within a few px."""


def expected(result: str | Path, kind: str, least: float = 0.1) -> Table:
    """Peaks of the map ``keypoints_KIND`` of a result.

    What a network expects is no measurement: `expected` is the height of its heatmap, which was
    trained to be the chance of a keypoint but was never calibrated.

    Parameters
    ----------
    result : path
        Of a progressive sampler.
    kind : str
        One of `sciup.existence.KINDS`.
    least : float
        Height of the lowest peak.

    Returns
    -------
    astropy.table.Table
        ``plane``, ``y``, ``x`` (input px from 0), ``y_output``, ``x_output``,
        ``expected``; the highest first.

    Raises
    ------
    OptionError
        If the result has no such map.
    """
    done = Finished.open(result)
    name, domain = f"keypoints_{kind}", _domain(done)
    if name not in done.maps:
        have = ", ".join(m for m in done.maps if m.startswith("keypoints_"))
        raise OptionError(f"{done.path} has no map {name}", have or "results with keypoints")
    rows = []
    for plane in done.planes:
        for _, box in shards(done.plane_shape, SIDE):
            rows += [(plane, *row) for row in _peaks(done, plane, box, domain, kind, least)]
    rows.sort(key=lambda row: -row[-1])
    place = np.array([row[1:3] for row in rows], float).reshape(-1, 2)
    start = np.array(done.region.start)
    at = (place + 0.5) / done.scale - 0.5 + start
    out = Table(meta={"result": str(done.path), "p_exists": "none: expected by the network"})
    out["plane"] = np.array([",".join(map(str, row[0])) for row in rows], dtype="U32")
    for axis, which in (("y", 0), ("x", 1)):
        out[axis] = Column(at[:, which], unit=units.pix, description="input px from 0")
    for axis, which in (("y", 0), ("x", 1)):
        words = "output px from 0"
        out[f"{axis}_output"] = Column(place[:, which], unit=units.pix, description=words)
    out["expected"] = Column(
        [row[-1] for row in rows], dtype=float, description="height of the map"
    )
    return out


def _domain(done: Finished) -> Domain:
    return "night-sky" if done.night_sky else "fluorescence"


def _peaks(
    done: Finished, plane: tuple[int, ...], box: Box, domain: Domain, kind: str, least: float
) -> list[tuple[float, float, float]]:
    """Place and height of the peaks of a box, which need some pixels around it."""
    window = box.grown(HALO).intersect(Box.of_shape(done.plane_shape))
    heat = np.nan_to_num(done.read(f"keypoints_{kind}", plane, window))
    channels = np.zeros((len(KINDS[domain]), *heat.shape))
    channels[KINDS[domain].index(kind)] = heat
    found = peaks(channels, domain, least)
    places = found.place + np.array(window.start)
    low, high = np.array(box.start) - 0.5, np.array(box.stop) - 0.5
    inside = ((places >= low) & (places < high)).all(1)
    rows = zip(places[inside], found.strength[inside], strict=True)
    return [(float(y), float(x), float(height)) for (y, x), height in rows]


__all__ = ["expected"]
