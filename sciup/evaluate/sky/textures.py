"""What texture models of the night sky cost and bring, on simulated fields of known truth.

All images are compared in asinh units, the network's. Classical methods get the true PSF and, for
every field, the setting of a short list that is best on that very field: more than a user can have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.evaluate import baselines, metrics, pyramid, spectra
from sciup.evaluate.draws import draw_samples, draw_texture
from sciup.evaluate.intervals import ratio
from sciup.evaluate.sky import detect, plots
from sciup.evaluate.sky.fields import ELECTRONS, Field, fields, run_field
from sciup.evaluate.sky.photometry import total_flux
from sciup.evaluate.tables import Table
from sciup.generators.facts import TextureFacts
from sciup.generators.registry import ModelFacts
from sciup.stretch import AsinhStretch

Array = NDArray[np.float64]
Row = dict[str, Any]
Progress = Callable[[int, int], None]

DRAWS = 5
"""Draws of the sampler beside the textures."""

FAINT = 0.05
"""Noise of spectra and statistics, asinh units: 0.15 of the sky noise of an input pixel.

Truths have none, and what is far below the noise of any image would decide.
"""

SETTINGS: dict[str, tuple[float, ...]] = {
    "Richardson-Lucy": (3, 5, 10, 20, 40),
    "Wiener": (1, 5, 25, 125),
    "TV": (0.005, 0.02, 0.08),
}
"""Iterations, balance, weight."""


def evaluate(
    model: ModelFacts,
    heads: Sequence[TextureFacts],
    data: Path | None,
    *,
    scenes: Path | None = None,
    count: int = 60,
    every: int = 1,
    precision: str = "auto",
    seed: int = 0,
    role: str = "test",
    progress: Progress = lambda _done, _all: None,
) -> tuple[list[Table], dict[str, Any]]:
    """Gain, spectra, statistics and false sources of textures, instrument known.

    Parameters
    ----------
    model : ModelFacts
        The night-sky sampler on which the heads stand.
    heads : sequence of TextureFacts
        The baseline first.
    data, scenes, count, every, role
        See `sciup.evaluate.sky.fields.fields`.
    precision, seed
        See `sciup.upscale`.
    progress : callable
        Gets the number of fields done and of all.

    Returns
    -------
    tables : list of Table
    figures : dict of str to matplotlib Figure
        By file name.
    """
    rows: list[Row] = []
    shown: list[tuple[Field, dict[str, Array]]] = []
    total = -(-count // every)
    chosen = fields(model, data, scenes, count=count, every=every, role=role)
    for done, field in enumerate(chosen):
        progress(done, total)
        images = dict(_ours(field, model, heads, precision, seed)) | classical(field, model.scale)
        rows += [{"method": k} | score(v, field, model) for k, v in images.items()]
        if len(shown) < plots.SHOWN:
            names = ["bicubic", "mean", "sample", *(h.name for h in heads)]
            shown.append((field, {k: images[k] for k in names}))
    progress(total, total)
    if not rows:
        raise OptionError(
            "there is no field to evaluate", "--count of 1 or more, scenes in --scenes"
        )
    about = f"Simulated fields, {model.name} (weights {model.weights[:12]}), instrument known."
    tables = [table(rows, [h.name for h in heads], about), Table("fields", f"All. {about}", rows)]
    return tables, {"texture_sheet": plots.beside(shown, model.scale)}


def _ours(
    field: Field, model: ModelFacts, heads: Sequence[TextureFacts], precision: str, seed: int
) -> Iterator[tuple[str, Array]]:
    """The sampler's mean and first sample, and the textures; flux per fine pixel."""
    run = partial(run_field, field, model, "all", precision=precision, seed=seed)
    drawn = draw_samples(run(samples=DRAWS - 1), DRAWS)
    yield from (("mean", drawn.mean), ("sample", drawn.samples[0]))
    for head in heads:
        yield head.name, draw_texture(run(samples=1, texture=head.folder))


