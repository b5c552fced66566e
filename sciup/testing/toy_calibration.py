"""A calibration from made fields: every map of a run works as with a real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sciup.generators.facts import ModelFacts, read_recipe
from sciup.risk.appearance import COUNT
from sciup.risk.calibration import FILE, Calibration
from sciup.risk.evidence import Evidence, tally
from sciup.risk.familiar import INNOVATION, STATISTICS, Familiar, Features
from sciup.risk.fitting import calibrate

UNITS = 148
SIDE = 32


def made_fields(
    units: int = UNITS, draws: int = 16, *, honesty: float = 1.0, features: int = 2, seed: int = 0
) -> Evidence:
    """Evidence of fields with one block each, whose truth is drawn like the draws.

    Parameters
    ----------
    units : int
        Independent fields.
    draws : int
        K.
    honesty : float
        Spread of the draws over that of the truth: 1 for an honest sampler.
    features : int
        Length of the features.
    seed : int
        Of everything.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for unit in range(units):
        width = rng.lognormal(0, 0.5) * np.exp(rng.normal(0, 1, (SIDE, SIDE)))
        truth = width * rng.standard_normal((SIDE, SIDE))
        sampled = honesty * width * rng.standard_normal((draws + 1, SIDE, SIDE))
        parts.append(
            tally(
                sampled,
                truth,
                level=np.zeros_like(width),
                sigma=np.full_like(width, 0.5),
                snr=rng.uniform(0, 30, (SIDE, SIDE)),
                scale=1,
                statistics=rng.lognormal(0, 0.5, (1, 1, INNOVATION + COUNT + features)),
                labels={
                    "unit": f"unit {unit}",
                    "group": "ab"[unit % 2],
                    "field": f"field {unit}",
                    "condition": "made",
                },
            )
        )
    return Evidence.join(parts)


def made_familiar(features: int = 2) -> Familiar:
    """Everything is as strange as can be."""
    looks, vectors = (Features(np.vstack([np.eye(n), -np.eye(n)])) for n in (COUNT, features))
    return Familiar(looks, vectors, np.zeros((9, len(STATISTICS))))


def write_toy_calibration(
    folder: str | Path, *, samples: int = 16, strange: bool = False, seed: int = 0
) -> Calibration:
    """Write ``calibration.json`` into the folder of a toy model.

    Parameters
    ----------
    folder : str or Path
        Of `write_toy_model`.
    samples : int
        K.
    strange : bool
        Whether the badge fires on everything, or on nothing.
    seed : int
        Of the made fields.
    """
    facts = ModelFacts.read(Path(folder))
    width = 2 * int(read_recipe(Path(folder))["network"]["head_channels"])
    made = calibrate(
        made_fields(draws=samples, features=width, seed=seed),
        made_familiar(width),
        facts.key,
        samples=samples,
        about={"data": "made fields", "units": UNITS},
    )
    if strange:
        least = np.full_like(made.domain.block, -1.0)
        made = replace(made, domain=replace(made.domain, block=least, field=least))
    made.write(Path(folder) / FILE)
    return made
