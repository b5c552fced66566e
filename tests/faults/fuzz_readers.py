"""Damaged files of every format: each is refused in our words or read, and nothing hangs.

    python tests/faults/fuzz_readers.py --count 10000 --seed 1

A good file is changed at a few places (bytes, whole parts, its length, numbers in its header) and
opened and read whole. Allowed is a `SciupError`, or an image whose planes have the size that it
declares, and the true values where the format has checksums. What is not allowed is any other
exception, more than `LONGEST` seconds, and pixels of the wrong shape or type. Files that fail are
kept in the folder that ``--keep`` names.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import logging
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from sciup.errors import SciupError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.testing import fits_files
from sciup.testing.microscopy_files import (
    TIFF_KINDS,
    add_header,
    write_container,
    write_ome_zarr,
    write_picture,
    write_plate,
    write_tiff,
    write_zip,
)

LONGEST = 10
"""Seconds that opening and reading a damaged file of a few kilobytes may take."""

SIDE = 4096
"""Pixels per side that are read of an image that declares more."""

CHECKED = ("png", "fits gzip")
"""Kinds whose bytes all stand under a checksum: what is read must be the truth."""

STACK = np.arange(2 * 48 * 64, dtype=np.uint16).reshape(2, 48, 64) * 7
NUMBERS = [b"0", b"-1", b"1", b"2", b"7", b"99999", b"2147483648", b"1e400", b"NaN", b"null", b"[]"]


class HangsError(BaseException):  # what is tested must not catch it
    """A file took longer than it may."""


@dataclass(frozen=True)
class Failure:
    """A damaged file that was not handled as it should be."""

    kind: str
    number: int
    path: Path
    why: str


def write_seeds(folder: Path) -> dict[str, Path]:
    """One good file, or folder, of every kind."""
    seeds = {}
    for name, build in fits_files.GOOD.items():
        seeds[f"fits {name}"] = build(folder / f"{name}.fits")
    packed = folder / "packed.fits.gz"
    packed.write_bytes(gzip.compress(seeds["fits hst_flt"].read_bytes()))
    seeds["fits gzip"] = packed
    for kind in TIFF_KINDS:
        seeds[f"tiff {kind}"] = write_tiff(folder / f"{kind}.tif", STACK, kind)
    seeds["png"] = write_picture(folder / "i.png", STACK[0])
    seeds["jp2"] = add_header(
        write_picture(folder / "i.jp2", STACK[0], "jpeg2k"),
        {"NAXIS1": 64, "NAXIS2": 48, **fits_files.celestial()},
    )
    (folder / "i.jpg").write_bytes(imagecodecs.jpeg_encode(STACK[0].astype(np.uint8)))
    seeds["jpeg"] = folder / "i.jpg"
    for version in ("0.4", "0.5"):
        more = {"version": version, "chunks": (1, 16, 32), "channels": [{"label": "a"}] * 2}
        seeds[f"zarr {version}"] = write_ome_zarr(folder / f"{version}.zarr", STACK, "cyx", **more)
    shards = {"chunks": (1, 16, 16), "shards": (1, 32, 32)}
    seeds["zarr shards"] = write_ome_zarr(folder / "s.zarr", STACK, "zyx", **shards)
    seeds["zarr plain"] = write_ome_zarr(folder / "p.zarr", STACK, "zyx") / "0"
    seeds["zarr container"] = write_container(folder / "c.zarr", [STACK[0], STACK[1]])
    seeds["zarr plate"] = write_plate(folder / "plate.zarr", fields=1)
    seeds["zip"] = write_zip(seeds["zarr 0.5"])
    return seeds


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """A few changes to some bytes, more often near the start, where the headers are."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            break
        reach = len(out) if rng.random() < 0.5 else min(len(out), 1024)
        at = int(rng.integers(reach))
        length = int(rng.integers(1, 1 + min(64, len(out) - at)))
        match int(rng.integers(8)):
            case 0:
                out[at] ^= 1 << int(rng.integers(8))
            case 1:
                out[at : at + length] = rng.bytes(length)
            case 2:
                out[at : at + length] = bytes([int(rng.choice([0, 255, 127, 128]))]) * length
            case 3:
                del out[at : at + length]
            case 4:
                out[at:at] = rng.bytes(length)
            case 5:
                del out[at:]
            case 6:
                out[at:at] = out[at : at + length]
            case _:
                _replace_number(out, rng)
    return bytes(out)


def _replace_number(out: bytearray, rng: np.random.Generator) -> None:
    """Another number in place of one that is written in digits, as in FITS, XML and JSON."""
    digits = [i for i, c in enumerate(out[:20000]) if 48 <= c <= 57]
    if digits:
        first = last = digits[int(rng.integers(len(digits)))]
        while last < len(out) and 48 <= out[last] <= 57:
            last += 1
        new = NUMBERS[int(rng.integers(len(NUMBERS)))]
        out[first:last] = new.rjust(last - first) if rng.random() < 0.7 else new


