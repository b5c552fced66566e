"""How well the noise of a micrograph is found out from its own pixels, nothing told.

    python tests/benchmarks/noise_estimates.py microscopy --every 7

Images of the train split, degraded as those that calibrate. For every condition: logarithm (base 2)
of the noise that a run believes over the true one (photons and one electron of reading), at the
dark end, at 10 % and 50 % of the way to the bright end, and there: mean and root of the mean
square. Last come the same images cut off where a share of their pixels is as bright or brighter.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import chain
from pathlib import Path

import numpy as np

from sciup.calibrate.fields import Source
from sciup.evaluate.fluorescence.protocol import READ_NOISE
from sciup.generators.facts import ModelFacts
from sciup.io._array import open_array
from sciup.physics.given import Given
from sciup.physics.resolve import resolve
from sciup.resources import find_model

SATURATED = (0.05, 0.12)
WHERE = {"dark": 0.0, "10 %": 0.1, "50 %": 0.5, "bright": 1.0}


def errors(observed: np.ndarray) -> list[float]:
    """Of one image of electrons, at each of `WHERE`."""
    image = open_array(observed, domain="fluorescence")
    found = resolve(image, next(iter(image.planes)), "fluorescence", Given()).instrument
    dark, bright, gain, zero, read = (
        float(getattr(found, name).value)
        for name in ("dark", "bright", "electrons_per_unit", "background", "read_noise")
    )
    level = dark + np.array(list(WHERE.values())) * (bright - dark)
    believed = np.maximum(level - zero, 0) / gain + (read / gain) ** 2
    return list(0.5 * np.log2(believed / (level + READ_NOISE**2)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of micrographs with a manifest")
    parser.add_argument("--every", type=int, default=7)
    options = parser.parse_args()
    found, saturated = defaultdict(list), defaultdict(list)
    for name in ("fluorescence-x2", "fluorescence-x4", "progressive-fluorescence-x8"):
        model = ModelFacts.read(find_model(name))
        source = Source(model, options.data, every=options.every)
        for condition in source.conditions:
            for case in source.cases(condition, "train"):
                found[f"{model.scale}x {condition}"].append(errors(case.observed))
                for share in SATURATED:
                    cut = np.minimum(case.observed, np.quantile(case.observed, 1 - share))
                    saturated[f"{share:.0%} saturated"].append(errors(cut))
    found["all"] = list(chain(*found.values()))
    found |= saturated
    print("| condition | images |", " | ".join(WHERE), "|")
    print("|---" * (2 + len(WHERE)) + "|")
    for name, part in found.items():
        mean, rms = np.mean(part, 0), np.sqrt(np.mean(np.square(part), 0))
        both = [f"{m:+.2f} ({r:.2f})" for m, r in zip(mean, rms, strict=True)]
        print("|", name, "|", len(part), "|", " | ".join(both), "|")


if __name__ == "__main__":
    main()
