"""Results to convert: a sky, cells with channels and times, and one of several shards."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import toy_run
import zarr
from astropy.io import fits

import sciup
from sciup.io._provenance import read_provenance
from sciup.results.convert import convert
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

OTHER = {".fits": ".ome.zarr", ".ome.zarr": ".fits"}
OPTIONS = {"samples": 1, "maps": ("sample", "mean", "support"), "psf_fwhm": 2.4,
           "device": "cpu", "precision": "fp32", "keep_samples": 2}  # fmt: skip


def sky_result(folder, suffix):
    """A result of an image with SIP distortions and cards of all kinds."""
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 12.3, "CRPIX2": -7.1, "CD1_1": -1e-4,
                          "CD1_2": 1e-5, "CD2_1": 1e-5, "CD2_2": 1e-4, "CTYPE1": "RA---TAN-SIP",
                          "CTYPE2": "DEC--TAN-SIP", "CRVAL1": 150.1, "CRVAL2": 2.2, "A_ORDER": 2,
                          "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 2e-5, "OBJECT": "a field",
                          "GAIN": 1.5})  # fmt: skip
    header.add_history("reduced")
    values = star_field((40, 50), stars=12)
    values[3:6, 4:9] = np.nan
    if not (folder / "sky.fits").exists():
        fits.PrimaryHDU(values, header).writeto(folder / "sky.fits")
    model = write_toy_model(folder / "sky", channels=4, head_channels=4)
    result = sciup.upscale(folder / "sky.fits", model=model, roi="2:36,3:47", **OPTIONS)
    return result.save(folder / f"sky_out{suffix}")


def cell_result(folder, suffix=".ome.zarr"):
    """A result with channels, times and z, sizes and places."""
    group = zarr.open_group(str(folder / "cells.zarr"), mode="w", zarr_format=3)
    axes = [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"},
            {"name": "z", "type": "space", "unit": "micrometer"},
            *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]  # fmt: skip
    steps = [{"type": "scale", "scale": [2.5, 1, 0.3, 0.1, 0.11]},
             {"type": "translation", "translation": [0, 0, 0, 7.3, -1.1]}]  # fmt: skip
    facts = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    channels = [{"label": "DAPI", "color": "0000FF"}, {"label": "Actin", "color": "00FF00"}]
    channels = [c | {"window": {"min": 0, "max": 9, "start": 0, "end": 9}} for c in channels]
    group.attrs["ome"] = {
        "version": "0.5", "multiscales": [facts], "omero": {"channels": channels}
    }  # fmt: skip
    values = np.stack([cells((36, 44), seed=s) for s in range(8)]).reshape(2, 2, 2, 36, 44)
    values[..., 30:, 40:] = np.nan
    group.create_array("0", data=values, chunks=(1, 1, 1, 36, 44))
    model = write_toy_model(folder / "cell", domain="fluorescence", channels=4, head_channels=4)
    result = sciup.upscale(folder / "cells.zarr", model=model, **OPTIONS)
    return result.save(folder / f"cells_out{suffix}")


@functools.cache
def results():
    """Finished results by name; they must not be changed."""
    folder = Path(tempfile.mkdtemp())
    return {
        "sky.fits": sky_result(folder, ".fits"),
        "sky.ome.zarr": sky_result(folder, ".ome.zarr"),
        "cells": cell_result(folder),
        "large.fits": toy_run.straight(".fits"),
        "large.ome.zarr": toy_run.straight(".ome.zarr"),
    }


def level_0(path):
    """Values of all maps, samples as one map, and the PSF."""
    found = toy_run.arrays(path)
    if path.suffix == ".fits":
        return {name.lower(): values for name, values in found.items()}
    out = {n.removesuffix("/0"): v for n, v in found.items() if n == "psf" or n.endswith("/0")}
    parts = [out.pop(f"samples/{k}") for k in range(9) if f"samples/{k}" in out]
    return out | ({"samples": np.stack(parts)} if parts else {})


def there_and_back(path, folder, via=""):
    """Two copies: by way of the other container, or of the one with the suffix `via`."""
    suffix = ".fits" if path.suffix == ".fits" else ".ome.zarr"
    there, back = folder / f"there{via or OTHER[suffix]}", folder / f"back{suffix}"
    convert(path, there)
    convert(there, back)
    return there, back


def story(path):
    """The provenance, without what a conversion is to change."""
    facts = read_provenance(path)
    for key in ("converted", "image"):
        facts.pop(key, None)
    facts["fingerprint"].pop("format")
    return facts


def carried(cards):
    structure = ("SIMPLE", "BITPIX", "EXTEND", "NAXIS", "XTENSION", "PCOUNT", "GCOUNT", "EXTNAME",
                 "BUNIT")  # fmt: skip
    return {k: str(v) for k, v in cards.items() if not k.startswith(structure)}


def equal_zarr(old, new):
    """Every field of every group and array, but what a conversion is to change."""
    for path in sorted(old.rglob("zarr.json")):
        documents = [json.loads((r / path.relative_to(old)).read_text()) for r in (old, new)]
        if path.parent == old:
            for document in documents:
                about = document["attributes"]["sciup"]
                for key in ("provenance", "files", "checksum"):
                    del about[key]
                cards = fits.Header.fromstring(about.pop("fits_header", ""), sep="\n")
                document["cards"] = carried({c.keyword: c.value for c in cards.cards})
        assert documents[0] == documents[1], path
    first, second = ((r / "OME/METADATA.ome.xml").read_text() for r in (old, new))
    assert first == second


def equal_fits(old, new):
    """Every card of every extension, but sums and what a conversion is to change."""
    with fits.open(old) as one, fits.open(new) as other:
        assert [h.name for h in one] == [h.name for h in other]
        for a, b in zip(one, other, strict=True):
            if a.name == "PROVENANCE":
                continue
            cards = [
                [(c.keyword, c.value, c.comment) for c in h.header.cards if "SUM" not in c.keyword]
                for h in (a, b)
            ]
            assert sorted(map(str, cards[0])) == sorted(map(str, cards[1])), a.name


def equal_values(old, new):
    """Every map, sample and the PSF, bit for bit; and the provenance."""
    first, second = level_0(old), level_0(new)
    assert set(first) == set(second)
    for key, value in first.items():
        assert value.shape == second[key].shape
        assert np.array_equal(value, second[key], equal_nan=True), key
    assert story(old) == story(new)
