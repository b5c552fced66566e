"""Collect the evidence, condition by condition, and make the calibration of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import KnownField, Source
from sciup.calibrate.observe import observe
from sciup.errors import InputError
from sciup.risk.calibration import Calibration, Key, calibrate
from sciup.risk.evidence import Evidence, tally
from sciup.risk.outside import Features

Array = NDArray[np.float64]
Progress = Callable[[str, int], None]
"""Called with the condition and the number of its fields done."""


def _silent(condition: str, done: int) -> None:
    """No progress."""


@dataclass
class Collection:
    """Evidence of some conditions; each is kept in a folder, so that a stopped run goes on.

    Attributes
    ----------
    source : Source
    folder : Path
        Of ``features.npz`` and one ``.npz`` per condition.
    split : str
        Of the manifest; night sky: role of the galaxies.
    skipped : list of str
        What could not be used, and why.
    """

    source: Source
    folder: Path
    split: str = "calibrate"
    progress: Progress = _silent
    skipped: list[str] = field(default_factory=list)

    def features(self) -> Features:
        """Of the trunk, on fields of the training."""
        path = self.folder / "features.npz"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            vectors = np.concatenate([rows for rows in self._vectors() if len(rows)])
            np.savez(path, vectors=vectors)
        with np.load(path, allow_pickle=False) as stored:
            return Features.fit(stored["vectors"])

    def _vectors(self) -> Sequence[Array]:
        found = []
        for condition in self.source.conditions:
            for one in self.source.fields(condition, "train", skipped=self.skipped.append):
                rows = observe(one.result, 0).features
                flat = rows.reshape(-1, rows.shape[-1])
                found.append(flat[np.isfinite(flat).all(1)])
                self.progress("features", len(found))
        return found

    def evidence(self, condition: str, features: Features) -> Evidence:
        """Of one condition."""
        path = self.folder / f"{condition.replace(':', '-')}.npz"
        if path.is_file():
            return Evidence.load(path)
        parts = []
        for one in self.source.fields(condition, self.split, skipped=self.skipped.append):
            parts.append(weigh(one, features, self.source.samples))
            self.progress(condition, len(parts))
        joined = Evidence.join(parts)
        part = path.with_name(path.name + ".part.npz")
        joined.save(part)
        part.replace(path)
        return joined


def weigh(one: KnownField, features: Features, samples: int) -> Evidence:
    """The evidence of one field."""
    seen = observe(one.result, samples + 1)
    s = one.result.job.model.scale
    h, w = (n // 16 * 16 for n in seen.snr.shape)
    if not h or not w:
        raise InputError(f"{one.labels['field']} is smaller than 16 px")
    inner = np.s_[..., :h, :w]
    scores = np.concatenate([seen.innovation, features.distance(seen.features)[..., None]], -1)
    return tally(
        seen.draws[inner],
        one.truth[inner],
        level=seen.level[inner],
        sigma=seen.sigma[inner],
        snr=seen.snr[inner],
        scale=s,
        scores=scores,
        labels=one.labels,
        truth_noise=one.truth_noise,
    )


def make(
    collection: Collection, conditions: Sequence[str], *, data: str, seed: int = 0
) -> tuple[Calibration, Evidence]:
    """The calibration of a model, and the evidence behind it.

    Parameters
    ----------
    collection : Collection
    conditions : sequence of str
    data : str
        Words for where the fields come from.
    seed : int
        Of the folds.
    """
    source = collection.source
    features = collection.features()
    evidence = Evidence.join([collection.evidence(c, features) for c in conditions])
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
    key = Key(source.model.weights, source.samples, source.model.trust)
    return calibrate(evidence, features, key, about=about, seed=seed), evidence
