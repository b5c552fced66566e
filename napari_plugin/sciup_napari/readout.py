"""What a set of draws says at another tolerance, or about another draw. numpy only.

The library's risk imports much of scipy; it is imported where a calibration is there to be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from sciup.risk.calibration import Calibration, Promise

Values = NDArray[np.float32]

COMMON_ALARM = 0.3
"""Alarm level where no calibration gives one."""


@dataclass(frozen=True)
class Risk:
    """Risk of one draw or of the mean, (h, w) each; NaN where there is none.

    Attributes
    ----------
    risk, invented, missed : ndarray
    bound : ndarray
        Certified; NaN everywhere where nothing is certified.
    certified : bool
        Whether `risk` is calibrated at this tolerance; otherwise it is a raw vote and exploratory.
    of_mean : bool
        Whether it is that of the mean; invented and missed are not known then.
    """

    risk: Values
    invented: Values
    missed: Values
    bound: Values
    certified: bool
    of_mean: bool = False


@dataclass(frozen=True)
class Others:
    """What the other draws say of the shown one, in means over 3 x 3 px, (h, w) each.

    At the border of the frame means are over the pixels that are there.

    Attributes
    ----------
    invented, missed : ndarray
        Number of draws that are lower and higher by more than the tolerance.
    mean, std : ndarray
        Of the shown draw less each other one.
    """

    invented: Values
    missed: Values
    mean: Values
    std: Values

    @classmethod
    def hear(cls, draws: Values, shown: int, tolerance: Values | float) -> Others:
        """Ask all of them.

        Examples
        --------
        >>> draws = np.zeros((3, 2, 2), np.float32); draws[0] = 5
        >>> Others.hear(draws, 0, 3.0).invented
        array([[2., 2.],
               [2., 2.]], dtype=float32)
        """
        filled, known = np.nan_to_num(draws), np.isfinite(draws[shown])
        pixels = np.maximum(_sums(known.astype(np.float32)), 1)
        invented, missed, total, squares = (np.zeros(known.shape, np.float32) for _ in range(4))
        voters = len(draws) - 1
        for k in range(len(draws)):
            if k != shown:
                moved = _sums(filled[shown] - filled[k]) / pixels
                invented += moved > tolerance
                missed += moved < -np.asarray(tolerance)
                total += moved
                squares += moved**2
        mean = (total / max(voters, 1)).astype(np.float32)
        variance = np.maximum(squares - total * mean, 0) / max(voters - 1, 1)
        return cls(invented, missed, mean, np.sqrt(variance).astype(np.float32))


def _sums(x: Values) -> Values:
    """Sums over 3 x 3 pixels, those outside being 0."""
    rows = np.pad(x, ((1, 1), (0, 0)))
    rows = rows[:-2] + rows[1:-1] + rows[2:]
    both = np.pad(rows, ((0, 0), (1, 1)))
    return np.asarray(both[:, :-2] + both[:, 1:-1] + both[:, 2:])


class Judge:
    """Turns votes into risk, calibrated where the model is calibrated for the tolerance.

    Parameters
    ----------
    calibration : str, optional
        Path of ``calibration.json``.
    """

    def __init__(self, calibration: str | None) -> None:
        self._calibration: Calibration | None = None
        if calibration:
            from sciup.risk.calibration import Calibration

            self._calibration = Calibration.read(Path(calibration))

    @property
    def certified(self) -> tuple[str, ...]:
        """Tolerances for which risk is certified."""
        if self._calibration is None:
            return ()
        return tuple(
            name.split()[1] for name in self._calibration.promises if name.startswith("sample ")
        )

    def promise(self, tolerance: str, product: str = "sample") -> Promise | None:
        """What is promised of the sample or the mean at a tolerance, if anything."""
        if self._calibration is None:
            return None
        from sciup.risk.tolerance import Tolerance

        return self._calibration.promise(product, Tolerance.parse(tolerance))

    def alarm(self, tolerance: str, product: str = "sample") -> float:
        """The risk from which a pixel is flagged."""
        promise = self.promise(tolerance, product)
        return COMMON_ALARM if promise is None else float(promise.alarm.threshold)

    def risk(
        self, draws: Values, shown: int, limit: Values, tolerance: str, snr: Values, strange: Values
    ) -> Risk:
        """Risk of one draw.

        Parameters
        ----------
        draws : ndarray (K + 1, h, w)
        shown : int
        limit : ndarray (h, w)
            The tolerance in the unit of the draws.
        tolerance : str
            The same in words, such as ``3sigma``.
        snr : ndarray (h, w)
            S/N of the local mean of the measurement.
        strange : ndarray (h, w)
            1 where the badge fires: there nothing is certified.
        """
        others = Others.hear(draws, shown, limit)
        gap = ~np.isfinite(draws[shown])
        promise = self.promise(tolerance)
        if promise is None:
            more, less = (
                np.where(gap, np.float32(np.nan), (v + np.float32(0.25)) / np.float32(len(draws)))
                for v in (others.invented, others.missed)
            )
            return Risk(more + less, more, less, np.full_like(more, np.nan), certified=False)
        from sciup.risk.evidence import STRATA
        from sciup.risk.score import tail

        tables = promise.tables()
        stratum = np.searchsorted(STRATA, np.nan_to_num(snr), side="right")
        above, below = tail(others.mean, others.std, limit, len(draws) - 1)

        def look_up(kind: str, votes: ArrayLike, chance: ArrayLike) -> Values:
            found = tables[kind][stratum, promise.column(votes, chance)].astype(np.float32)
            return np.where(gap, np.float32(np.nan), found)

        total = others.invented + others.missed, above + below
        bound = np.where(strange > 0, np.float32(np.nan), look_up("bound", *total))
        return Risk(
            look_up("risk", *total),
            look_up("invented", others.invented, above),
            look_up("missed", others.missed, below),
            bound,
            certified=True,
        )


def distance(draws: Values) -> NDArray[np.float64]:
    """How far each draw is from the mean of all, rms in units of their spread."""
    mean, std = draws.mean(0), draws.std(0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = ((draws - mean) / np.where(std > 0, std, np.nan)) ** 2
    flat = z.reshape(len(draws), -1)
    known = np.isfinite(flat).all(0)
    if not known.any():
        return np.zeros(len(draws))
    return np.asarray(np.sqrt(flat[:, known].mean(1, dtype=np.float64)))


def chosen(draws: Values) -> dict[str, int]:
    """The draws nearest to the mean, in the middle, and farthest from it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> spread = np.array([1, 0.1, 2, 1, 3], "f4")[:, None, None]
    >>> draws = rng.normal(size=(5, 8, 8)).astype("f4") * spread
    >>> chosen(draws)["nearest"], chosen(draws)["farthest"]
    (1, 4)
    """
    order = np.argsort(distance(draws))
    return {
        "nearest": int(order[0]),
        "typical": int(order[len(order) // 2]),
        "farthest": int(order[-1]),
    }


def blend(sample: Values, mean: Values, risk: Values) -> Values:
    """The sample where its detail can be trusted, fading to the mean where it cannot.

    The weight of the sample is 1 - risk: at risk 1 only the mean is left.

    Examples
    --------
    >>> blend(np.full((1, 2), 5.0), np.ones((1, 2)), np.array([[0.0, 1.0]]))
    array([[5., 1.]])
    """
    weight = 1 - np.clip(np.nan_to_num(risk, nan=1.0), 0, 1)
    return np.asarray(mean + weight * (sample - mean))


def summary(values: dict[str, Any]) -> str:
    """One pixel in plain words.

    Parameters
    ----------
    values : dict
        ``risk``, ``certified``, ``invented``, ``missed``, ``tolerance``, ``bound``, ``ood``; and
        ``of_mean`` where it is the risk of the mean.
    """
    risk = values["risk"]
    if not np.isfinite(risk):
        return "No risk is known here."
    whose = "Of the mean: " if values.get("of_mean") else ""
    share = f"{100 * risk:.0f} of 100" if risk >= 0.01 else "fewer than 1 of 100"
    if values["certified"]:
        said = (
            f"{whose}{share} pixels that look like this one are wrong by more than"
            f" {values['tolerance']}."
        )
        if np.isfinite(values["bound"]):
            said += f" Certified: at most {100 * values['bound']:.0f}, averaged over fields."
        elif values["ood"] > 0:
            said += " Not certified: out of domain."
    else:
        said = (
            f"Exploratory: {share} of the other draws differ from this one by more than"
            f" {values['tolerance']}. This is a vote, not a calibrated risk."
        )
    more, less = values["invented"], values["missed"]
    if risk < 0.05 or not np.isfinite(more + less):
        return said
    how = "invented (too bright)" if more >= less else "missed (too dark)"
    return f"{said} If it is wrong, it is more likely {how}."
