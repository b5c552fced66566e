"""A finished result as the report reads it: window by window, never whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, SciupError
from sciup.geometry import Box
from sciup.image import Image, Plane
from sciup.io import open_image
from sciup.io._check import input_errors
from sciup.io._detect import plain_path, url_of
from sciup.io._provenance import Container, container_at, read_provenance
from sciup.physics.instrument import Instrument
from sciup.risk.tolerance import Tolerance

Array = NDArray[np.float64]

NEEDED = ("model", "weights", "scale", "seed", "samples", "source", "risk", "instrument")
FINGERPRINT = ("shape", "region", "settings", "digests", "flux_per_pixel")


class Pixels(Protocol):
    """A stored map."""

    def values(self, plane: Plane, box: Box) -> NDArray[np.float32]:
        """Window (h, w) of a plane; NaN where masked."""


@dataclass(frozen=True)
class ZarrPixels:
    """A map of an OME-Zarr result."""

    image: Image

    def values(self, plane: Plane, box: Box) -> NDArray[np.float32]:
        """See `Pixels`."""
        return self.image.load(plane, box)[0]


@dataclass(frozen=True)
class Finished:
    """A result that `sciup upscale` has written.

    Attributes
    ----------
    path : Path
    facts : dict
        Its provenance.
    image : Image
        Its first map: axes, shape, unit, grid of output pixels.
    maps : mapping of str to Pixels
        Stored maps by name in small letters.
    """

    path: Path
    facts: dict[str, Any]
    image: Image
    maps: Mapping[str, Pixels]

    @classmethod
    def open(cls, path: str | Path) -> Finished:
        """Open a FITS, OME-Zarr or OME-TIFF result; no pixel is read.

        Raises
        ------
        InputError
            If it is not a result of sciup, or lacks what a report needs.
        """
        path = local(path)
        if not path.exists():
            raise InputError(f"there is no result {path}", "a finished result of `sciup upscale`")
        facts = read_provenance(path)
        prints = facts.get("fingerprint")
        prints = prints if isinstance(prints, dict) else {}
        lacking = [k for k in NEEDED if facts.get(k) is None] + [
            k for k in FINGERPRINT if k not in prints
        ]
        if lacking:
            raise InputError(
                f"the provenance of {path} lacks {', '.join(lacking)}",
                "results of this version of sciup",
                "make it again with `sciup upscale`",
            )
        if "cutouts" in prints:
            raise InputError(
                f"{path} holds cut-outs, which have no place of their own",
                "whole results of `sciup upscale`; `sciup verify` takes cut-outs, too",
                "make the part in question with --roi",
            )
        with input_errors(f"{path} is not a whole result", "make it again with `sciup upscale`"):
            openers = {"fits": _fits, "ome-zarr": _zarr, "ome-tiff": _tiff}
            image, maps = openers[container_at(path)](path)
        return cls(path, facts, image, maps)

    @property
    def container(self) -> Container:
        """What it is stored in."""
        return container_at(self.path)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along each axis."""
        return int(self.facts["scale"])

    @property
    def region(self) -> Box:
        """Input pixels that the result covers."""
        start, stop = self.facts["fingerprint"]["region"]
        return Box(tuple(start), tuple(stop))

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width in output pixels."""
        return self.image.plane_shape

    @property
    def planes(self) -> list[Plane]:
        """All planes, row-major."""
        return list(self.image.planes)

    @property
    def flux(self) -> int:
        """Value of an input pixel over that of an output pixel of the same brightness."""
        return self.scale**2 if self.facts["fingerprint"]["flux_per_pixel"] else 1

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was asked for."""
        return dict(self.facts["fingerprint"]["settings"])

    @property
    def tolerance(self) -> Tolerance:
        """Of the risk map."""
        return Tolerance.parse(str(self.settings["tolerance"]))

    @cached_property
    def instruments(self) -> tuple[Instrument, ...]:
        """What the run believed, per plane."""
        return tuple(Instrument.from_json(i) for i in self.facts["instrument"])

    @property
    def night_sky(self) -> bool:
        """Whether a model of the night sky made it: only micrographs have a bright end."""
        return self.instruments[0].bright.value is None

    @property
    def pixel(self) -> tuple[float, str] | None:
        """Size of an *input* pixel and its unit, if the file told."""
        grid = self.image.grid
        if grid.size is None or grid.unit is None:
            return None
        return float(np.sqrt(grid.size[0] * grid.size[1])) * self.scale, grid.unit

    @property
    def risk_map(self) -> str | None:
        """Name of the stored risk map."""
        return next((name for name in ("risk", "risk_raw") if name in self.maps), None)

    def read(self, name: str, plane: Plane, box: Box) -> Array:
        """Window of a map, output pixels."""
        with input_errors(f"the map {name} of {self.path} cannot be read", "make it again"):
            return np.asarray(self.maps[name].values(plane, box), np.float64)

    def sample(self, k: int, plane: Plane, box: Box) -> Array | None:
        """Window of sample k; None if it is not stored."""
        if k == 0 and "sample" in self.maps:
            return self.read("sample", plane, box)
        if k >= int(self.settings["keep"]):
            return None
        if "samples" in self.maps:
            return self.read("samples", (k, *plane), box)
        return self.read(f"samples/{k}", plane, box)


def local(path: str | Path) -> Path:
    """The path of a result, also of a ``file:`` address, with the home folder put in.

    Raises
    ------
    InputError
        If it is an address: a `Path` has one slash of it only.
    """
    name = plain_path(str(path))
    if address := url_of(name):
        raise InputError(f"{address} is an address", "results on this machine", "download it first")
    return Path(name).expanduser()


def _fits(path: Path) -> tuple[Image, dict[str, Pixels]]:
    from sciup.io._fits_clean import open_hdus, quiet
    from sciup.io._fits_pixels import PlainPixels

    maps: dict[str, Pixels] = {}
    with quiet(str(path)), open_hdus(str(path), memmap=False) as hdus:
        names = str(hdus[0].header.get("SCIMAPS", "")).lower().split()
        for hdu in hdus[1:]:
            if hdu.is_image and hdu.name.lower() in names:
                place = hdu.fileinfo()["datLoc"]
                maps[hdu.name.lower()] = PlainPixels(str(path), hdu.shape, place, -32)
    first = next(name for name in maps if name != "samples")
    return open_image(path, hdu=first.upper()), maps


def _zarr(path: Path) -> tuple[Image, dict[str, Pixels]]:
    import zarr
    from zarr.storage import LocalStore

    from sciup.io._ome_zarr import open_ome_zarr

    about: Any = zarr.open_group(LocalStore(path, read_only=True), mode="r").attrs["sciup"]
    images = {str(name): open_ome_zarr(path / str(name)) for name in about["maps"]}
    first = next(name for name in images if not name.startswith("samples"))
    return images[first], {name: ZarrPixels(image) for name, image in images.items()}


def _tiff(path: Path) -> tuple[Image, dict[str, Pixels]]:
    from sciup.io._tiff_result import open_tiff_result

    image, maps = open_tiff_result(path)
    return image, dict(maps)


def sources_of(path: str | Path) -> list[Path]:
    """Where the input of a result may be: its recorded place, and beside the result.

    None at all if this is no result.
    """
    try:
        recorded = Path(str(Finished.open(path).facts["source"]))
    except SciupError:
        return []
    return [recorded, Path(path).expanduser().parent / recorded.name]
