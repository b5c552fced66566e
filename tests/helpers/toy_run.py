"""A small run on a real file, what it gives undisturbed, and how two results are compared."""

import functools
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from astropy.io import fits

import sciup
from sciup.engine.run import work_folder
from sciup.io._provenance import read_provenance
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

# 2100 rows at 2x are three shards of 2048, 2048 and 104 rows; 17 windows, the first 8 in shard 0.
SHAPE = (2100, 50)
SHARD_WINDOWS = 8
SUFFIXES = (".fits", ".ome.zarr")
each = pytest.mark.parametrize("suffix", SUFFIXES)
MAPS = ("sample", "mean", "std")


@functools.cache
def base():
    """A folder with an input file and two models."""
    folder = Path(tempfile.mkdtemp())
    values = star_field(SHAPE, stars=60)
    values[300:310, 20:30] = np.nan
    fits.PrimaryHDU(values, fits.Header({"BUNIT": "adu"})).writeto(folder / "in.fits")
    for seed in (0, 1):
        write_toy_model(folder / f"m{seed}", name="toy", seed=seed, channels=4, head_channels=4)
    return folder


def lazy(**more):
    options = {
        "model": base() / "m0", "samples": 1, "maps": MAPS, "psf_fwhm": 2.4, "device": "cpu",
        "precision": "fp32", "keep_samples": 2,
    }  # fmt: skip
    return sciup.upscale(base() / "in.fits", **options | more)


def interrupt():
    raise KeyboardInterrupt


@functools.cache
def straight(suffix):
    """An undisturbed run."""
    return lazy().save(base() / f"straight{suffix}")


def arrays(path):
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            return {h.name: h.data.copy() for h in hdus if h.is_image and h.data is not None}
    return {
        str(p.parent.relative_to(path)): zarr.open_array(str(p.parent), mode="r")[...]
        for p in sorted(path.rglob("zarr.json"))
        if json.loads(p.read_text())["node_type"] == "array"
    }


def metadata(path):
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            for sum_of_the_date in ("CHECKSUM", "DATASUM"):
                del hdus["PROVENANCE"].header[sum_of_the_date]
            cards = {h.name: [c for c in h.header.cards if "DATE" not in c[0]] for h in hdus}
        text = repr(cards)
    else:
        text = "".join(p.read_text() for p in sorted(path.rglob("zarr.json")))
    created = read_provenance(path)["created"]
    return re.sub(r'"checksum": "crc32:\w+"', "", text).replace(created, "")


def assert_equal_results(a, b):
    first, second = arrays(a), arrays(b)
    assert set(first) == set(second)
    assert len(first) >= 4
    for name, values in first.items():
        assert np.array_equal(values, second[name], equal_nan=True), name
    assert metadata(a) == metadata(b)
    stories = [read_provenance(p) for p in (a, b)]
    for story in stories:
        del story["created"]
    assert stories[0] == stories[1]
    assert not work_folder(b).exists()
