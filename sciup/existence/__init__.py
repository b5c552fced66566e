"""Does it exist? What draws agree on, counted: candidates, their light, and P(exists).

Arrays in, arrays out: evaluation, calibration and ``sciup detect`` share one detector.
"""

from __future__ import annotations

from sciup.existence.candidates import Candidates, agreement, search
from sciup.existence.curves import FILE, Curve, Existence
from sciup.existence.points import detections, local_flux, point_flux
from sciup.existence.target import KINDS, Target, point_limit
from sciup.existence.union import near, union

__all__ = [
    "FILE",
    "KINDS",
    "Candidates",
    "Curve",
    "Existence",
    "Target",
    "agreement",
    "detections",
    "local_flux",
    "near",
    "point_flux",
    "point_limit",
    "search",
    "union",
]
