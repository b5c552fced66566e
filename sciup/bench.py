"""How fast this machine upscales, and what share of it the network itself could have."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciup import api
from sciup.engine.block import PlaneSampler, Window
from sciup.engine.job import Worker
from sciup.engine.margins import CORE
from sciup.generators.facts import ModelFacts
from sciup.generators.spec import PLANES
from sciup.geometry import Tile
from sciup.io import open_image
from sciup.testing.toy_images import cells, star_field

FWHM = 2.4
"""PSF of the made image, input px: estimating it is no part of the speed."""

REPEATS = 2
"""Rounds over all windows; the quicker one counts."""


PLAIN = ("sample", "mean", "std", "support")
"""The usual maps without those of the risk."""


@dataclass(frozen=True)
class Step:
    """One thing that was timed.

    Attributes
    ----------
    name : str
    seconds : float
        For all windows.
    rate : float
        Output Mpx/s.
    """

    name: str
    seconds: float
    rate: float


def measure(
    model: ModelFacts,
    *,
    samples: int = 16,
    side: int = 512,
    threads: int | None = None,
    precision: str = "auto",
    device: str = "auto",
    told: Callable[[str], None] = lambda _: None,
) -> list[Step]:
    """Time trunk, head, draws, maps, and the whole way from Zarr to Zarr.

    Parameters
    ----------
    model : ModelFacts
    samples : int
        K; K + 1 draws are made.
    side : int
        Input pixels per side of the made image, a multiple of `CORE`.
    threads, precision, device
        See `sciup.upscale`.
    told : callable
        Called with the name of each step before it.

    Returns
    -------
    list of Step
        ``forward`` is what no implementation with this network can beat: one trunk and K + 1 heads
        per window, nothing read, projected, counted or written.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _write_image(folder / "in.ome.zarr", model.domain, side)

        def lazy(maps: Sequence[str] | None = None) -> api.Result:
            """The run, not computed yet."""
            image = open_image(folder / "in.ome.zarr")
            image.domain = "night-sky" if model.domain == "night-sky" else "fluorescence"
            image.flux_per_pixel = model.domain == "night-sky"
            return api.upscale(
                image,
                model=model.folder,
                samples=samples,
                maps=maps,
                psf_fwhm=FWHM,
                threads=threads,
                precision=precision,
                device=device,
            )

        job = lazy().job
        worker = Worker(job)
        sampler = worker.sampler(0, next(job.image.planes))
        tiles = worker.tiles(job.region)
        pixels = float(np.prod(lazy().shape[-2:]))
        found: list[Step] = []

        def time_it(name: str, action: Callable[[], Any]) -> float:
            told(name)
            best = min(_timed(action, job.device) for _ in range(REPEATS))
            found.append(Step(name, best, pixels / best / 1e6))
            return best

        def over_windows(function: Callable[[Tile], Any]) -> Callable[[], Any]:
            return lambda: [f.result() for f in [worker.submit(function, tile) for tile in tiles]]

        over_windows(lambda tile: sampler.maps(tile, (0, 1)))()  # compiles and fills caches
        trunk = time_it("trunk", over_windows(lambda tile: _encode(sampler, tile)))
        window = _read(sampler, tiles[0])
        noise = window._noise((0, 0))
        head = time_it("one head", over_windows(lambda _: _head(window, noise)))
        forward = trunk + (samples + 1) * head
        found.append(Step("forward", forward, pixels / forward / 1e6))
        time_it("draws", over_windows(lambda tile: _draws(sampler, tile, samples + 1)))
        plain = Worker(lazy(PLAIN).job).sampler(0, next(job.image.planes))
        time_it("maps without risk", over_windows(plain.maps))
        time_it("maps", over_windows(sampler.maps))

        def whole() -> None:
            lazy().save(folder / "out.ome.zarr", overwrite=True)

        time_it("Zarr to Zarr", whole)
    return found


def _write_image(path: Path, domain: str, side: int) -> None:
    import zarr

    values = (star_field if domain == "night-sky" else cells)((side, side))
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.1, 0.1]}]
    facts: dict[str, Any] = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [facts]}
    group.create_array("0", data=values, chunks=(CORE, CORE))


def _timed(action: Callable[[], Any], device: str) -> float:
    began = time.perf_counter()
    action()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


@torch.inference_mode()
def _read(sampler: PlaneSampler, tile: Tile) -> Window:
    return Window.read(sampler, tile)


@torch.inference_mode()
def _encode(sampler: PlaneSampler, tile: Tile) -> None:
    side = tile.window.shape[0] - 2
    planes = torch.zeros((1, len(PLANES), side, side), device=sampler.device)
    sampler.net.encode(planes.to(memory_format=torch.channels_last))


@torch.inference_mode()
def _head(window: Window, noise: torch.Tensor) -> None:
    window.sampler.net.draw(window.features, noise)


@torch.inference_mode()
def _draws(sampler: PlaneSampler, tile: Tile, count: int) -> None:
    window = Window.read(sampler, tile)
    for k in range(count):
        window.draw(k)
