"""One machine and large inputs: an fpacked FITS and an OME-Zarr, a region, cut-outs and the whole.

``python tests/benchmarks/large_inputs.py FOLDER --fits 2000 4000 --zarr 2000 4000`` writes inputs
of these sides by repeating one simulated scene, strip by strip, runs a tiny toy model on a region
of 1024 px, on stamps around 200 places, and on all of it, each in a process of its own, and prints
a table of windows, seconds and the largest anonymous memory (RssAnon), of each fifth of the run and
of all of it. All is removed at the end; what was stopped goes on with the same command.

The full size is ``--fits 30000 --zarr 60000``: results of 14 and up to 77 GB (one map at 2x, a
quarter of it at 1x) beside inputs of some GB; ``--jobs region cutouts`` leaves the whole out.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCENE = 1000
"""Side of the scene that is repeated, and height of a strip."""

REGION = 1024
STAMPS, STAMP = 200, 32
JOBS = ("region", "cutouts", "whole")


@cache
def scene() -> NDArray[np.uint16]:
    """Stars on a noisy sky, in counts."""
    from sciup.testing.toy_images import star_field

    return np.clip(star_field((SCENE, SCENE), stars=600), 0, 65535).astype(np.uint16)


def strip(width: int, height: int = SCENE) -> NDArray[np.uint16]:
    """The scene side by side."""
    return np.tile(scene(), (1, -(-width // SCENE)))[:height, :width]


def write_fits(path: Path, side: int) -> Path:
    """As `fpack` makes it (Rice, one tile per row), strip by strip: astropy wants all at once.

    Every strip has the same compressed rows; their places in the heap move on.
    """
    from astropy.io import fits

    table, heaps, count = [], [], 0
    for start in range(0, side, SCENE):
        header, places, heap = packed(side, min(SCENE, side - start))
        table.append(places + np.array((0, count)))
        heaps.append(heap)
        count += len(heap)
    header = header.copy()
    header["ZNAXIS2"] = header["NAXIS2"] = side
    header["NAXIS1"], header["TFORM1"], header["PCOUNT"] = 16, "1QB", count
    header.remove("THEAP", ignore_missing=True)
    header["BUNIT"] = "adu"
    with path.open("wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode() + header.tostring().encode())
        file.write(np.concatenate(table).astype(">i8").tobytes())
        for heap in heaps:  # the same few strips again and again
            file.write(heap)
        file.write(b"\0" * (-file.tell() % 2880))
    return path


@cache
def packed(width: int, height: int) -> tuple[Any, NDArray[np.int64], bytes]:
    """Header, (bytes, place) of every row, and heap of a compressed strip."""
    from astropy.io import fits

    buffer = io.BytesIO()
    data = strip(width, height).astype(np.int16)
    hdu = fits.CompImageHDU(data, compression_type="RICE_1", tile_shape=(1, width))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer)
    buffer.seek(0)
    with fits.open(buffer, disable_image_compression=True) as hdus:
        header, begin = hdus[1].header.copy(), hdus[1].fileinfo()["datLoc"]
        raw = buffer.getvalue()
    if (header["TFIELDS"], header["NAXIS1"]) != (1, 8):
        raise RuntimeError("astropy packs integers in another way now")
    rows = np.frombuffer(raw, ">i4", 2 * height, begin).reshape(height, 2).astype(np.int64)
    heap = begin + header.get("THEAP", 8 * height)
    return header, rows, raw[heap : heap + header["PCOUNT"]]


def write_zarr(path: Path, side: int) -> Path:
    """OME-Zarr 0.5 with one level, strip by strip."""
    import zarr

    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    steps = [{"type": "scale", "scale": [0.1, 0.1]}]
    ome = {"version": "0.5", "multiscales": [{"name": "scene", "axes": axes, "datasets": [
        {"path": "0", "coordinateTransformations": steps}]}]}  # fmt: skip
    group = zarr.create_group(path, attributes={"ome": ome})
    array = group.create_array(
        "0", shape=(side, side), chunks=(500, 500), dtype="uint16", dimension_names=["y", "x"]
    )
    for start in range(0, side, SCENE):
        height = min(SCENE, side - start)
        array[start : start + height] = strip(side, height)
    return path


def child(kind: str, source: Path, model: Path, output: Path) -> None:
    """Run one job and print the largest RssAnon as JSON."""
    from memory import rss_anon  # the script beside this one

    from sciup.engine.run import work_folder

    stop, began = threading.Event(), time.monotonic()
    fifths, count = [0] * 5, [0, 1]

    def watch() -> None:
        while not stop.wait(0.02):
            at = min(5 * count[0] // count[1], 4)
            fifths[at] = max(fifths[at], rss_anon())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        job(kind, source, model).save(
            output,
            resume=work_folder(output).exists(),  # hours are not lost with a process
            progress=lambda *now: count.__setitem__(slice(2), now),
        )
    finally:
        stop.set()
        watcher.join()
    seconds = time.monotonic() - began
    print(json.dumps({"fifths": fifths, "windows": count[0], "seconds": seconds}))


def job(kind: str, source: Path, model: Path) -> Any:
    """What is computed, lazy."""
    from astropy.table import Table

    import sciup

    image = sciup.open_image(source)
    options = {"model": model, "samples": 1, "maps": ("mean",), "psf_fwhm": 2.5, "device": "cpu",
               "precision": "fp32"}  # fmt: skip
    height, width = image.plane_shape
    if kind == "whole":
        return sciup.upscale(image, **options)
    if kind == "region":
        y, x = (n // 2 - REGION // 2 for n in (height, width))
        return sciup.upscale(image, roi=f"{y}:{y + REGION},{x}:{x + REGION}", **options)
    places = np.random.default_rng(0).uniform(0, 1, (STAMPS, 2)) * (height - 1, width - 1)
    return sciup.cutouts(image, Table(places, names=("y", "x")), STAMP, **options)


def measure(kind: str, source: Path, folder: Path) -> dict[str, Any]:
    """Memory, windows and seconds of a job in a process of its own."""
    suffix = ".fits" if kind == "cutouts" or source.suffix == ".fz" else ".ome.zarr"
    output = folder / f"{kind}{suffix}"
    arguments = [kind, str(source), str(folder / "toy"), str(output)]
    done = subprocess.run(
        [sys.executable, __file__, str(folder), "--child", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    shutil.rmtree(output) if output.is_dir() else output.unlink()
    return dict(json.loads(done.stdout.splitlines()[-1]))


def size(path: Path) -> int:
    """Bytes on the disk."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def main() -> int:
    """Make the inputs, run the jobs, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where inputs and results lie for a while")
    parser.add_argument("--fits", type=int, nargs="*", default=[2000, 4000], help="sides")
    parser.add_argument("--zarr", type=int, nargs="*", default=[2000, 4000], help="sides")
    parser.add_argument("--scale", type=int, default=2, help="of the toy model")
    parser.add_argument("--jobs", nargs="*", choices=JOBS, default=JOBS)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, *paths = options.child
        child(kind, *map(Path, paths))
        return 0
    from sciup.testing.toy_model import write_toy_model

    options.folder.mkdir(parents=True, exist_ok=True)
    write_toy_model(options.folder / "toy", channels=4, head_channels=4, scale=options.scale)
    print(
        "| input | side [px] | on disk [MB] | job | windows | time [s] | by fifths | memory [MB] |"
    )
    print("|---|---|---|---|---|---|---|---|")
    inputs = [("in.fits.fz", write_fits, n) for n in options.fits]
    inputs += [("in.ome.zarr", write_zarr, n) for n in options.zarr]
    for name, write, side in inputs:
        source = options.folder / f"{side}_{name}"
        if not source.exists():
            write(source.with_name("part"), side).rename(source)
        for kind in options.jobs:
            found = measure(kind, source, options.folder)
            fifths = " ".join(f"{n / 1e6:.0f}" for n in found["fifths"])
            print(
                f"| {name[3:]} | {side} | {size(source) / 1e6:.0f} | {kind} | {found['windows']} |"
                f" {found['seconds']:.0f} | {fifths} | {max(found['fifths']) / 1e6:.0f} |",
                flush=True,
            )
        shutil.rmtree(source) if source.is_dir() else source.unlink()
    shutil.rmtree(options.folder / "toy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
