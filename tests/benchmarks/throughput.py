"""Output megapixels per second of ``sciup upscale``, reading and writing included.

``python tests/benchmarks/throughput.py`` upscales a made image with an untrained network of the
default size (speed does not depend on weights) and prints wall time, CPU time per output megapixel,
and what that gives on as many idle cores. CPU time hardly depends on what else the machine does.

``--model`` takes a real model, ``--locked`` keeps the multiplicative lock of the projection.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 0.6
"""Mpx/s that two cores must reach with the default network at 4x, 16 samples, bf16."""


def untrained(folder: Path, scale: int, domain: str, locked: bool) -> Path:
    """A model of the default size."""
    import yaml

    from sciup.testing.toy_model import write_toy_model

    model = write_toy_model(
        folder, channels=64, blocks=8, head_channels=32, head_blocks=2, scale=scale, domain=domain
    )
    if not locked:
        recipe = yaml.safe_load((model / "recipe.yaml").read_text())
        (model / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"trust": {"rounds": 0}}))
    return model


def made_image(domain: str, side: int):
    """A picture of the domain with everything about its instrument given."""
    from sciup.io._array import open_array
    from sciup.testing.toy_images import cells, star_field

    values = (cells if domain == "fluorescence" else star_field)((side, side))
    return open_array(values, domain=domain, flux_per_pixel=domain == "night-sky")


def main() -> int:
    """Time one run after a short one that warms up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--domain", default="fluorescence")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--side", type=int, default=512, help="input px")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--locked", action="store_true")
    o = parser.parse_args()
    import sciup

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = o.model or untrained(folder / "toy", o.scale, o.domain, o.locked)
        suffix = ".fits" if o.domain == "night-sky" else ".ome.zarr"

        def run(side: int) -> int:
            result = sciup.upscale(
                made_image(o.domain, side), model=model, samples=o.samples, psf_fwhm=2.5,
                device="cpu", precision=o.precision, threads=o.threads,
            )  # fmt: skip
            result.save(folder / f"out{side}{suffix}")
            return result.shape[-1] * result.shape[-2]

        run(130)
        wall, cpu = time.perf_counter(), time.process_time()
        pixels = run(o.side)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    megapixels = pixels / 1e6
    alone = o.threads * megapixels / cpu
    print(
        f"{megapixels:.2f} output Mpx, {o.samples} + 1 draws, {o.precision}, {o.threads} threads: "
        f"{megapixels / wall:.2f} Mpx/s here; {cpu / megapixels:.2f} CPU s/Mpx, "
        f"{alone:.2f} Mpx/s on {o.threads} idle cores"
    )
    return int(not o.model and o.scale == 4 and alone < LIMIT * o.threads / 2)


if __name__ == "__main__":
    sys.exit(main())
