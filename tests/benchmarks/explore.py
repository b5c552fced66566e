"""What the latent explorer is worth: agreement, variety, coverage of flux ranges, 64x.

    python tests/benchmarks/explore.py MICROSCOPY --galsim COSMOS --count 200

MICROSCOPY is a folder with MANIFEST.tsv (split ``test`` is used) or of images; for the night sky
scenes are rendered from the GalSim COSMOS sample, or read from a pack (``--scenes``). Instruments
are known to the program. Stamps of micrographs lie anywhere, those of the sky on catalogued sources
with S/N 3 to 100; apertures have a radius of 3 input px. Tables go to standard output, all rows to
``--out``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciup.api import Result
from sciup.evaluate.fluorescence.methods import Options
from sciup.evaluate.fluorescence.methods import result as run_case
from sciup.evaluate.fluorescence.protocol import Condition, cases
from sciup.evaluate.sky.fields import fields, run_field, signal_to_noise
from sciup.explorer.ask import Asker
from sciup.explorer.flux import Aperture, flux_range
from sciup.explorer.latents import Stamp
from sciup.explorer.question import Question
from sciup.explorer.run import explore, open_stamp
from sciup.explorer.search import search
from sciup.generators.registry import ModelFacts
from sciup.geometry import Box
from sciup.resources import find_model

RADIUS = 3.0
HALF = 12
"""Half the side of a stamp, input px."""
PER_IMAGE = {"fluorescence": 2, "night-sky": 5}


@dataclass
class Place:
    """One stamp with its truth."""

    result: Result
    box: Box
    at: tuple[float, float]
    truth: float


def disc(shape: tuple[int, ...], at: tuple[float, float], scale: int) -> Any:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    y, x = (scale * (v + 0.5) - 0.5 for v in at)
    return np.clip(RADIUS * scale - np.hypot(rows - y, cols - x) + 0.5, 0, 1)


def around(at: tuple[float, float]) -> Box:
    y, x = (round(v) for v in at)
    return Box((y - HALF, x - HALF), (y + HALF, x + HALF))


def micrographs(folder: Path, condition: str, count: int) -> Iterator[Place]:
    facts = ModelFacts.read(find_model("fluorescence-x4"))
    rng = np.random.default_rng(0)
    per = PER_IMAGE["fluorescence"]
    images = list(cases(folder, Condition.parse(condition, 4)))
    for case in images[:: max(1, len(images) * per // count)]:
        run = run_case(case, facts, Options(2, 0, "fp32"), "known")
        for _ in range(per):
            low, high = HALF, [n - HALF for n in case.observed.shape]
            at = (float(rng.integers(low, high[0])), float(rng.integers(low, high[1])))
            inside = disc(case.truth.shape, at, 4)
            yield Place(run, around(at), at, float((inside * case.truth).sum() / 16))


def sky(scenes: Path | None, galsim: Path | None, count: int) -> Iterator[Place]:
    facts = ModelFacts.read(find_model("night-sky-x2"))
    rng = np.random.default_rng(0)
    per = PER_IMAGE["night-sky"]
    for field in fields(facts, galsim, scenes, count=-(-count // per), every=1):
        run = run_field(field, facts, "all", precision="fp32", samples=1)
        places, snr = (field.places + 0.5) / 2 - 0.5, signal_to_noise(field.fluxes, field)
        inside = (places > HALF + 1).all(1) & (places < field.observed.shape[0] - HALF - 2).all(1)
        good = np.flatnonzero(inside & (snr > 3) & (snr < 100))
        for j in rng.choice(good, min(per, len(good)), replace=False):
            at = (float(places[j][0]), float(places[j][1]))
            truth = float((disc(field.truth.shape, at, 2) * field.truth).sum())
            yield Place(run, around(at), at, truth)


def aperture_photometry(stamp: Stamp, weight: torch.Tensor) -> tuple[float, float]:
    """Flux and its error from the pixels alone, without a correction for the PSF."""
    s = stamp.scale
    w = weight[0, 0].numpy().reshape(weight.shape[-2] // s, s, -1, s).sum((1, 3))
    y, sigma = (t[0, 0].numpy() for t in (stamp.window.measured, stamp.window.sigma))
    return float((w * y).sum()), float(np.sqrt((w**2 * sigma**2).sum()))


def measure(place: Place, steps: int) -> dict[str, Any]:
    """Agreement and flux range of one stamp."""
    begin = time.perf_counter()
    stamp = open_stamp(place.result, place.box)
    first = search(stamp, stamp.latents(0), None, 1)
    found = search(stamp, stamp.latents(0), None, steps)
    middle = time.perf_counter()
    weight = Aperture(place.at, RADIUS).weight(stamp)
    span = flux_range(stamp, weight)
    value, error = aperture_photometry(stamp, weight)
    return {
        "at_once": bool(first.accepted[0]),
        "accepted": bool(found.accepted[0]),
        "badness": float(found.badness[0]),
        "evaluations": len(found.history),
        "low": span.low,
        "high": span.high,
        "aperture": value,
        "aperture_error": error,
        "truth": place.truth,
        "seconds_search": middle - begin,
        "seconds_range": time.perf_counter() - middle,
    }


def share(hits: np.ndarray) -> str:
    p, n = hits.mean(), len(hits)
    return f"{p:.3f} +- {np.sqrt(p * (1 - p) / n):.3f}"


def table(name: str, rows: list[dict[str, Any]]) -> None:
    n = len(rows)
    truth = np.array([r["truth"] for r in rows])
    low, high = (np.array([r[k] for r in rows]) for k in ("low", "high"))
    value, error = (np.array([r[k] for r in rows]) for k in ("aperture", "aperture_error"))
    covered = (truth >= low) & (truth <= high)
    plain = np.abs(truth - value) <= 1.96 * error
    print(f"{name}: {n} stamps of {2 * HALF} x {2 * HALF} input px")
    print(f"  agree with the data      {sum(r['accepted'] for r in rows)} of {n}"
          f" (sample 0 at once: {sum(r['at_once'] for r in rows)})")  # fmt: skip
    off = f"truth below {np.mean(truth < low):.3f}, above {np.mean(truth > high):.3f}"
    print(f"  95 % range covers truth  {share(covered)}; {off}")
    print(f"  median length            {np.median(high - low):.4g}; aperture photometry"
          f" {np.median(3.92 * error):.4g}, which covers {share(plain)}")  # fmt: skip
    print(f"  median ratio of lengths  {np.median((high - low) / (3.92 * error)):.3f}")
    print(f"  median seconds           search {np.median([r['seconds_search'] for r in rows]):.1f},"
          f" range {np.median([r['seconds_range'] for r in rows]):.1f}", flush=True)  # fmt: skip


def distinct(name: str, place: Place, count: int, steps: int) -> dict[str, Any]:
    begin = time.perf_counter()
    stamp = open_stamp(place.result, place.box)
    region = Asker(stamp, Question("distinct", answers=count, steps=steps), lambda: None).region()
    facts = dict(region.facts)
    facts["accepted"] = sum(a.accepted for a in region.answers)
    print(f"{name}: {count} answers to one stamp: {facts['accepted']} pass, mean distance"
          f" {facts.get('apart_sigma', float('nan')):.2f} sigma (least"
          f" {facts.get('least_apart_sigma', float('nan')):.2f}, ordinary draws"
          f" {facts['draws_apart_sigma']:.2f}), {time.perf_counter() - begin:.0f} s",
          flush=True)  # fmt: skip
    return facts


def sixty_four(name: str, place: Place, steps: int) -> None:
    job = place.result.job
    (y, x), instrument = place.box.start, job.instruments[0]
    known = {"background": float(instrument.background.value)}
    if instrument.psf.value is None:
        known |= {"psf_fwhm": float(instrument.psf_fwhm.value)}
    begin = time.perf_counter()
    found = explore(
        job.image, roi=Box((y, x), (y + 16, x + 16)), goal="distinct", answers=2, steps=steps,
        gain=float(instrument.electrons_per_unit.value), psf=instrument.psf.value, scale=64,
        **known,
    )  # fmt: skip
    shape = found.regions[0].answers[0].image.shape
    print(f"{name}: 16 x 16 to {shape[0]} x {shape[1]}, two answers,"
          f" {time.perf_counter() - begin:.0f} s: {found.cascade.words}", flush=True)  # fmt: skip


def speed(place: Place) -> None:
    y, x = place.box.start
    stamp = open_stamp(place.result, Box((y - 4, x - 4), (y + 28, x + 28)))
    begin = time.perf_counter()
    start = stamp.latents(0)
    goal = Question("farthest", answers=1)
    Asker(stamp, goal, lambda: None).region()
    print(f"100 steps on 32 x 32 px at {stamp.scale}x: {time.perf_counter() - begin:.1f} s"
          f" ({start.fine.numel()} numbers)", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("microscopy", type=Path)
    parser.add_argument("--galsim", type=Path)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--condition", default="2:200")
    parser.add_argument("--domain", choices=["fluorescence", "night-sky"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sources = {
        "fluorescence": micrographs(options.microscopy, options.condition, options.count),
        "night-sky": sky(options.scenes, options.galsim, options.count),
    }
    every: dict[str, list[dict[str, Any]]] = {}
    for name, places in sources.items():
        if options.domain not in (None, name):
            continue
        rows: list[dict[str, Any]] = []
        for i, place in enumerate(places):
            if i == 0:
                distinct(name, place, 10, options.steps)
                sixty_four(name, place, options.steps)
                if name == "fluorescence":
                    speed(place)
            if len(rows) == options.count:
                break
            rows.append(measure(place, options.steps))
            if len(rows) % 25 == 0:
                table(name, rows)
        table(name, rows)
        every[name] = rows
        if options.out is not None:
            options.out.write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
