"""What a progressive sampler of the night sky is worth beside its rivals: images and keypoints.

All methods are told the instrument. Images are compared in asinh units, those of the network.
Keypoints are found by one detector with one limit in the truth and in every image: points down to
S/N 5 in the input, and extended sources as far above the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup import keypoints
from sciup.api import Result
from sciup.evaluate import metrics, spectra
from sciup.evaluate.draws import Drawn, draw_samples
from sciup.evaluate.intervals import Estimated, ratio
from sciup.evaluate.keypoints import RADIUS, expected, rival, rival_name
from sciup.evaluate.sky import plots
from sciup.evaluate.sky.detect import LIMIT
from sciup.evaluate.sky.fields import Field, flux_of, run_field
from sciup.evaluate.sky.textures import FAINT, classical, curved
from sciup.evaluate.tables import Table
from sciup.explorer.cascade import sharpen_all
from sciup.generators.registry import ModelFacts
from sciup.keypoints import KINDS, Keypoints, Score
from sciup.train.sky.target import at_target

Array = NDArray[np.float64]
Row = dict[str, Any]

DRAWS = 4
"""Draws of the rival, and of the average of ours that is compared with theirs."""

RIM = 4
"""Input pixels at the edges that are left out."""

COUNTED = (*KINDS["night-sky"], "any")
"""Keypoints count by kind, and by place alone: a point that is blurred is one no more."""


@dataclass
class Comparison:
    """A progressive sampler, one sampler after another, and classical methods, field by field.

    Attributes
    ----------
    model : ModelFacts
        A progressive sampler of the night sky.
    precision, seed
        See `sciup.upscale`.
    rows : list of dict
        Scores by field and method.
    shown : list
        The first fields with what each method made of them.
    """

    model: ModelFacts
    precision: str = "auto"
    seed: int = 0
    rows: list[Row] = dataclass_field(default_factory=list)
    shown: list[tuple[Field, dict[str, Array]]] = dataclass_field(default_factory=list)

    def add(self, field: Field, drawn: Drawn) -> None:
        """Score all methods on a field; `drawn`: `DRAWS` or more of ours, told the instrument."""
        model, s = self.model, self.model.scale
        made = {"mean": drawn.mean[None]} | _named(model.name, drawn.samples[:DRAWS])
        made |= _named(rival_name("night-sky"), self._rival(field))
        made |= {name: image[None] for name, image in classical(field, s).items()}
        true = places(field.truth, field, model)
        self.rows += [{"method": k} | score(x, true, field, model) for k, x in made.items()]
        peaks = expected(self._run(field, model, 1), RIM * s)
        self.rows.append({"method": "heatmaps", "field": field.name} | hits(peaks, true))
        if len(self.shown) < plots.SHOWN:
            titles = self._titles
            self.shown.append((field, {titles[k]: made[k].mean(0) for k in titles}))

    def _run(self, field: Field, model: ModelFacts, samples: int) -> Result:
        return run_field(
            field, model, "all", precision=self.precision, seed=self.seed, samples=samples
        )

    def _rival(self, field: Field) -> Array:
        """Draws of one sampler after another at the resolution of the model."""
        cascade = rival("night-sky")
        first = self._run(field, cascade.stages[0], DRAWS - 1)
        sharp = sharpen_all(draw_samples(first, DRAWS).samples, cascade, first)
        return np.asarray(at_target(sharp, self.model.target_fwhm), float)

    @property
    def _titles(self) -> dict[str, str]:
        """What is shown, and how it is called above a picture."""
        ours, theirs = self.model.name, rival_name("night-sky")
        same = {name: name for name in ("bicubic", "Richardson-Lucy")}
        same |= {f"{theirs}, average": "4x then 2x", f"{theirs}, draw": "a draw of these"}
        return same | {"mean": "mean", f"{ours}, draw": "draw"}

    def tables(self, about: str) -> list[Table]:
        """The table of methods; none without fields."""
        return [table(self.rows, about)] if self.rows else []

    def figures(self) -> dict[str, Any]:
        """Pictures of the first fields; none without fields."""
        if not self.shown:
            return {}
        return {"progressive_sheet": plots.beside(self.shown, self.model.scale)}


def _named(name: str, draws: Array) -> dict[str, Array]:
    return {f"{name}, average": draws, f"{name}, draw": draws[:1]}


def score(draws: Array, true: Keypoints, field: Field, model: ModelFacts) -> Row:
    """Scores of the average of draws (P, s h, s w), and of all of them where there are several."""
    image = draws.mean(0)
    one, truth = curved(image, field, model.scale)
    noisy = truth + FAINT * np.random.default_rng(0).standard_normal(truth.shape)
    out: Row = {"field": field.name, "error": metrics.mse(one, truth)}
    if len(draws) > 1:
        every = np.stack([curved(draw, field, model.scale)[0] for draw in draws])
        out["crps"] = metrics.crps(every, truth)
    out["lsd"] = spectra.log_spectral_distance(one, noisy, FAINT)
    return out | hits(places(image, field, model), true)


def places(image: Array, field: Field, model: ModelFacts) -> Keypoints:
    """Keypoints of an image away from the rim, with the limit that is that of the truth."""
    rim = RIM * model.scale
    noise = keypoints.noise_for(flux_of(LIMIT, field), model.target_fwhm)
    return keypoints.find(image[rim:-rim, rim:-rim], "night-sky", noise, model.target_fwhm)


def hits(found: Keypoints, true: Keypoints) -> Row:
    """How many keypoints of each kind, and of any, are found: what F1 is made of."""
    pairs = {kind: (found.of(k), true.of(k)) for k, kind in enumerate(KINDS["night-sky"])}
    pairs["any"] = _of_one_kind(found), _of_one_kind(true)
    scores: dict[str, Score] = {k: keypoints.compare(*pair, RADIUS) for k, pair in pairs.items()}
    return {f"hits_{k}": 2 * s.hits for k, s in scores.items()} | {
        f"both_{k}": s.found + s.true for k, s in scores.items()
    }


def _of_one_kind(points: Keypoints) -> Keypoints:
    return replace(points, kind=np.zeros_like(points.kind))


def table(rows: Sequence[Row], about: str) -> Table:
    """A row for every method: gain over bicubic and over the rival, CRPS, spectra, keypoints."""
    names = list(dict.fromkeys(r["method"] for r in rows))
    by = {name: [r for r in rows if r["method"] == name] for name in names}
    other = f"{rival_name('night-sky')}, average"
    out = []
    for name, part in by.items():
        row: Row = {"method": name, "fields": len(part)}
        row |= _with_ends("gain", _gain(by["bicubic"], part))
        row |= _with_ends("over rival", _gain(by[other], part))
        row |= metrics.mean_of(part, ["crps", "lsd"])
        for kind in COUNTED:
            row |= _with_ends(f"F1 {kind}", _f1(part, kind))
        out.append(row)
    notes = [
        "gain: dB over bicubic, asinh units; over rival: over the average of its draws. crps: of "
        f"{DRAWS} draws, fair. lsd: log-spectral distance to the truth, dB, both with noise of "
        f"{FAINT:g}. low, high: 95 % bootstrap over fields.",
        f"F1: keypoints within {RADIUS:g} fine px; the truth's are points from S/N {LIMIT:g} on, "
        "and extended sources. any: places, whatever the kind. heatmaps: peaks of the sampler's "
        "own. Classical methods have the true PSF and the setting that is best on the very field.",
    ]
    return Table("progressive", f"A progressive sampler beside its rivals. {about}", out, notes)


def _gain(reference: Sequence[Row], part: Sequence[Row]) -> Estimated:
    """Mean over fields of the decibels between two errors; NaN where there is no image."""
    base = np.array([r["error"] for r in reference])
    own = np.array([r.get("error", np.nan) for r in part])
    return ratio(list(10 * np.log10(base / own)), [1.0] * len(own), [r["field"] for r in part])


def _f1(part: Sequence[Row], kind: str) -> Estimated:
    """F1 of the keypoints of all fields together."""
    both = [float(r[f"both_{kind}"]) for r in part]
    with np.errstate(invalid="ignore"):  # fields drawn again may have none
        return ratio([float(r[f"hits_{kind}"]) for r in part], both, [r["field"] for r in part])


def _with_ends(name: str, found: Estimated) -> Row:
    low, high = found.ends
    return {name: found.value, f"{name} low": low, f"{name} high": high}
