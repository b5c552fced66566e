"""Settings of the classical methods, the best on training images, and the search for them.

``make tune MICROSCOPY=FOLDER`` writes ``tuned.json`` beside this file anew. Only images of the
``train`` split are looked at.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate import baselines
from sciup.evaluate.fluorescence.data import items
from sciup.evaluate.fluorescence.protocol import DEFAULTS, RIM, Case, Condition, degraded, reference
from sciup.evaluate.metrics import mse
from sciup.physics.projection import kernel_side
from sciup.physics.psf import relative_gaussian

Array = NDArray[np.float64]
Settings = Mapping[str, float]

STORE = Path(__file__).with_name("tuned.json")
COMMAND = "make tune MICROSCOPY=FOLDER"
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "bicubic": {},
    "Lanczos": {},
    "Richardson-Lucy": {"iterations": (1, 2, 3, 5, 8, 12)},
    "Wiener": {"balance": (0.02, 0.1, 0.5, 2, 10, 50, 250)},
    "TV": {"weight": (0.005, 0.02, 0.05), "iterations": (3, 8)},
}
STRENGTHS = (0.35, 0.5, 0.7)
IMAGES = 8
SIDE = 128
"""Truths are cut to this many px per side for the search, and to no less than `LEAST` input px."""
LEAST = 32


def after_denoising(name: str) -> str:
    """Name of a method with denoising before it."""
    return f"denoised, {name}"


def kernel_of(case: Case) -> Array:
    """Relative kernel of a case on the fine grid; a single pixel where there is no blur."""
    if case.fwhm == 0:
        point = np.zeros((3, 3))
        point[1, 1] = 1.0
        return point
    return relative_gaussian(kernel_side(case.scale), case.fwhm * case.scale, 0.0)


def reconstruct(case: Case, name: str, settings: Settings) -> Array:
    """What a classical method makes of a case, in scores' units (s h, s w).

    Plain interpolation works on scores' units, like the reference; deconvolution on electrons.
    """
    light, s = case.light, case.scale
    strength = settings.get("denoise", 0.0)
    y = light.electrons(case.observed.astype(float))
    y = baselines.denoise(y, light.read_noise, strength)
    if name in ("bicubic", "Lanczos"):
        method = baselines.bicubic if name == "bicubic" else baselines.lanczos
        return method(light.forward(light.values(y)), s)
    kernel = kernel_of(case)
    if name == "Richardson-Lucy":
        fine = baselines.richardson_lucy(y, s, kernel, int(settings["iterations"]))
    elif name == "Wiener":
        fine = baselines.wiener(y, s, kernel, settings["balance"])
    else:
        count = int(settings["iterations"])
        fine = baselines.total_variation(y, s, kernel, settings["weight"], count)
    return light.forward(light.values(fine))


@lru_cache(maxsize=1)
def _store() -> dict[str, Any]:
    return dict(json.loads(STORE.read_text())["tuned"])


def tuned(scale: int, sigma: float, peak: float) -> dict[str, dict[str, float]]:
    """Settings of every method for the nearest condition that was tuned.

    Parameters
    ----------
    scale : int
    sigma : float
        Blur in fine px; 0 counts as 0.5.
    peak : float
        Electrons.

    Returns
    -------
    dict
        By name of the method; those after denoising only where that helped.
    """
    known = _store()[str(scale)]

    def far(key: str) -> float:
        other = [float(part) for part in key.split(":")]
        blur = np.log(max(sigma, 0.5) / other[0])
        return float(abs(blur) + 0.5 * abs(np.log(max(peak, 1.0) / other[1])))

    return {name: found["settings"] for name, found in known[min(known, key=far)].items()}


def _options(name: str) -> Iterator[dict[str, float]]:
    """All settings to try."""
    grid = GRIDS[name]
    for values in itertools.product(*grid.values()):
        plain = dict(zip(grid, values, strict=True))
        yield plain
        yield from (plain | {"denoise": strength} for strength in STRENGTHS)


def gain(case: Case, name: str, settings: Settings) -> float:
    """Gain over bicubic, dB."""
    inner = np.s_[RIM:-RIM, RIM:-RIM]
    truth = case.light.forward(case.truth)[inner]
    base, found = reference(case)[inner], reconstruct(case, name, settings)[inner]
    return float(10 * np.log10(mse(base, truth) / mse(found, truth)))


def search(cases: Sequence[Case], report: Callable[[str], None]) -> dict[str, Any]:
    """Best settings of every method, by its mean gain over the cases."""
    out: dict[str, Any] = {}
    for name in GRIDS:
        tried = [
            (float(np.mean([gain(case, name, option) for case in cases])), option)
            for option in _options(name)
        ]
        plain = max((t for t in tried if "denoise" not in t[1]), key=lambda t: t[0])
        best = max(tried, key=lambda t: t[0])
        out[name] = {"settings": plain[1], "gain_db": round(plain[0], 3)}
        if best[0] > plain[0]:
            other = after_denoising(name)
            out[other] = {"settings": best[1], "gain_db": round(best[0], 3)}
        report(f"{cases[0].label}  {name}: {plain}, best {best}")
    return out


def _small(case: Case) -> Case:
    """The corner of a case: the search need not see all of a large image."""
    from dataclasses import replace

    s = case.scale
    side = max(SIDE, LEAST * s)
    return replace(
        case,
        observed=case.observed[: side // s, : side // s],
        truth=case.truth[:side, :side],
    )


def main() -> None:
    """Search for all default conditions and write the store."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder with MANIFEST.tsv")
    parser.add_argument("--scale", type=int, action="append", choices=sorted(DEFAULTS))
    arguments = parser.parse_args()
    every = max(1, len(items(arguments.data, "train")) // IMAGES)
    chosen = items(arguments.data, "train", every)
    found = json.loads(STORE.read_text())["tuned"] if STORE.is_file() else {}
    for scale in arguments.scale or sorted(DEFAULTS):
        found[str(scale)] = {}
        for text in DEFAULTS[scale]:
            cases = [_small(c) for c in degraded(chosen, Condition.parse(text, scale))]
            found[str(scale)][text] = search(cases, _say)
            about = f"Written by `{COMMAND}`: best mean gain over bicubic on training images."
            content = {"about": about, "images": [i.name for i in chosen], "tuned": found}
            STORE.write_text(json.dumps(content, indent=1) + "\n")


def _say(line: str) -> None:
    """Progress on standard error."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
