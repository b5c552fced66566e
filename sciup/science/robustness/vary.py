"""The same run with one belief changed at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from sciup.api import Result, choose_model
from sciup.engine.calibrated import Calibrated
from sciup.errors import ModelError
from sciup.image import Fact
from sciup.physics.instrument import Instrument
from sciup.physics.psf_error import wider

PSF = 0.1
"""Share by which the width of the PSF is changed: what a fit to few stars errs by."""

NOISE = 1.2
"""Factor on the noise: what an exposure time or a gain from a manual errs by."""

SEEDS = 2
"""Other seeds: what only the choice of the draws changes."""


def variations(result: Result, models: tuple[str | Path, ...] = ()) -> Iterator[tuple[str, Result]]:
    """Name and lazy result of every variation, the run as it is first.

    Parameters
    ----------
    result : Result
    models : tuple of str or Path
        Other models of the same scale and domain.

    Raises
    ------
    ModelError
        If a model has another scale or domain.
    """
    yield "as it is", result
    for sign in (-1, 1):
        factor = 1 + sign * PSF
        yield f"PSF {100 * sign * PSF:+.0f} %", _believing(result, wider, factor)
    yield f"noise x {NOISE:g}", _believing(result, noisier, NOISE)
    settings = result.job.settings
    for k in range(1, SEEDS + 1):
        other = replace(settings, seed=settings.seed + k)
        yield f"seed {other.seed}", Result(replace(result.job, settings=other))
    for name in models:
        facts = choose_model(result.job.image, name, result.job.model.scale)
        if facts.domain != result.job.model.domain:
            raise ModelError(
                f"{facts.name} is for {facts.domain}", f"models for {result.job.model.domain}"
            )
        calibration = Calibrated.find(facts, settings)
        job = replace(result.job, model=facts, calibration=calibration, chosen=())
        yield facts.name, Result(job)


def _believing(
    result: Result, change: Callable[[Instrument, float], Instrument], factor: float
) -> Result:
    instruments = tuple(change(i, factor) for i in result.job.instruments)
    return Result(replace(result.job, instruments=instruments))


def noisier(instrument: Instrument, factor: float) -> Instrument:
    """An instrument with so many times the noise, of photons as of electronics."""
    note = f"{factor:g} times the noise that was believed"

    def times(fact: Fact, f: float) -> Fact:
        return fact if fact.value is None else Fact(float(fact.value) * f, fact.origin, note)

    # sigma^2 = (signal gain + read^2) / gain^2
    return replace(
        instrument,
        electrons_per_unit=times(instrument.electrons_per_unit, factor**-2),
        read_noise=times(instrument.read_noise, 1 / factor),
        noise_sigma=times(instrument.noise_sigma, factor),
        noise_factor=Fact(factor, "assumed", note),
    )


__all__ = ["noisier", "variations"]
