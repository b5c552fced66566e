"""What TIFF files say of themselves: pixel size, channels and optics, in four dialects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from xml.etree import ElementTree

import tifffile

from sciup.image import Fact, PixelGrid
from sciup.io._lengths import convert

PRINTING_DPI = (72, 96, 100, 120, 150, 200, 240, 300, 360, 400, 600, 720, 1200, 2400, 4800)
LARGEST_PIXEL = 20.0
"""Micrometer. A larger pixel in a baseline resolution tag is meant for a printer."""

SMALLEST_PIXEL = 1e-3
"""Micrometer. A smaller pixel is a number without meaning, not a light microscope."""

AIRY = "OME-XML: 0.51 x emission wavelength / NA / pixel size"
"""FWHM of the Airy pattern of an aperture, 1.029 lambda / (2 NA): Born and Wolf, Principles of
Optics, 8.5.2. That of a widefield microscope in focus, by scalar theory."""

NOT_AIRY = (
    "StructuredIllumination", "STED", "STORM", "PALM", "SingleMoleculeImaging", "BrightField",
    "NearFieldScanningOpticalMicroscopy", "MultiPhotonMicroscopy",
    "SecondHarmonicGenerationImaging",
)  # fmt: skip
"""Values of AcquisitionMode for which this is not the width of the PSF."""


@dataclass
class About:
    """What a file says: sizes in micrometer, times in seconds."""

    size: tuple[float, float] | None = None
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    channels: list[dict[str, Any]] = field(default_factory=list)

    @property
    def grid(self) -> PixelGrid:
        """Pixel grid of (y, x)."""
        return PixelGrid(self.size, "micrometer") if self.size else PixelGrid()

    @property
    def facts(self) -> dict[str, Fact]:
        """Width of the PSF, where all channels tell the same one."""
        told = [c["psf_fwhm"] for c in self.channels if "psf_fwhm" in c]
        if not told or len(told) < len(self.channels) or any(t != told[0] for t in told):
            return {}
        return {"psf_fwhm": Fact(told[0]["value"], "header", told[0]["note"])}


def read_metadata(tiff: tifffile.TiffFile) -> About:
    """What the file says, in the first dialect that it speaks: OME, ImageJ, LSM, baseline."""
    if tiff.is_ome and tiff.ome_metadata:
        try:
            return from_ome(tiff.ome_metadata)
        except ElementTree.ParseError:
            return About()
    if tiff.imagej_metadata is not None:
        return from_imagej(tiff.imagej_metadata, _resolution(tiff))
    if tiff.lsm_metadata is not None:
        return from_lsm(tiff.lsm_metadata)
    return About(size=from_baseline(_resolution(tiff), _tag(tiff, "ResolutionUnit")))


def _tag(tiff: tifffile.TiffFile, name: str) -> Any:
    tag = tiff.pages.first.tags.get(name)
    return None if tag is None else tag.value


def _resolution(tiff: tifffile.TiffFile) -> tuple[float, float] | None:
    """Pixels per unit along (y, x), from the baseline tags."""
    out = []
    for name in ("YResolution", "XResolution"):
        value = _tag(tiff, name)
        if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
            return None
        out.append(value[0] / value[1])
    return out[0], out[1]


def from_baseline(
    resolution: tuple[float, float] | None, unit: int | None
) -> tuple[float, float] | None:
    """Pixel size in micrometer from baseline tags; None for a printing default.

    Parameters
    ----------
    resolution : (float, float) or None
        Pixels per unit along (y, x).
    unit : int or None
        2 for inch (the default of the standard), 3 for centimeter.

    Examples
    --------
    >>> from_baseline((300.0, 300.0), 2), from_baseline((1e5, 1e5), 3)
    (None, (0.1, 0.1))
    """
    length = {2: 25400.0, 3: 10000.0}.get(int(unit or 2))
    if resolution is None or length is None:
        return None
    size = (length / resolution[0], length / resolution[1])
    for pixel in size:
        dpi = 25400.0 / pixel
        printed = any(abs(dpi / default - 1) < 0.005 for default in PRINTING_DPI)
        if printed or not SMALLEST_PIXEL <= pixel <= LARGEST_PIXEL:
            return None
    return size


def from_imagej(metadata: Mapping[str, Any], resolution: tuple[float, float] | None) -> About:
    """ImageJ: resolution tags count pixels per `unit`; `spacing` and `finterval` for z and t."""
    about = About()
    unit = str(metadata.get("unit") or "")
    micrometers = convert(1.0, unit, "micrometer")
    if micrometers and resolution and all(r > 0 for r in resolution):
        about.size = (micrometers / resolution[0], micrometers / resolution[1])
        if _positive(metadata.get("spacing")):
            about.axes["z"] = _axis("micrometer", float(metadata["spacing"]) * micrometers)
    if _positive(metadata.get("finterval")):
        about.axes["t"] = _axis("second", float(metadata["finterval"]))
    count = int(metadata.get("channels") or 1)
    labels = metadata.get("Labels") or []
    tables = metadata.get("LUTs") or []
    about.channels = [
        {
            "label": str(labels[i]) if len(labels) == count else "",
            "color": _lut_color(tables[i]) if len(tables) == count else "",
        }
        for i in range(count)
    ]
    return about


def _lut_color(table: Any) -> str:
    """The brightest colour of a look-up table of shape (3, 256)."""
    return "".join(f"{int(v):02X}" for v in table[:, -1])


def from_lsm(metadata: Mapping[str, Any]) -> About:
    """Zeiss LSM: voxel sizes in meters."""
    y, x, z = (metadata.get(f"VoxelSize{axis}") for axis in "YXZ")
    about = About()
    if _positive(y) and _positive(x):
        about.size = (float(y or 0) * 1e6, float(x or 0) * 1e6)
    if _positive(z):
        about.axes["z"] = _axis("micrometer", float(z or 0) * 1e6)
    return about


def from_ome(text: str, index: int = 0) -> About:
    """OME-XML: an image of the document, the first unless told otherwise."""
    root = ElementTree.fromstring(text)
    image = next(islice(root.iterfind("{*}Image"), index, None), None)
    pixels = None if image is None else image.find("{*}Pixels")
    about = About()
    if image is None or pixels is None:
        return about
    sizes = {axis: _length(pixels, f"PhysicalSize{axis}", "µm", "micrometer") for axis in "XYZ"}
    y, x = sizes["Y"] or sizes["X"], sizes["X"] or sizes["Y"]
    about.size = (y, x) if y and x else None
    if sizes["Z"]:
        about.axes["z"] = _axis("micrometer", sizes["Z"])
    interval = _number(pixels.get("TimeIncrement"))
    if interval and pixels.get("TimeIncrementUnit", "s") == "s":
        about.axes["t"] = _axis("second", interval)
    aperture = _aperture(root, image)
    about.channels = [
        _ome_channel(channel, aperture, about.size) for channel in pixels.findall("{*}Channel")
    ]
    return about


def _ome_channel(
    element: ElementTree.Element, aperture: float | None, size: tuple[float, float] | None
) -> dict[str, Any]:
    channel: dict[str, Any] = {"label": element.get("Name") or "", "color": ""}
    color = element.get("Color")
    if color and color.lstrip("-").isdecimal():
        # A signed integer that packs red, green, blue, alpha.
        channel["color"] = f"{(int(color) & 0xFFFFFFFF) >> 8:06X}"
    wavelength = _length(element, "EmissionWavelength", "nm", "nanometer")
    if wavelength:
        channel["emission_nm"] = wavelength
    mode = element.get("AcquisitionMode", "")
    if wavelength and aperture and size and mode not in NOT_AIRY:
        pixel = math.sqrt(size[0] * size[1]) * 1000.0
        note = f"{AIRY} = 0.51 x {wavelength:g} nm / {aperture:g} / {pixel:g} nm"
        channel["psf_fwhm"] = {
            "value": 0.51 * wavelength / aperture / pixel,
            "note": note + ("; as with an open pinhole" if "onfocal" in mode else ""),
        }
    return channel


def _aperture(root: ElementTree.Element, image: ElementTree.Element) -> float | None:
    """Numerical aperture of the objective that the image was taken with."""
    settings = image.find("{*}ObjectiveSettings")
    if settings is None:
        return None
    for objective in root.iterfind("{*}Instrument/{*}Objective"):
        if objective.get("ID") == settings.get("ID"):
            return _number(objective.get("LensNA"))
    return None


def _length(element: ElementTree.Element, name: str, default: str, to: str) -> float | None:
    value = _number(element.get(name))
    return None if value is None else convert(value, element.get(f"{name}Unit", default), to)


def _number(text: str | None) -> float | None:
    """A positive finite number, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if _positive(value) else None


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _axis(unit: str, scale: float) -> dict[str, Any]:
    return {"unit": unit, "scale": scale, "translation": 0.0}


__all__ = ["About", "from_baseline", "from_imagej", "from_lsm", "from_ome", "read_metadata"]
