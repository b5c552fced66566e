"""Damaged files beside the images, damaged results, and stores that do not do as they are asked.

    python tests/faults/fuzz_beside.py --count 8000 --seed 1

Weights, masks, noise, PSFs, regions and catalogues: as in `fuzz_readers`, a `SciupError` is
allowed, or an answer. Of a result, `verify` must not call whole what has other values or another
story than
what was written, and `convert` must not copy such values. A store may give too few or too many
bytes, fail, tell a wrong length or change its mind; what is read must then be the truth.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import tifffile
import zarr
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from fsspec.spec import AbstractFileSystem
from fuzz_readers import STACK, Subject, damaged, main
from rich.console import Console

import sciup
from sciup.cli.info import _instrument, _lines, _maps
from sciup.errors import SciupError
from sciup.geometry import Box
from sciup.io import _remote, open_image
from sciup.io._array import open_array
from sciup.io._provenance import read_provenance
from sciup.physics.instrument import Given, resolve
from sciup.physics.psf_source import read_psf
from sciup.results.about import about
from sciup.results.convert import convert
from sciup.results.draws import Draws
from sciup.results.verify import verify
from sciup.science.cutouts.run import cutouts
from sciup.science.measure.places import find_regions
from sciup.science.measure.roi import region_of
from sciup.testing import fits_files
from sciup.testing.microscopy_files import write_ome_zarr
from sciup.testing.psf_files import bead_stack, gaussian_pixels, write_psfex, write_stpsf
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

Check = Callable[[Path, Path, np.random.Generator], str]

SIDE = 48
REGIONS = """# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1
{system}
{shapes}
"""
IMAGE_SHAPES = """circle(20,20,5) # text={one}
ellipse(24,20,8,4,30)
box(24,24,10,6,0)
polygon(10,10,30,12,25,30)
"""
SKY_SHAPES = 'circle({lon},{lat},3")\nbox({lon},{lat},5",0.05\',20)\n'
NAPARI = "index,shape-type,vertex-index,axis-0,axis-1\n" + "".join(
    f"{i},{kind},{v},{10 + 9 * y + i},{12 + 8 * x}\n"
    for i, kind in enumerate(("rectangle", "ellipse", "polygon"))
    for v, (y, x) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0)))
)


def answered(ask: Callable[[], Any]) -> str:
    """``read`` or ``refused``, in words."""
    try:
        ask()
    except SciupError as error:
        if not str(error) or "Traceback" in str(error):
            raise AssertionError("a message that says nothing") from error
        return "refused"
    return "read"


# -- beside an image ---------------------------------------------------------------------------


def companions(folder: Path) -> dict[str, Subject]:
    """Weights, masks and noise in files of their own."""
    image = folder / "image.fits"
    cards = fits.Header(fits_files.celestial())
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.ones((SIDE, SIDE), "f4"), cards, name="SCI")]
    ).writeto(image)
    plane = np.arange(SIDE * SIDE, dtype="f4").reshape(SIDE, SIDE)
    made = {
        "plain": fits.HDUList([fits.PrimaryHDU(plane)]),
        "packed": fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(plane, name="SCI")]),
        "flags": fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(plane.astype("i2"), name="DQ")]),
    }
    subjects = {}
    for name, hdus in made.items():
        seed = folder / f"{name}_beside.fits"
        hdus.writeto(seed)
        for option in ("weight", "err", "dq", "ivar", "var"):
            subjects[f"beside {name} {option}"] = Subject(seed, _beside(image, option))
    return subjects


def _beside(image: Path, option: str) -> Check:
    def check(path: Path, *_: Any) -> str:
        stated = f"{option}:{path}" if option in ("ivar", "var") else str(path)
        name = "err" if option in ("ivar", "var") else option

        def ask() -> None:
            opened, box = open_image(image, **{name: stated}), Box((0, 0), (SIDE, SIDE))
            values, footprint = opened.read((), box)
            assert values.shape == footprint.shape == (SIDE, SIDE)
            sigma = opened.load_sigma((), box)
            assert sigma is None or sigma.shape == (SIDE, SIDE)
            good = None if sigma is None else sigma[footprint & np.isfinite(sigma)]
            assert good is None or (good >= 0).all(), "noise below zero"

        return answered(ask)

    return check


def psfs(folder: Path) -> dict[str, Subject]:
    """PSF files of every kind, up to the instrument that they make."""
    image = open_array(star_field((96, 96), stars=9), domain="night-sky", pixel_size=0.031)
    plain = folder / "plain_psf.fits"
    fits.PrimaryHDU(gaussian_pixels((25, 25), (12, 12), 2.4).astype("f4")).writeto(plain)
    beads = folder / "beads.tif"
    tifffile.imwrite(beads, bead_stack([3, 2.4, 3]), metadata={"axes": "ZYX"}, ome=True)
    seeds = {
        "psfex": write_psfex(folder / "a.psf", slope=0.3),
        "stpsf": write_stpsf(folder / "stpsf.fits", side=15),
        "plain": plain,
        "beads": beads,
    }

    def check(path: Path, *_: Any) -> str:
        def ask() -> None:
            psf = read_psf(path, image)
            believed = resolve(image, (), "night-sky", Given(psf=psf)).instrument
            assert np.isfinite(believed.psf_fwhm.value), believed.psf_fwhm
            assert believed.psf_fwhm.value > 0

        return answered(ask)

    return {f"psf {name}": Subject(seed, check) for name, seed in seeds.items()}


def places(folder: Path) -> dict[str, Subject]:
    """Region files and catalogues, for --roi, --regions, --catalog and --positions."""
    source = folder / "field.fits"
    draws = Draws.open(_result(folder, "for_places", ".fits"))
    model = folder / "model"
    seeds = {}
    middle = WCS(fits.getheader(source)).pixel_to_world(SIDE // 2, SIDE // 2)
    for system in ("image", "fk5", "galactic"):
        place = middle.transform_to("fk5" if system == "image" else system).spherical
        shapes = SKY_SHAPES.format(lon=place.lon.deg, lat=place.lat.deg)
        shapes = IMAGE_SHAPES if system == "image" else shapes
        seeds[f"{system}.reg"] = REGIONS.format(system=system, shapes=shapes)
        first = shapes.splitlines()[0]
        seeds[f"{system}_one.reg"] = REGIONS.format(system=system, shapes=first)
    seeds["napari.csv"] = NAPARI
    seeds["xy.csv"] = "id,y,x,radius\na,12,13,3\nb,30.5,20.25,4\n"
    seeds["sky.csv"] = f"id,ra,dec\na,{middle.ra.deg},{middle.dec.deg}\n"
    for name, text in seeds.items():
        (folder / name).write_text(text)
    table = Table({"id": ["a", "b"], "y": [12.0, 30.5], "x": [13.0, 20.25], "radius": [3.0, 4.0]})
    for suffix in (".ecsv", ".fits"):
        table.write(folder / f"table{suffix}")
    found = sorted({*seeds, "table.ecsv", "table.fits"})

    def check(path: Path, *_: Any) -> str:
        def ask() -> None:
            image = open_image(source)
            if path.suffix == ".reg":
                box = region_of(str(path), image)
                assert Box.of_shape(image.plane_shape).contains(box)
            else:
                options = {"model": model, "psf_fwhm": 2.4, "samples": 1, "device": "cpu"}
                cutouts(source, path, 16, **options)

        def measured() -> None:
            kind = "regions" if path.suffix in (".reg", ".csv") else "catalog"
            for region in find_regions(draws, (), 10**7, radius=3.0, **{kind: path}):
                region.shape.box  # noqa: B018

        return min(answered(ask), answered(measured))

    return {f"places {name}": Subject(folder / name, check) for name in found}


# -- results -----------------------------------------------------------------------------------


def _result(folder: Path, name: str, suffix: str) -> Path:
    """A small result of a toy model, with two of its samples."""
    source, model = folder / "field.fits", folder / "model"
    if not source.exists():
        cards = fits.Header({**fits_files.celestial(), "BUNIT": "adu"})
        fits.PrimaryHDU(star_field((SIDE, SIDE), stars=5), cards).writeto(source)
        write_toy_model(model, name="toy", channels=4, head_channels=4)
    options = {"psf_fwhm": 2.4, "samples": 2, "keep_samples": 2, "device": "cpu"}
    return sciup.upscale(source, model=model, **options).save(folder / f"{name}{suffix}")


def _pixels(path: Path) -> dict[str, bytes]:
    """All arrays of a result, by other readers than ours."""
    if path.is_dir():
        nodes = [p for p in sorted(path.rglob("zarr.json")) if _is_array(p)]
        return {
            str(p.parent.relative_to(path)): zarr.open_array(str(p.parent), mode="r")[...].tobytes()
            for p in nodes
        }
    with fits.open(path) as hdus:
        return {h.name: h.data.tobytes() for h in hdus if h.is_image and h.data is not None}


def _story(path: Path) -> str:
    told = read_provenance(path)
    return json.dumps({k: v for k, v in told.items() if k != "converted"}, sort_keys=True)


def _is_array(path: Path) -> bool:
    return bool(json.loads(path.read_text())["node_type"] == "array")


def results(folder: Path) -> dict[str, Subject]:
    """`info`, `verify` and `convert` of a result of each container."""
    subjects = {}
    for suffix, other in ((".fits", ".ome.zarr"), (".ome.zarr", ".fits")):
        seed = _result(folder, "out", suffix)
        subjects[f"verify {suffix}"] = Subject(seed, _verified(_pixels(seed), _story(seed)))
        subjects[f"info {suffix}"] = Subject(seed, _shown)
        good = folder / f"converted_good{other}"
        convert(seed, good)
        subjects[f"convert {suffix}"] = Subject(
            seed, _converted(_pixels(good), _story(good), other)
        )
    return subjects


def _verified(truth: dict[str, bytes], story: str) -> Check:
    def check(path: Path, *_: Any) -> str:
        try:
            verdict = verify(path)
        except SciupError:
            return "refused"
        if verdict.damage:
            return "damaged"
        assert _pixels(path) == truth, "verify calls whole what has other values"
        assert _story(path) == story, "verify calls whole what has another story"
        return "whole"

    return check


def _shown(path: Path, *_: Any) -> str:
    def ask() -> None:
        facts = about(path)
        json.dumps(facts, allow_nan=False, default=str)
        list(_lines(facts))
        for table in (_maps(facts), _instrument(facts)):
            Console(file=io.StringIO()).print(table)

    return answered(ask)


def _converted(truth: dict[str, bytes], story: str, suffix: str) -> Check:
    def check(path: Path, folder: Path, *_: Any) -> str:
        new = folder / f"converted{suffix}"
        try:
            convert(path, new)
            values, told = _pixels(new), _story(new)
        except SciupError:
            return "refused"
        finally:
            shutil.rmtree(new) if new.is_dir() else new.unlink(missing_ok=True)
        assert values == truth, "convert copies other values"
        assert told == story, "convert copies another story"
        return "whole"

    return check


# -- stores ------------------------------------------------------------------------------------


class Faulty(AbstractFileSystem):
    """Files of this machine behind ``faulty://``, which now and then come otherwise."""

    protocol = "faulty"
    cachable = False
    rng = np.random.default_rng(0)
    share = 0.2
    """Of the answers that are wrong."""
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


