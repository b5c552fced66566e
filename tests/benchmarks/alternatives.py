"""Against the obvious alternative, and memory against the size of the image.

``python tests/benchmarks/alternatives.py rate`` upscales one made image in two processes of their
own: with sciup (17 draws, projection, all maps, Zarr out), and as most would begin: the same
network in `dask.array.map_overlap`, 17 full forwards per block with new noise for each, mean and
standard deviation of the stack, Zarr out. Both in bf16 and with the same threads. The alternative
does less: no noise that belongs to the sky, no projection onto the data, no risk, no pyramid, no
record of what is done. Prints output Mpx/s and the largest anonymous memory (RssAnon) of both.

``python tests/benchmarks/alternatives.py memory --pixels 1e7 1e8`` upscales images of so many
output pixels with sciup, and prints the largest anonymous memory of each. ``--pixels 1e9`` takes
half an hour on two cores.

Real-ESRGAN through ncnn, which the roadmap names, is not here: its weights cannot be had offline.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

SCALE, DRAWS, FWHM, STAMP = 4, 17, 2.4, 512


def write_zarr(path: Path, side: int) -> None:
    """A fluorescence image of so many pixels per side, the same cells again and again."""
    import zarr

    from sciup.testing.toy_images import cells

    stamp = cells((STAMP, STAMP)).astype(np.float32)
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.1, 0.1]}]
    facts: Any = {
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [facts]}
    array = group.create_array("0", shape=(side, side), dtype="float32", chunks=(STAMP, STAMP))
    for y in range(0, side, STAMP):
        for x in range(0, side, STAMP):
            array[y : y + STAMP, x : x + STAMP] = stamp[: side - y, : side - x]


def rss_anon() -> int:
    """Anonymous resident memory of this process [bytes]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    raise OSError("this system does not tell RssAnon")


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Seconds, CPU seconds and the largest anonymous memory of what is done inside."""
    found: dict[str, float] = {"before": rss_anon(), "peak": 0}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            found["peak"] = max(found["peak"], rss_anon())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, used = time.perf_counter(), time.process_time()
    try:
        yield found
    finally:
        found["seconds"] = time.perf_counter() - began
        found["cpu"] = time.process_time() - used
        stop.set()
        watcher.join()


def lazy(source: Path, model: Path, threads: int) -> Any:
    """The run of sciup, not computed yet."""
    import sciup

    return sciup.upscale(
        sciup.open_image(source), model=model, samples=DRAWS - 1, psf_fwhm=FWHM, device="cpu",
        precision="bf16", threads=threads,
    )  # fmt: skip


def ours(source: Path, model: Path, output: Path, threads: int) -> None:
    """All maps with sciup."""
    lazy(source, model, threads).save(output)


def theirs(source: Path, model: Path, output: Path, threads: int) -> None:
    """The same network block by block: every draw a full forward, the stack in memory."""
    import dask
    import dask.array as da
    import torch
    import zarr

    from sciup.engine.job import Worker
    from sciup.generators.registry import load_generator
    from sciup.geometry import Box
    from sciup.physics.planes import NoiseModel, local_mean, make_planes

    job = lazy(source, model, threads).job
    sampler = Worker(job).sampler(0, ())  # only for what it knows of the instrument
    units, box = sampler.units, Box((0, 0), (1, 1))  # any box: the noise is the same everywhere
    noise = units.noise(box)
    assert isinstance(noise, NoiseModel)
    net = load_generator(model).eval().requires_grad_(False)
    net.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    depth = net.spec.margin + 1
    torch.set_num_threads(1)

    @torch.inference_mode()
    def block(values: np.ndarray) -> np.ndarray:
        """Mean and standard deviation of the draws of a block that brings its halo."""
        torch.set_num_threads(1)  # as many blocks as threads are computed at a time
        v = torch.from_numpy(units.forward(values, box))[None, None]
        signal = local_mean(v, torch.ones_like(v))
        inner = v[..., 1:-1, 1:-1]
        planes = make_planes(
            inner, torch.ones_like(inner), signal, noise.sigma(signal), units.stretch,
            sampler.optics.at().psf, torch.tensor([sampler.correlation]),
        )  # fmt: skip
        planes = planes.to(torch.bfloat16, memory_format=torch.channels_last)
        side = [n - 2 * (net.spec.margin - net.head_margin) for n in inner.shape[-2:]]
        draws = []
        for _ in range(DRAWS):
            fresh = torch.randn(1, SCALE**2 + 1, *side, dtype=torch.bfloat16)
            draw = net.draw(net.encode(planes), fresh.to(memory_format=torch.channels_last))
            draws.append(units.stretch.inverse(draw)[0, 0].numpy())
        stack = np.stack(draws)
        return np.stack([stack.mean(0), stack.std(0)])

    image = da.from_zarr(str(source), component="0")
    out = da.map_overlap(
        block, image, depth=depth, boundary="reflect", trim=False, dtype=np.float32, new_axis=0,
        chunks=((2,), *(tuple(SCALE * n for n in c) for c in image.chunks)),
        meta=np.empty((0, 0, 0), np.float32),
    )  # fmt: skip
    target = zarr.create_array(
        str(output), shape=out.shape, dtype="float32", chunks=(1, STAMP, STAMP)
    )
    with dask.config.set(scheduler="threads", num_workers=threads):
        da.store(out, target, lock=False)


def child(kind: str, source: str, model: str, output: str, threads: int) -> None:
    """Upscale and print the figures as JSON."""
    run = {"ours": ours, "theirs": theirs}[kind]
    with watched() as found:
        run(Path(source), Path(model), Path(output), threads)
    print(json.dumps(found))


def measure(kind: str, side: int, folder: Path, model: Path, threads: int) -> dict[str, float]:
    """One run in a process of its own."""
    source = folder / f"{side}.ome.zarr"
    if not source.exists():
        write_zarr(source, side)
    output = folder / f"{kind}{side}.ome.zarr"
    arguments = [kind, str(source), str(model), str(output), str(threads)]
    done = subprocess.run(
        [sys.executable, __file__, "--child", *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    found["mpx"] = (SCALE * side) ** 2 / 1e6
    print(
        f"{kind}: {found['mpx']:.1f} output Mpx, {found['mpx'] / found['seconds']:.3f} Mpx/s, "
        f"{found['cpu'] / found['mpx']:.2f} CPU s/Mpx, {found['peak'] / 1e6:.0f} MB anonymous, "
        f"{found['before'] / 1e6:.0f} MB of it before anything was loaded",
        flush=True,
    )
    return found


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["rate", "memory"], nargs="?", default="rate")
    parser.add_argument("--side", type=int, default=1024, help="input px, for rate")
    parser.add_argument("--pixels", type=float, nargs="+", default=[1e7, 1e8])
    parser.add_argument("--model", default="fluorescence-x4")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="for input and output")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child[:4], int(options.child[4]))
        return 0
    from sciup.resources import find_model

    model = find_model(options.model)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.what == "memory":
            sides = [STAMP // SCALE * round(math.sqrt(p) / STAMP) for p in options.pixels]
            peaks = [measure("ours", s, folder, model, options.threads)["peak"] for s in sides]
            print(f"the largest takes {max(peaks) / peaks[0]:.2f} of the memory of the first")
            return 0
        we, they = (
            measure(kind, options.side, folder, model, options.threads)
            for kind in ("ours", "theirs")
        )
    print(
        f"rate {they['seconds'] / we['seconds']:.2f} times theirs (at least 3 asked for), memory "
        f"{we['peak'] / they['peak']:.2f} of theirs (at most 0.25 asked for)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