def classical(field: Field, scale: int) -> dict[str, Array]:
    """Bicubic, and of every deconvolution the image of the setting that is best on this field."""
    seen = field.observed.astype(float) / scale**2
    # as many electrons of sky as make its noise 1
    sky = ELECTRONS**2
    electrons = field.observed.astype(float) * ELECTRONS + sky
    methods: dict[str, Callable[..., Array]] = {
        "Richardson-Lucy": baselines.richardson_lucy,
        "Wiener": baselines.wiener,
        "TV": baselines.total_variation,
    }
    out = {"bicubic": baselines.bicubic(seen, scale), "Lanczos": baselines.lanczos(seen, scale)}
    for name, solve in methods.items():
        tried = [
            (solve(electrons, scale, field.kernel, _whole(x)) - sky) / ELECTRONS / scale**2
            for x in SETTINGS[name]
        ]
        out[name] = min(tried, key=lambda image: metrics.mse(*curved(image, field, scale)))
    return out


def _whole(x: float) -> float:
    """Iterations are integers."""
    return int(x) if float(x).is_integer() else x


def curved(image: Array, field: Field, scale: int) -> tuple[Array, Array]:
    """Image and truth in asinh units without the rim."""
    rim = np.s_[4 * scale : -4 * scale, 4 * scale : -4 * scale]
    one, other = (AsinhStretch().forward(x[rim] * scale**2) for x in (image, field.truth))
    return one, other


def score(image: Array, field: Field, model: ModelFacts) -> Row:
    """Scores of one image of a field."""
    s = model.scale
    one, truth = curved(image, field, s)
    noisy = truth + FAINT * np.random.default_rng(0).standard_normal(truth.shape)
    invented = detect.detect(field, image[None], model)[2]
    found = spectra.imprint(one, s)
    return {
        "field": field.name,
        "psf": field.shape,
        "error": metrics.mse(one, truth),
        "lsd": spectra.log_spectral_distance(one, noisy, FAINT),
        "pyramid": pyramid.pyramid_distance(one, noisy, FAINT, seed=1),
        "imprint": float(np.mean(list(found.values()))) if found else float("nan"),
        "flux": total_flux(field.observed.astype(float), image, np.ones_like(field.observed))[
            "flux_difference"
        ],
        "false": invented["false"],
        "empty": invented["empty"],
    }


def table(rows: Sequence[Row], heads: Sequence[str], about: str) -> Table:
    """A row for every method: gain over bicubic, the rest beside that of the first texture."""
    names = list(dict.fromkeys(r["method"] for r in rows))
    by = {name: [r for r in rows if r["method"] == name] for name in names}
    error = {name: np.array([r["error"] for r in part]) for name, part in by.items()}
    rivals = [n for n in names if n not in (*heads, "mean", "sample")]
    best = min(rivals, key=lambda n: float(np.log(error[n]).mean()))
    units = [r["field"] for r in by[names[0]]]
    out = []
    for name, part in by.items():
        gain = _decibel(error["bicubic"], error[name], units)
        row: Row = {"method": name, "fields": len(part), "gain": gain.value}
        if name in heads:
            over = _decibel(error[best], error[name], units)
            row |= {f"over {best}": over.value, "low": over.ends[0], "high": over.ends[1]}
        for key in ("lsd", "pyramid"):
            own, base = (float(np.nanmean([r[key] for r in by[n]])) for n in (name, heads[0]))
            row |= {key: own, f"{key} / {heads[0]}": own / base}
        row["imprint"] = float(np.exp(np.nanmean([r["imprint"] for r in part])))
        row["flux"] = float(np.median(np.abs([r["flux"] for r in part])))
        false = ratio([1e6 * r["false"] for r in part], [r["empty"] for r in part], units)
        out.append(row | {"false_per_Mpx": false.value, "false_high": false.ends[1]})
    notes = [
        "gain: dB over bicubic, asinh units; low, high: 95 % bootstrap over fields. lsd: "
        "log-spectral distance to the truth, dB; pyramid: distance of the statistics of a steerable"
        f" pyramid; both with noise of {FAINT:g}. imprint: power at the frequencies of the grid "
        "over that near them. flux: median difference of total fluxes from the input's. false: "
        "sources of S/N 5 where the truth is empty.",
        "Classical methods have the true PSF and the setting that is best on the very field.",
    ]
    return Table("texture", f"What texture costs and brings. {about}", out, notes)


def _decibel(reference: Array, error: Array, units: Sequence[str]) -> Any:
    """Mean of decibels over fields."""
    gains = 10 * np.log10(reference / error)
    return ratio(list(gains), [1.0] * len(gains), units)
