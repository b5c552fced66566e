"""Intervals that were seen to cover: how far off measurements were on fields of known truth.

The interval of the draws is right if the sampler is. Whether it is was measured on fields of known
truth: the score of a region is ``(truth - value) / scale`` with the mean and the spread of its
draws. Between order statistics of such scores lies that of one more region: that is the calibrated
interval, see `sciup.risk.conformal`. Classes of S/N keep it right for the faint and for the bright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sciup.errors import ModelError
from sciup.physics.instrument import Instrument
from sciup.risk.stored import STRICT, Stored
from sciup.science.measure.interval import Summary

Knowledge = Literal["stated", "estimated"]

FILE = "measurements.json"
VERSION = 2

EDGES = (5.0, 10.0, 20.0, 50.0, math.inf)
"""Classes of S/N. None below: what is measured there is mostly empty, and upper limits need empty
places, which no calibration has yet."""


def knowledge(instrument: Instrument) -> Knowledge:
    """Whether PSF, noise and background were all stated, by the user or the file.

    Who states less gets what was measured with nothing stated.
    """
    psf = instrument.psf if instrument.psf.value is not None else instrument.psf_fwhm
    facts = (psf, instrument.noise_sigma, instrument.background)
    return "stated" if all(f.origin in ("given", "header") for f in facts) else "estimated"


def significance(flux: float, area: float, instrument: Instrument) -> float:
    """S/N of the light in a region, as a sum over the input's pixels there would have.

    Parameters
    ----------
    flux : float
        Above the background, input units times input px.
    area : float
        Of the region, input px.
    instrument : Instrument

    Returns
    -------
    float
        ``flux / sqrt(area sigma^2 + flux / gain)`` with the noise of the background and the photon
        noise of the light (Howell 1989, PASP 101, 616, eq. 2, without the noise of the background
        estimate); 0 for no light, NaN where the noise is not known.
    """
    sigma, gain = instrument.noise_sigma.value, instrument.electrons_per_unit.value
    if not sigma:
        return float("nan")
    light = max(flux, 0.0)
    return light / math.sqrt(area * float(sigma) ** 2 + (light / float(gain) if gain else 0.0))


def spread(summary: Summary, *, whole: bool) -> float:
    """What an error is compared with: the spread of the draws; a number of things is a step wide.

    Draws that all count the same do not say that the count is exact: rounding alone has a variance
    of 1/12.
    """
    return math.hypot(summary.std, math.sqrt(1 / 12)) if whole else summary.std


@dataclass(frozen=True)
class Stratum:
    """Scores of one quantity in one class of S/N.

    Attributes
    ----------
    name : str
        Column of the table, such as ``flux``.
    knowledge : {"stated", "estimated"}
        Of the instrument.
    low, high : float or None
        Class of S/N; None: no end.
    areas : (float, float)
        Smallest and largest region, input px.
    regions, units : int
        How many, and of how many independent fields.
    ends : tuple of (float, float)
        Scores between which the truth lies, for each of `LEVELS`.
    plain, covered : tuple of float
        Share of the truths inside the interval of the draws as such; and inside the calibrated one
        that all other fields gave, field by field.
    """

    __pydantic_config__ = STRICT

    name: str
    knowledge: str
    low: float | None
    high: float | None
    areas: tuple[float, float]
    regions: int
    units: int
    ends: tuple[tuple[float, float], tuple[float, float]]
    plain: tuple[float, float]
    covered: tuple[float, float]

    def holds(self, name: str, known: str, snr: float, area: float) -> bool:
        """Whether a measurement belongs here."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        fits = low <= snr < high and self.areas[0] <= area <= self.areas[1]
        return self.name == name and self.knowledge == known and fits

    def check(self) -> None:
        """Refuse what no calibration writes."""
        shares = all(0 <= share <= 1 for share in (*self.plain, *self.covered))
        if not shares or not all(low <= high for low, high in (*self.ends, self.areas)):
            raise ModelError(
                f"the class {self.name}, S/N from {self.low}, of {FILE} is damaged",
                "ends in order, and shares from 0 to 1",
                "write it again: sciup calibrate --measurements",
            )

    def intervals(self, summary: Summary, *, whole: bool = False) -> Summary:
        """The same with calibrated intervals."""
        scale = spread(summary, whole=whole)
        pairs = [(summary.value + a * scale, summary.value + b * scale) for a, b in self.ends]
        if whole:
            pairs = [(max(math.floor(a), 0.0), float(math.ceil(b))) for a, b in pairs]
        return Summary(summary.value, summary.std, tuple(pairs))


@dataclass(frozen=True, kw_only=True)
class Measurements(Stored):
    """What the intervals of a model are worth, as ``measurements.json`` keeps it.

    Attributes
    ----------
    key : Key
    about : dict
        Data, day, conditions.
    strata : tuple of Stratum
    draws : int
        Of which the spread was taken; of fewer it scatters more.
    """

    file = FILE
    version = VERSION
    command = "--measurements"

    strata: tuple[Stratum, ...]
    draws: int

    def find(self, name: str, known: str, snr: float, area: float) -> Stratum | None:
        """The class of a measurement; None if there is none."""
        return next((s for s in self.strata if s.holds(name, known, snr, area)), None)

    def check(self) -> None:
        """Refuse classes that no calibration writes."""
        for stratum in self.strata:
            stratum.check()


__all__ = [
    "EDGES",
    "FILE",
    "Measurements",
    "Stratum",
    "knowledge",
    "significance",
    "spread",
]
