"""What a finished result says of itself: how it was made, and what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciup.io._check import input_errors
from sciup.io._provenance import read_provenance
from sciup.results.finished import Finished
from sciup.results.meanings import meaning
from sciup.results.recognise import check_result


def about(path: str | Path) -> dict[str, Any]:
    """Everything that `sciup info` tells, JSON-ready; no pixel is read.

    Parameters
    ----------
    path : path
        A finished result.

    Returns
    -------
    dict
        Under ``provenance`` all that is stored, without checksums.

    Raises
    ------
    InputError
        If it is no finished result; it says what it is.
    """
    done = Finished.open(check_result(path))
    with input_errors(f"the provenance of {done.path} cannot be understood", "make it again"):
        return _all(done)


def _all(done: Finished) -> dict[str, Any]:
    return {
        "path": str(done.path),
        "container": done.container,
        "bytes": size_on_disk(done.path),
        **_of_making(done),
        **_of_pixels(done),
        "maps": [
            {"name": name, "unit": unit, "meaning": meaning(name)}
            for name, unit in map_units(done).items()
        ],
        "instrument": list(done.facts["instrument"]),
        "channels": list(done.facts.get("channels", ())),
        "provenance": {k: v for k, v in done.facts.items() if k != "checksums"},
    }


def _of_making(done: Finished) -> dict[str, Any]:
    facts, settings = done.facts, done.settings
    copied = ("sciup", "created", "source", "model", "weights", "scale", "seed", "samples")
    verdicts = facts.get("domain")
    return {
        **{key: facts.get(key) for key in copied},
        "stored_samples": settings.get("keep", 0),
        "tolerance": settings["tolerance"],
        "noise_free": settings.get("noise_free", False),
        "precision": settings.get("precision"),
        "device": facts.get("device"),
        "output_psf_fwhm_px": facts.get("output_psf_fwhm_px"),
        "values": facts.get("values"),
        "risk_calibrated": bool(facts["risk"].get("calibrated")),
        "risk_words": facts["risk"].get("words", facts["risk"].get("event", "")),
        "out_of_domain": None if verdicts is None else [bool(v["outside"]) for v in verdicts],
        "in_training": sorted({name for name in facts.get("in_training", ()) if name}),
        "unreadable_parts": len(facts.get("unreadable", ())),
        "converted": list(facts.get("converted", ())),
        "checksums": "checksums" in facts,
    }


def _of_pixels(done: Finished) -> dict[str, Any]:
    image, region = done.image, done.region
    (y0, x0), (y1, x1) = region.start, region.stop
    return {
        "axes": image.axes,
        "shape": list(image.shape),
        "unit": map_units(done).get("sample", image.unit),
        "pixel_size": list(image.grid.size) if image.grid.size else None,
        "pixel_unit": image.grid.unit,
        "centre": _centre(done),
        "input_shape": list(done.facts["fingerprint"]["shape"]),
        "input_region": f"{y0}:{y1},{x0}:{x1}",
    }


def _centre(done: Finished) -> dict[str, Any] | None:
    """Right ascension and declination of the middle, degrees, of a result with a WCS."""
    from sciup.results.sky import Sky

    sky = Sky.of(done)
    if sky is None:
        return None
    ra, dec = sky.degrees(*((n - 1) / 2 for n in done.plane_shape))
    return {"ra": ra, "dec": dec, "frame": "ICRS"}


def map_units(done: Finished) -> dict[str, str | None]:
    """Names of the stored maps and their units."""
    read = {"fits": _fits_units, "ome-zarr": _zarr_units, "ome-tiff": _tiff_units}
    found = read[done.container](done.path)
    return {name: found.get(name.partition("/")[0]) or None for name in done.maps}


def _zarr_units(path: Path) -> Mapping[str, Any]:
    import zarr
    from zarr.storage import LocalStore

    about: Any = zarr.open_group(LocalStore(path, read_only=True), mode="r").attrs["sciup"]
    return dict(about["units"])


def _fits_units(path: Path) -> Mapping[str, Any]:
    from sciup.io._fits_clean import open_hdus, quiet

    with quiet(str(path)), open_hdus(str(path), memmap=False) as hdus:
        return {hdu.name.lower(): hdu.header.get("BUNIT") for hdu in hdus[1:]}


def _tiff_units(path: Path) -> Mapping[str, Any]:
    return dict(read_provenance(path)["image"]["units"])


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


__all__ = ["about", "map_units", "size_on_disk"]
