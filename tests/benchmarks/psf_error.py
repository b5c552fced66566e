"""What drawing the width of the PSF is worth: fields whose PSF is stated wrongly, or rightly.

    python tests/benchmarks/psf_error.py night-sky-x4 --scenes PACK.npy --role train --count 6

Each field is run with its PSF image as it is and with one that is 10 % too narrow or too wide, each
with and without ``psf_error=0.1``. Columns: share of pixels with S/N > 2 that are wrong by more
than 3 sigma, and the calibrated risk there; spread/skill of 3 x 3 means there (1: the spread of the
draws is their error, in the root of the mean square); robust error of the light of stars within 3
input px over its spread, and the part of these errors within 90 % intervals; chi^2 of the mean per
pixel with S/N > 2, with the true PSF.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sciup.api import Result, upscale
from sciup.calibrate.check import pixels_of
from sciup.calibrate.observe import Observation, observe
from sciup.evaluate.sky.fields import ELECTRONS, Field, fields, observe_light, signal_to_noise
from sciup.generators.registry import ModelFacts
from sciup.io._array import open_array
from sciup.physics.psf_error import fine
from sciup.physics.psf_source import PsfImage
from sciup.resources import find_model
from sciup.risk.calibration import FILE, Calibration
from sciup.risk.tolerance import Tolerance
from sciup.risk.votes import sliding_mean

DRAWS = 16
RADIUS = 3.0
LEAST_SNR = 20.0


def run(field: Field, model: ModelFacts, factor: float, error: float) -> Result:
    """A run that is told everything, and of the PSF something that is `factor` too wide."""
    image = open_array(field.observed, flux_per_pixel=True, domain="night-sky")
    pixels, step = fine(field.psf, 1.0)
    return upscale(
        image,
        model=model.folder,
        samples=DRAWS,
        psf=PsfImage(pixels, step * factor) if factor != 1 else field.psf,
        psf_error=error,
        gain=ELECTRONS,
        background=0.0,
        noise_sigma=1.0,
    )


def light_of_stars(images: np.ndarray, field: Field, scale: int) -> np.ndarray:
    """Sums within `RADIUS` input px of every star of S/N > `LEAST_SNR`, (..., stars)."""
    rows, cols = np.indices(images.shape[-2:])
    bright = field.stars & (signal_to_noise(field.fluxes, field) > LEAST_SNR)
    inside = ((field.places > 20) & (field.places < images.shape[-1] - 20)).all(1)
    sums = [
        images[..., np.hypot(rows - y, cols - x) < RADIUS * scale].sum(-1)
        for y, x in field.places[bright & inside]
    ]
    return np.stack(sums, -1) if sums else np.zeros((*images.shape[:-2], 0))


def judge(field: Field, seen: Observation, model: ModelFacts, calibration: Calibration) -> dict:
    """Sums over the pixels and stars of one field."""
    tolerance = Tolerance.parse("3sigma")
    pixels, _ = pixels_of(seen, field.truth, calibration, tolerance)
    bright = seen.snr > 2
    local = np.stack([sliding_mean(d) for d in seen.draws])
    off = local.mean(0) - sliding_mean(field.truth)
    good = bright & np.isfinite(off)
    stars = light_of_stars(seen.draws, field, model.scale)
    truth = light_of_stars(field.truth, field, model.scale)
    again = observe_light(seen.mean, field.kernel, model.scale)
    variance = 1 + np.maximum(again, 0) / ELECTRONS
    inner = np.s_[8:-8, 8:-8]
    lit = bright[:: model.scale, :: model.scale][inner]
    chi = ((field.observed - again) ** 2 / variance)[inner][lit]
    return {
        "wrong": pixels.wrong,
        "said": pixels.risk,
        "variance": local.var(0, ddof=1)[good],
        "error": off[good] ** 2,
        "star": stars.mean(0) - truth,
        "width": stars.std(0, ddof=1),
        "chi": chi,
    }


def row(parts: list[dict]) -> str:
    """One line of the table."""
    p = {key: np.concatenate([np.ravel(part[key]) for part in parts]) for key in parts[0]}
    count = DRAWS + 1
    spread = np.sqrt(p["variance"].mean() * (count + 1) / count / p["error"].mean())
    pull = p["star"] / p["width"]
    robust = 1.4826 * np.median(np.abs(pull))
    held = np.mean(np.abs(pull) < 1.645)
    numbers = (p["wrong"].mean(), p["said"].mean(), spread, robust, held, p["chi"].mean())
    return " | ".join(f"{x:.3f}" for x in numbers) + f" | {len(pull)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--role", default="train")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--error", type=float, default=0.1)
    asked = parser.parse_args()
    model = ModelFacts.read(find_model(asked.model))
    calibration = Calibration.read(model.folder / FILE)
    found = list(fields(model, None, asked.scenes, count=asked.count, every=1, role=asked.role))
    print("stated / true | psf_error | wrong | said | spread/skill | stars | in 90 % | chi2 | n")
    for factor in (0.9, 1.0, 1.1):
        for error in (0.0, asked.error):
            parts = []
            for field in found:
                seen = observe(run(field, model, factor, error), DRAWS + 1)
                parts.append(judge(field, seen, model, calibration))
            print(f"{factor:g} | {error:g} | {row(parts)}", flush=True)


if __name__ == "__main__":
    main()
