"""Chances that candidates exist: what calibrates them in a run, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sciup.engine.job import Job
from sciup.engine.provenance import has_noise_map
from sciup.existence.curves import Curve, Errors, Existence
from sciup.existence.union import Array
from sciup.image import Plane
from sciup.physics.instrument import Instrument
from sciup.results.draws import Draws

STATED = ("given", "header")
"""Origins of what the program did not find out itself."""

FACTS = {"PSF": ("psf_fwhm",), "noise": ("noise_sigma",), "background": ("background",)}
"""What the program found out on the fields of every calibration."""

CAMERA = {"noise": ("electrons_per_unit", "read_noise", "noise_sigma")}
"""What the noise of a micrograph is, and what it is made of."""

LEARNED = (
    "{0.candidates} candidates of {0.units} independent fields, of which the program found out PSF,"
    " noise and background"
)


@dataclass(frozen=True)
class Chances:
    """From raw chances to those of a catalogue.

    Attributes
    ----------
    curve : Curve or None
        What is used; None: chances stay raw.
    words : str
        For people: begins with ``calibrated``, ``not calibrated`` or ``raw``.
    column : str
        The same in short, of the column `p_exists`.
    """

    curve: Curve | None
    words: str
    column: str

    @classmethod
    def of(
        cls, draws: Draws, planes: Sequence[Plane], kind: str, limit: float, samples: int
    ) -> Chances:
        """What the model of some draws has for a detector and their instruments."""
        told = [draws.instruments[draws.planes.index(plane)] for plane in planes]
        curve = _curve(draws, planes, told, kind, limit, samples)
        if isinstance(curve, str):
            return cls(None, f"raw: {curve}", "raw share of draws, uncalibrated")
        learned = LEARNED.format(curve)
        if what := ", ".join(stated(draws, told)):
            words = f"not calibrated for what was stated ({what}): by a curve from {learned}"
            column = f"chance by a curve learned with the instrument estimated; stated here: {what}"
            return cls(curve, words, column)
        return cls(curve, f"calibrated on {learned}", "calibrated chance that it exists")

    def __call__(self, p_raw: Array) -> Array:
        """Chances of candidates."""
        return p_raw if self.curve is None else self.curve(p_raw)

    @property
    def fluxes(self) -> tuple[Errors, ...]:
        """How far off fluxes were, where that is known."""
        return () if self.curve is None else self.curve.fluxes

    @property
    def places(self) -> tuple[Errors, ...]:
        """The same of places."""
        return () if self.curve is None else self.curve.places


def stated(draws: Draws, instruments: Sequence[Instrument]) -> list[str]:
    """Which of `FACTS` the user or the file stated."""
    facts = FACTS if draws.night_sky else FACTS | CAMERA
    told = {
        word: any(getattr(i, name).origin in STATED for i in instruments for name in names)
        for word, names in facts.items()
    }
    told["noise"] |= _noise_map(draws)
    return [word for word, on in told.items() if on]


def _noise_map(draws: Draws) -> bool:
    """Whether the file brought the noise of its pixels."""
    if draws._done is not None:
        return bool(draws._done.facts["fingerprint"].get("noise_map"))
    return isinstance(draws._job, Job) and has_noise_map(draws._job)


def _curve(
    draws: Draws,
    planes: Sequence[Plane],
    instruments: Sequence[Instrument],
    kind: str,
    limit: float,
    samples: int,
) -> Curve | str:
    """What calibrates the chances, or why they stay raw."""
    model = draws.model_of(list(planes))
    if isinstance(model, str):
        return model
    if any(i.psf_error.value for i in instruments):
        return "the samples were drawn with three widths of the PSF, the calibration with one"
    known = Existence.of_model(model.folder, model.key)
    if isinstance(known, str):
        return known
    # there intervals of the draws are right as they are, those of a curve too long (record 0043)
    if len(stated(draws, instruments)) == len(FACTS):
        return "PSF, noise and background were stated, the calibration found them out"
    return known.curve(kind, limit, samples)


__all__ = ["Chances", "stated"]
