"""Damaged results: `info`, `verify` and `convert`; a part of `fuzz_beside`.

`verify` must not call whole what has other values or another story than what was written, and
`convert` must not copy such values.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import tifffile
import zarr
from astropy.io import fits
from fuzz_readers import Check, Subject, answered
from rich.console import Console

import sciup
from sciup.cli.info import _instrument, _lines, _maps
from sciup.errors import SciupError
from sciup.io._provenance import read_provenance
from sciup.results.about import about
from sciup.results.convert import convert
from sciup.results.verify import verify
from sciup.testing import fits_files
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SIDE = 48


def result(folder: Path, name: str, suffix: str) -> Path:
    """A small result of a toy model, with two of its samples."""
    source, model = folder / "field.fits", folder / "model"
    if not source.exists():
        cards = fits.Header({**fits_files.celestial(), "BUNIT": "adu"})
        fits.PrimaryHDU(star_field((SIDE, SIDE), stars=5), cards).writeto(source)
        write_toy_model(model, name="toy", channels=4, head_channels=4)
    options = {"psf_fwhm": 2.4, "samples": 2, "keep_samples": 2, "device": "cpu"}
    if suffix == ".ome.tif":
        convert(folder / f"{name}.fits", folder / f"{name}{suffix}")
        return folder / f"{name}{suffix}"
    return sciup.upscale(source, model=model, **options).save(folder / f"{name}{suffix}")


def _pixels(path: Path) -> dict[str, bytes]:
    """All arrays of a result, by other readers than ours."""
    if path.is_dir():
        nodes = [p for p in sorted(path.rglob("zarr.json")) if _is_array(p)]
        return {
            str(p.parent.relative_to(path)): zarr.open_array(str(p.parent), mode="r")[...].tobytes()
            for p in nodes
        }
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            return {"": tiff.series[0].asarray().tobytes()}
    with fits.open(path) as hdus:
        return {h.name: h.data.tobytes() for h in hdus if h.is_image and h.data is not None}


def _story(path: Path) -> str:
    told = read_provenance(path)
    return json.dumps({k: v for k, v in told.items() if k != "converted"}, sort_keys=True)


def _is_array(path: Path) -> bool:
    return bool(json.loads(path.read_text())["node_type"] == "array")


def results(folder: Path) -> dict[str, Subject]:
    """`info`, `verify` and `convert` of a result of each container."""
    subjects, others = {}, {".fits": ".ome.zarr", ".ome.zarr": ".fits", ".ome.tif": ".fits"}
    for suffix, other in others.items():
        seed = result(folder, "out", suffix)
        subjects[f"verify {suffix}"] = Subject(seed, _verified(_pixels(seed), _story(seed)))
        subjects[f"info {suffix}"] = Subject(seed, _shown)
        good = folder / f"converted_good{suffix}{other}"
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
