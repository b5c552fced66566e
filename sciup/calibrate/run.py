"""Collect the evidence, condition by condition, and make the calibration of it."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import KnownField, Source, none_left
from sciup.calibrate.gathering import Gathering
from sciup.calibrate.observe import observe
from sciup.errors import InputError
from sciup.generators.facts import ModelFacts
from sciup.risk.calibration import FILE, VERSION, Calibration
from sciup.risk.columns import Columns
from sciup.risk.evidence import Evidence, tally
from sciup.risk.familiar import Familiar
from sciup.risk.fitting import calibrate

Array = NDArray[np.float64]


@contextmanager
def uncalibrated(source: Source) -> Iterator[Source]:
    """The same source with a copy of its model that has no calibration.

    An earlier calibration has no say in a new one, and one of other weights or of another version
    would stop the runs.
    """
    folder = source.model.folder
    with TemporaryDirectory() as place:
        copy = Path(place) / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(FILE))
        yield replace(source, model=ModelFacts.read(copy))


@dataclass(frozen=True)
class Blocks(Columns):
    """Statistics of n blocks of fields of the training.

    Attributes
    ----------
    rows : ndarray (n, d)
    units : ndarray of str (n,)
        The independent field of each.
    """

    rows: Array
    units: NDArray[np.str_]


def familiar_of(gathering: Gathering) -> Familiar:
    """What fields of the training look like."""
    parts = [
        part
        for condition in gathering.source.conditions
        for part in gathering.of_fields(
            condition, Blocks, blocks_of, what=f"familiar, {condition}", split="train"
        )
    ]
    if not parts:
        raise InputError("no field says what is familiar", "one or more", "give more fields")
    found = Blocks.join(parts)
    return Familiar.fit(found.rows, found.units)


def evidence_of(gathering: Gathering, conditions: Sequence[str]) -> Evidence:
    """Of all fields of some conditions; few images may have none in one of them."""
    samples = gathering.source.samples
    make = partial(weigh, samples=samples)
    parts = [
        part
        for condition in conditions
        for part in gathering.of_fields(condition, Evidence, make, VERSION, samples)
    ]
    if not parts:
        raise none_left(gathering.split)
    return Evidence.join(parts)


def blocks_of(one: KnownField) -> Blocks:
    """What the blocks of one field look like."""
    statistics = observe(one.result, 0).statistics
    rows = statistics.reshape(-1, statistics.shape[-1])
    rows = rows[np.isfinite(rows).all(1)]
    return Blocks(rows, np.full(len(rows), one.labels["unit"]))


def weigh(one: KnownField, samples: int) -> Evidence:
    """The evidence of one field."""
    seen = observe(one.result, samples + 1)
    s = one.result.job.model.scale
    h, w = (n // 16 * 16 for n in seen.snr.shape)
    if not h or not w:
        raise InputError(f"{one.labels['field']} is smaller than 16 px")
    inner = np.s_[..., :h, :w]
    return tally(
        seen.draws[inner],
        one.truth[inner],
        level=seen.level[inner],
        sigma=seen.sigma[inner],
        snr=seen.snr[inner],
        scale=s,
        statistics=seen.statistics,
        labels=one.labels,
        truth_noise=one.truth_noise,
        mean=seen.mean[inner],
    )


def make(
    gathering: Gathering, conditions: Sequence[str], *, data: str, seed: int = 0
) -> tuple[Calibration, Evidence]:
    """The calibration of a model, and the evidence behind it.

    Parameters
    ----------
    gathering : Gathering
    conditions : sequence of str
    data : str
        Words for where the fields come from.
    seed : int
        Of the folds.
    """
    source = gathering.source
    familiar = familiar_of(gathering)
    evidence = evidence_of(gathering, conditions)
    groups = {
        name: len(set(evidence.unit[evidence.group == name].tolist()))
        for name in np.unique(evidence.group).tolist()
    }
    about: dict[str, Any] = {
        "data": data,
        "units": sum(groups.values()),
        "groups": groups,
        "conditions": list(conditions),
        "instrument": "estimated by the program, field by field",
        "precision": source.precision,
        "day": datetime.date.today().isoformat(),
    }
    found = calibrate(
        evidence, familiar, source.model.key, samples=source.samples, about=about, seed=seed
    )
    return found, evidence