def damaged(seed: Path, target: Path, rng: np.random.Generator) -> Path:
    """A damaged copy of a good file, or of a folder one file of which is damaged or gone."""
    if seed.is_file():
        target = target.with_suffix(seed.suffix)
        target.write_bytes(damage(seed.read_bytes(), rng))
        return target
    shutil.copytree(seed, target)
    files = sorted(f for f in target.rglob("*") if f.is_file())
    heads = [f for f in files if f.name.startswith((".z", "zarr.json"))]
    chosen = heads if rng.random() < 0.7 else files
    file = chosen[int(rng.integers(len(chosen)))]
    if rng.random() < 0.05:
        file.unlink()
    elif file in heads and rng.random() < 0.5:
        file.write_text(json.dumps(_other(json.loads(file.read_text()), rng)))
    else:
        file.write_bytes(damage(file.read_bytes(), rng))
    return target


def _other(value: object, rng: np.random.Generator) -> object:
    """JSON with one value replaced by one of another type, or left out."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = sorted(value)[int(rng.integers(len(value)))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _other(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = int(rng.integers(len(value)))
        return [*value[:at], _other(value[at], rng), *value[at + 1 :]]
    others = [None, 0, -1, 2**40, 1e308, "", "\u00b5", [], {}, True, [[]], {"a": 1}, ["y"], "0"]
    return others[int(rng.integers(len(others)))]


def check(path: Path, scratch: Path, truth: np.ndarray | None) -> str:
    """``read`` or ``refused``; anything else is raised, as are pixels that are not the truth."""
    try:
        image = open_image(path, scratch=scratch)
        if len(image.axes) != len(image.shape) or min(image.shape) < 1:
            raise AssertionError(f"axes {image.axes!r}, shape {image.shape}")
        side = tuple(min(n, SIDE) for n in image.plane_shape)
        for plane in itertools.islice(image.planes, 4):
            values, footprint = image.read(plane, Box((0, 0), side))
            if values.shape != side or values.dtype != np.float32 or footprint.shape != side:
                raise AssertionError(f"{values.shape} {values.dtype} of {side}")
            image.load_sigma(plane, Box((0, 0), side))
            if truth is not None and not np.array_equal(values, truth, equal_nan=True):
                raise AssertionError("a checksum is wrong, but the pixels are believed")
    except SciupError as error:
        if not str(error) or "Traceback" in str(error):
            raise AssertionError("a message that says nothing") from error
        return "refused"
    return "read"


def _plane(path: Path) -> np.ndarray:
    image = open_image(path)
    return image.read(next(image.planes), Box.of_shape(image.plane_shape))[0]


def _alarm(*_: object) -> None:
    raise HangsError(f"more than {LONGEST} s")


Check = Callable[[Path, Path, np.random.Generator], str]


@dataclass(frozen=True)
class Subject:
    """A good file or folder, what is done with a damaged copy, and how it is damaged.

    `check` gets the copy, a folder for scratch files and a generator of chance; it returns a word
    for what became of it, and raises whatever must not happen.
    """

    seed: Path
    check: Check
    spoil: Callable[[Path, Path, np.random.Generator], Path] = damaged


def answered(ask: Callable[[], Any]) -> str:
    """``read`` or ``refused``, in words."""
    try:
        ask()
    except SciupError as error:
        if not str(error) or "Traceback" in str(error):
            raise AssertionError("a message that says nothing") from error
        return "refused"
    return "read"


def readers(folder: Path) -> dict[str, Subject]:
    """Opening and reading a file of every kind."""
    seeds = write_seeds(folder)
    truths = {k: _plane(seeds[k]) for k in CHECKED}

    def subject(kind: str) -> Subject:
        truth = truths.get(kind)
        return Subject(seeds[kind], lambda path, scratch, _: check(path, scratch, truth))

    return {kind: subject(kind) for kind in seeds}


def fuzz(
    count: int,
    seed: int,
    keep: Path | None = None,
    only: str = "",
    subjects: Callable[[Path], dict[str, Subject]] = readers,
) -> tuple[Counter[str], list[Failure]]:
    """Damage and use `count` files; what became of them, and the failures."""
    signal.signal(signal.SIGALRM, _alarm)
    told: Counter[str] = Counter()
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {k: v for k, v in subjects(folder).items() if only in k}
        for number, (kind, subject) in zip(range(count), itertools.cycle(found.items())):
            rng = np.random.default_rng([seed, number])
            path = subject.spoil(subject.seed, folder / "damaged", rng)
            signal.alarm(LONGEST)
            logging.disable(logging.CRITICAL)
            began = time.monotonic()
            try:
                told[subject.check(path, folder, rng)] += 1
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                signal.alarm(0)
                took = time.monotonic() - began
                why = f"{type(error).__name__}: {str(error)[:200]} ({took:.1f} s)"
                failures.append(Failure(kind, number, path, why))
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    path.rename(keep / f"{kind.replace(' ', '_')}_{seed}_{number}{path.suffix}")
            finally:
                signal.alarm(0)
                logging.disable(logging.NOTSET)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return told, failures


def main(subjects: Callable[[Path], dict[str, Subject]] = readers) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="folder for files that fail")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    given = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told, failures = fuzz(given.count, given.seed, given.keep, given.only, subjects)
    for failure in failures:
        print(f"{failure.kind} {failure.number}: {failure.why}")
    print(f"{dict(told)}, {len(failures)} failures")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