def stores(folder: Path) -> dict[str, Subject]:
    """FITS and OME-Zarr behind a store with faults, whole and damaged."""
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
    return subjects


def _planes(image: Any) -> list[np.ndarray]:
    box = Box.of_shape(tuple(min(n, 2048) for n in image.plane_shape))
    return [image.read(plane, box)[0] for plane in itertools.islice(image.planes, 3)]


def _copied(seed: Path, target: Path, _: np.random.Generator) -> Path:
    target = target.with_suffix("".join(seed.suffixes[-1:]))
    return Path((shutil.copytree if seed.is_dir() else shutil.copy)(seed, target))


def _from_afar(truth: list[np.ndarray] | None) -> Check:
    def check(path: Path, folder: Path, rng: np.random.Generator) -> str:
        Faulty.rng, Faulty.share = rng, float(rng.choice([0.05, 0.2, 0.6]))
        Faulty.lie = int(rng.choice([0, 0, 0, -1, 1, -3000, 5000]))

        def ask() -> None:
            values = _planes(open_image(f"faulty:/{path}", scratch=folder))
            if truth is not None:
                for one, other in zip(values, truth, strict=True):
                    assert np.array_equal(one, other, equal_nan=True), "not the truth"

        return answered(ask)

    return check


def subjects(folder: Path) -> dict[str, Subject]:
    """All of them."""
    kinds = (companions, psfs, places, results, stores)
    found: dict[str, Subject] = {}
    for kind in kinds:
        with contextlib.redirect_stderr(io.StringIO()):
            found |= kind(folder)
    return found


__all__ = ["damaged", "subjects"]

if __name__ == "__main__":
    sys.exit(main(subjects))
