"""Write what the shipped models make of a fixed image today, for tests of later days.

``python tests/golden/make.py`` after new weights, or after a change that was meant to
change values; the commit says why.
"""

from pathlib import Path

import numpy as np

import sciup
from sciup.io._array import open_array
from sciup.testing.toy_images import cells, star_field

FOLDER = Path(__file__).parent
SIDE = 72
REGION = "30:46,28:44"
MAPS = ("sample", "mean", "std", "risk_raw", "support")
TEXTURE = "texture-"


def maps_of(name):
    """Names of the maps that are kept of a model."""
    return ("texture",) if name.startswith(TEXTURE) else MAPS


def outputs(name):
    """Maps (map, y, x) of one model on a region of a fixed image, float32."""
    sampler = name.removeprefix(TEXTURE)
    domain = sampler.rpartition("-x")[0]
    values = star_field((SIDE, SIDE)) if domain == "night-sky" else cells((SIDE, SIDE))
    image = open_array(values, domain=domain, flux_per_pixel=domain == "night-sky")
    result = sciup.upscale(
        image, model=sampler, psf_fwhm=2.2, gain=1.0, samples=8, seed=1, roi=REGION,
        maps=maps_of(name), precision="fp32", device="cpu",
    )  # fmt: skip
    from sciup.engine.job import Worker

    (task,) = result.job.tasks()
    maps = Worker(result.job).compute(task)
    return np.stack([maps[key] for key in maps_of(name)]).astype(np.float32)


def main():
    """Write one file per model that has weights."""
    from sciup.resources import model_folders

    for folder in model_folders():
        np.save(FOLDER / f"{folder.name}.npy", outputs(folder.name))


if __name__ == "__main__":
    main()
