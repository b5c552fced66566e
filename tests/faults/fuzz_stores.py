"""Stores and web servers that do not do as they are asked; a part of `fuzz_beside`.

They may give too few or too many bytes, fail, tell a wrong length, or give all for a part: what is
read must then be the truth.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from astropy.io import fits
from fsspec.spec import AbstractFileSystem
from fuzz_readers import STACK, Check, Subject, answered

sys.path.append(str(Path(__file__).parents[1] / "helpers"))
from range_server import Handler, serve

from sciup.geometry import Box
from sciup.io import _remote, open_image
from sciup.testing import fits_files
from sciup.testing.microscopy_files import write_ome_zarr

SHARES = [0.05, 0.2, 0.6]
"""Of the answers that are wrong."""


class Faulty(AbstractFileSystem):
    """Files of this machine behind ``faulty://``, which now and then come otherwise."""

    protocol = "faulty"
    cachable = False
    rng = np.random.default_rng(0)
    share = 0.2
    lie = 0
    """Bytes that are told too many, or too few."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("faulty:").lstrip("/")

    def _fault(self, data: bytes = b"") -> bytes:
        """The data, or not quite."""
        if self.rng.random() > self.share:
            return data
        match int(self.rng.integers(7)):
            case 0:
                return data[: int(self.rng.integers(len(data) + 1))]
            case 1:
                return data + b"\0" * int(self.rng.integers(1, 9))
            case 2:
                raise TimeoutError("nothing came")
            case 3:
                raise ConnectionResetError("the line broke")
            case 4:
                raise OSError("busy")
            case 5:
                raise RuntimeError("an error of its own")
            case _:
                return b""

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        found = Path(self._strip_protocol(path))
        self._fault()
        if not found.exists():
            raise FileNotFoundError(path)
        kind = "directory" if found.is_dir() else "file"
        size = max(found.stat().st_size + self.lie, 0)
        return {"name": str(found), "size": size, "type": kind}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        found = Path(self._strip_protocol(path))
        if not found.is_dir():
            raise FileNotFoundError(path)
        names = [str(p) for p in sorted(found.iterdir())]
        return [self.info(name) for name in names] if detail else names

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        found = Path(self._strip_protocol(path))
        if not found.is_file():
            raise FileNotFoundError(path)
        return self._fault(found.read_bytes()[start:end])

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        return io.BytesIO(self.cat_file(path))


class FaultyHandler(Handler):
    """A web server some of whose answers are wrong."""

    rng = np.random.default_rng(0)
    share = 0.2
    lock = threading.Lock()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # who asked has gone
            super().handle()

    def answer(self, body: bool) -> None:
        with self.lock:
            wrong, self.fault = self.rng.random() < self.share, int(self.rng.integers(6))
            self.number = int(self.rng.integers(1, 3000))
        self.fault = self.fault if wrong else -1
        if self.fault == 0:
            status = [403, 408, 416, 429, 500, 503][self.number % 6]
            return super().give(status, b"", {}, body)
        if self.fault == 1:
            self.close_connection = True
            return None
        if self.fault == 2 and "Range" in self.headers:
            del self.headers["Range"]
        return super().answer(body)

    def give(self, status: int, data: bytes, heads: dict[str, str], body: bool = True) -> None:
        if self.fault == 3 and body:  # the line breaks
            heads = {**heads, "Content-Length": str(len(data) + self.number)}
            self.close_connection = True
        if self.fault == 4:
            data = data[: max(len(data) - self.number, 0)]
        if self.fault == 5:
            data = data + bytes(self.number)
        super().give(status, data, heads, body)


def stores(folder: Path) -> dict[str, Subject]:
    """FITS and OME-Zarr behind stores and web servers with faults, whole and damaged."""
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    _remote.FIRST = _remote.LONGEST = 0.0
    seeds = {name: fits_files.GOOD[name](folder / f"{name}.fits") for name in ("hst_flt", "decam")}
    packed = folder / "whole.fits.gz"
    fits.PrimaryHDU(STACK.astype("i2")).writeto(packed)
    seeds["gzip"] = packed
    seeds["zarr 0.4"] = write_ome_zarr(
        folder / "four.zarr", STACK, "cyx", version="0.4", chunks=(1, 16, 32)
    )
    seeds["zarr shards"] = write_ome_zarr(
        folder / "five.zarr", STACK, "cyx", chunks=(1, 16, 16), shards=(1, 32, 32)
    )
    subjects = {}
    for name, seed in seeds.items():
        truth = _planes(open_image(seed))
        subjects[f"store {name}"] = Subject(seed, _from_afar(truth), _copied)
        subjects[f"store {name} damaged"] = Subject(seed, _from_afar(None))
        subjects[f"web {name}"] = Subject(seed, _from_web(truth), _copied)
    return subjects


def _planes(image: Any) -> list[np.ndarray]:
    box = Box.of_shape(tuple(min(n, 2048) for n in image.plane_shape))
    return [image.read(plane, box)[0] for plane in itertools.islice(image.planes, 3)]


def _copied(seed: Path, target: Path, _: np.random.Generator) -> Path:
    target = target.with_suffix("".join(seed.suffixes[-1:]))
    return Path((shutil.copytree if seed.is_dir() else shutil.copy)(seed, target))


def _read(address: str, folder: Path, truth: list[np.ndarray] | None) -> str:
    def ask() -> None:
        values = _planes(open_image(address, scratch=folder))
        for one, other in zip(values, truth or values, strict=True):
            assert np.array_equal(one, other, equal_nan=True), "not the truth"

    return answered(ask)


def _from_afar(truth: list[np.ndarray] | None) -> Check:
    def check(path: Path, folder: Path, rng: np.random.Generator) -> str:
        Faulty.rng, Faulty.share = rng, float(rng.choice(SHARES))
        Faulty.lie = int(rng.choice([0, 0, 0, -1, 1, -3000, 5000]))
        return _read(f"faulty:/{path}", folder, truth)

    return check


def _from_web(truth: list[np.ndarray]) -> Check:
    def check(path: Path, folder: Path, rng: np.random.Generator) -> str:
        FaultyHandler.rng, FaultyHandler.share = rng, float(rng.choice(SHARES))
        with serve(folder, FaultyHandler) as served:
            return _read(f"{served.address}/{path.name}", folder, truth)

    return check
