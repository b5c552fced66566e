"""Memory of upscaling does not grow with the image: 12000 x 12000 px against 1500 x 1500 px.

``python tests/benchmarks/memory.py`` writes both inputs to a temporary folder (0.6 GB, and up to
2.5 GB for the output), upscales each in a process of its own with a tiny toy model, and prints the
largest anonymous memory (RssAnon) of both and their ratio. Pages of files do not count: the kernel
takes them back when it needs them.

``--windows N`` stops each run after N windows: a shorter run that still sees several shards.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

LIMIT = 1.10


def write_fits(path: Path, side: int) -> Path:
    """A sky with stars, written stripe by stripe."""
    from astropy.io import fits

    header = fits.Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 2
    header["NAXIS1"], header["NAXIS2"], header["BUNIT"] = side, side, "adu"
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-6:7, -6:7]
    stamp = np.exp(-(y**2 + x**2) / 2.2)
    with path.open("wb") as file:
        file.write(header.tostring().encode())
        for start in range(0, side, 250):
            stripe = rng.normal(100, 5, (min(250, side - start), side))
            for _ in range(side // 25):
                at = rng.integers(0, stripe.shape[0] - 13), rng.integers(0, side - 13)
                stripe[at[0] : at[0] + 13, at[1] : at[1] + 13] += rng.exponential(300) * stamp
            file.write(stripe.astype(">f4").tobytes())
        file.write(b"\0" * (-file.tell() % 2880))
    return path


def rss_anon() -> int:
    """Anonymous resident memory of this process [bytes]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024 * int(line.split()[1])
    raise OSError("this system does not tell RssAnon")


def child(source: Path, model: Path, output: Path, windows: int) -> None:
    """Upscale and print the largest RssAnon as JSON."""
    import sciup
    from sciup.errors import InterruptedRunError

    peak, stop, began = [0], threading.Event(), time.monotonic()

    def watch() -> None:
        while not stop.wait(0.02):
            peak[0] = max(peak[0], rss_anon())

    count = [0, 0]

    def progress(done: int, total: int) -> None:
        count[:] = done, total
        if 0 < windows <= done:
            raise KeyboardInterrupt

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sciup.upscale(
            source, model=model, samples=1, maps=("mean",), psf_fwhm=2.5, device="cpu",
            precision="fp32",
        ).save(output, progress=progress)  # fmt: skip
    except InterruptedRunError:
        pass
    finally:
        stop.set()
        watcher.join()
    seconds = time.monotonic() - began
    print(json.dumps({"peak": peak[0], "windows": count, "seconds": seconds}))


def measure(side: int, folder: Path, windows: int) -> int:
    """Peak of a run in a process of its own."""
    source, output = write_fits(folder / f"{side}.fits", side), folder / f"out{side}.fits"
    arguments = [str(source), str(folder / "toy"), str(output), str(windows)]
    done = subprocess.run(
        [sys.executable, __file__, "--child", *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{side} x {side} px: {found['peak'] / 1e6:.0f} MB, {found['windows'][0]} of "
        f"{found['windows'][1]} windows, {found['seconds']:.0f} s",
        flush=True,
    )
    source.unlink()
    output.unlink(missing_ok=True)
    return int(found["peak"])


def main() -> int:
    """Measure both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=0, help="stop after so many; 0: all")
    parser.add_argument("--sides", type=int, nargs=2, default=(1500, 12000))
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        source, model, output, windows = options.child
        child(Path(source), Path(model), Path(output), int(windows))
        return 0
    from sciup.testing.toy_model import write_toy_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_toy_model(folder / "toy", channels=4, head_channels=4)
        small, large = (measure(side, folder, options.windows) for side in options.sides)
    ratio = large / small
    print(f"ratio {ratio:.3f}, at most {LIMIT} is allowed")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
