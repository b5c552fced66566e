"""What bf16 changes: the map `mean`, and the fluxes of bright sources, against float32.

``python tests/benchmarks/precision.py IMAGE ... --model fluorescence-x4`` upscales the middle of
every image twice, with the same noise, and prints

- the 99.9th percentile of the difference of the means in sigmas of the input noise (below 0.1 was
  asked for), and how many sigmas of the draws' spread that is;
- the largest and the median difference of the flux in an aperture around sources of S/N > 100
  (below 0.1 % was asked for). The sources are the peaks of the input; flux is what is above the
  background in a disc of one FWHM of the PSF, 2 px at least.

Where a machine has no units for bf16, torch imitates it: the values are the same, the time is not.
Where the differences come from: docs/design/0045-bf16.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import sciup
from sciup.engine.job import Worker
from sciup.evaluate.draws import measurement
from sciup.evaluate.sky.photometry import aperture_fluxes, peaks, to_fine
from sciup.evaluate.sky.real import EDGE, middle

MOST_SIGMA, MOST_FLUX, SNR = 0.1, 1e-3, 100.0


def maps(path: Path, model: str, samples: int, precision: str, side: int) -> tuple[Any, Any]:
    """The run, and its maps mean, std and tolerance (3 sigma of the input noise) as arrays."""
    image = sciup.open_image(path)
    result = sciup.upscale(
        image, model=model, samples=samples, precision=precision, device="cpu",
        roi=middle(image, side), maps=("mean", "std", "tolerance"), tolerance="3sigma",
    )  # fmt: skip
    worker = Worker(result.job)
    out = {m: np.full(result.job.layout.plane_shape, np.nan) for m in result.job.maps}
    for task in result.job.tasks():
        if task.number == 0:
            for name, values in worker.compute(task).items():
                out[name][task.box.slices] = values
    return result, out


def fluxes(result: Any, mean: Any) -> Any:
    """Fluxes in the mean around the bright sources of the input."""
    seen, scale = measurement(result), result.job.model.scale
    fwhm = float(result.job.instruments[0].psf_fwhm.value)
    radius = max(fwhm, 2.0)
    y = np.where(seen.footprint, seen.values - seen.level, 0.0)
    places = peaks(y, seen.sigma)
    if not len(places):
        return np.empty(0)
    error = np.sqrt(aperture_fluxes(seen.sigma**2, places, radius))
    bright = aperture_fluxes(y, places, radius) > SNR * error
    inside = ((places >= EDGE) & (places < np.array(y.shape) - EDGE)).all(1)
    factor = scale**2 if result.job.image.flux_per_pixel else 1
    level = seen.level.repeat(scale, 0).repeat(scale, 1) / factor
    above = np.where(np.isfinite(mean), mean - level, 0.0)
    return aperture_fluxes(above, to_fine(places[bright & inside], scale), radius * scale)


def compare(path: Path, model: str, samples: int, side: int) -> dict[str, Any]:
    """Both precisions on one image."""
    result, full = maps(path, model, samples, "fp32", side)
    _, half = maps(path, model, samples, "bf16", side)
    off = np.abs(half["mean"] - full["mean"])
    good = np.isfinite(off)
    sigmas = off[good] / (full["tolerance"][good] / 3)
    spreads = off[good] / np.maximum(full["std"][good], 1e-30)
    one, other = fluxes(result, full["mean"]), fluxes(result, half["mean"])
    change = np.abs(other / one - 1)
    return {
        "image": path.name,
        "sigma_999": float(np.percentile(sigmas, 99.9)),
        "sigma_most": float(sigmas.max()),
        "spread_999": float(np.percentile(spreads, 99.9)),
        "sources": len(one),
        "flux_median": float(np.median(change)) if len(one) else None,
        "flux_most": float(change.max()) if len(one) else None,
    }


def main() -> int:
    """Compare all images, print a line for each and the worst."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--model", default="fluorescence-x4")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--side", type=int, default=256, help="input px of the middle")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = []
    for path in options.images:
        row = compare(path, options.model, options.samples, options.side)
        found.append(row)
        flux = "no source" if not row["sources"] else (
            f"{row['sources']} sources, flux {100 * row['flux_median']:.3f} % in the median,"
            f" {100 * row['flux_most']:.3f} % at most"
        )  # fmt: skip
        print(
            f"{row['image']}: 99.9 % of pixels within {row['sigma_999']:.3f} sigma, all within"
            f" {row['sigma_most']:.3f}; {row['spread_999']:.3f} of the spread; {flux}",
            file=sys.stderr if options.json else sys.stdout,
            flush=True,
        )
    if options.json:
        print(json.dumps(found, indent=1))
    sigma = max(row["sigma_999"] for row in found)
    flux = max((row["flux_most"] for row in found if row["sources"]), default=0.0)
    print(
        f"{options.model}: worst {sigma:.3f} sigma (below {MOST_SIGMA} asked for), worst flux"
        f" {100 * flux:.3f} % (below {100 * MOST_FLUX:.1f} % asked for)",
        file=sys.stderr if options.json else sys.stdout,
    )
    return int(sigma >= MOST_SIGMA or flux >= MOST_FLUX)


if __name__ == "__main__":
    sys.exit(main())
