"""Small files of every microscopy format, for tests: OME-Zarr 0.4 and 0.5, TIFF in its dialects."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}

TIFF_KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "strips": {"compression": "zlib", "rowsperstrip": 16, "predictor": True},
    "one strip": {"compression": "lzw"},
    "tiles": {"tile": (32, 48), "compression": "zstd"},
    "plain tiles": {"tile": (32, 48)},
    "imagej": {"imagej": True},
    "ome": {"ome": True},
    "ome tiles": {"ome": True, "tile": (32, 32), "compression": "zlib"},
    "planar": {"planarconfig": "separate", "photometric": "minisblack"},
    "planar tiles": {
        "planarconfig": "separate",
        "photometric": "minisblack",
        "tile": (32, 16),
        "compression": "zlib",
    },
}
"""Options of `tifffile.imwrite` for every way to store pixels that the tests cover."""


def write_ome_zarr(
    path: Path,
    array: NDArray[Any],
    axes: str,
    *,
    version: str = "0.5",
    scale: Sequence[float] | None = None,
    translation: Sequence[float] | None = None,
    image_scale: Sequence[float] | None = None,
    image_translation: Sequence[float] | None = None,
    unit: str | None = "micrometer",
    channels: Sequence[Mapping[str, Any]] = (),
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    fill_value: float = 0,
) -> Path:
    """Write an OME-Zarr image of one level.

    Parameters
    ----------
    path : Path
        Folder to make.
    array : ndarray
        Pixels; one axis per letter of `axes`.
    axes : str
        Letters out of ``tczyx``.
    version : {"0.4", "0.5"}
        0.4 is stored as Zarr v2, 0.5 as Zarr v3.
    scale, translation : sequence of float, optional
        Of the dataset, one number per axis.
    image_scale, image_translation : sequence of float, optional
        Of the whole multiscale image, applied after those of the dataset.
    unit : str or None
        Of the spatial axes.
    channels : sequence of mapping
        The ``omero`` channels.
    chunks, shards : sequence of int, optional
        Storage; shards for 0.5 only.
    fill_value : float
        Value of chunks that are not stored. Chunks that hold nothing else are left out.

    Returns
    -------
    Path
        The folder.
    """
    zarr_format: Literal[2, 3] = 2 if version == "0.4" else 3
    stored = zarr.create_array(
        LocalStore(path / "0"),
        shape=array.shape,
        dtype=array.dtype,
        chunks=tuple(chunks or array.shape),
        shards=None if shards is None else tuple(shards),
        zarr_format=zarr_format,
        fill_value=fill_value,
        dimension_names=list(axes) if zarr_format == 3 else None,
        overwrite=True,
    )
    stored[...] = array
    dataset = {"path": "0", "coordinateTransformations": _steps(scale, translation, len(axes))}
    multiscale: dict[str, Any] = {
        "name": path.name,
        "axes": [_axis(a, unit) for a in axes],
        "datasets": [dataset],
    }
    if image_scale or image_translation:
        steps = _steps(image_scale, image_translation, len(axes))
        multiscale["coordinateTransformations"] = steps
    attributes: dict[str, Any] = {"multiscales": [multiscale]}
    if channels:
        attributes["omero"] = {"channels": [dict(c) for c in channels]}
    return write_group(path, attributes, version)


def _steps(
    scale: Sequence[float] | None, translation: Sequence[float] | None, ndim: int
) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": list(scale or [1.0] * ndim)}]
    if translation:
        steps.append({"type": "translation", "translation": list(translation)})
    return steps


def _axis(letter: str, unit: str | None) -> dict[str, str]:
    axis = {"name": letter, "type": TYPES[letter]}
    if unit and TYPES[letter] == "space":
        axis["unit"] = unit
    return axis


def write_group(path: Path, attributes: Mapping[str, Any], version: str = "0.5") -> Path:
    """Write the metadata of a group with OME attributes; what lies under it stays."""
    path.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (path / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
        out = dict(attributes)
        if "multiscales" in out:
            out["multiscales"] = [{**m, "version": version} for m in out["multiscales"]]
        (path / ".zattrs").write_text(json.dumps(out))
    else:
        ome = {"ome": {"version": version, **attributes}}
        document = {"zarr_format": 3, "node_type": "group", "attributes": ome}
        (path / "zarr.json").write_text(json.dumps(document))
    return path


def write_container(path: Path, arrays: Sequence[NDArray[Any]], version: str = "0.5") -> Path:
    """Write a ``bioformats2raw.layout`` container of 2D images ``0``, ``1``, ..."""
    for i, array in enumerate(arrays):
        write_ome_zarr(path / str(i), array, "yx", version=version)
    return write_group(path, {"bioformats2raw.layout": 3}, version)


def write_spatialdata(
    path: Path,
    images: Mapping[str, NDArray[Any]],
    ways: Sequence[Mapping[str, Any]],
    version: str = "0.5",
) -> Path:
    """Write a SpatialData folder with images (c, y, x) and the transformations of each of them.

    As spatialdata 0.2 to 0.8 does: every transformation names the system that it leads to, and
    pixels are not told to have a size. Each of `ways` gets an input and, without one, the output
    ``global`` in the placeholder unit.
    """
    axes = [_axis(a, None) for a in "cyx"]
    named = [{**axis, "unit": "unit"} if axis["name"] in "yx" else axis for axis in axes]
    usual = {"input": {"name": "cyx", "axes": named}, "output": {"name": "global", "axes": named}}
    for name, array in images.items():
        folder = write_ome_zarr(path / "images" / name, array, "cyx", version=version, unit=None)
        file = folder / (".zattrs" if version == "0.4" else "zarr.json")
        document = json.loads(file.read_text())
        attributes = document if version == "0.4" else document["attributes"]
        attributes["spatialdata_attrs"] = {"version": "0.2" if version == "0.4" else "0.3"}
        ome = attributes if version == "0.4" else attributes["ome"]
        ome["multiscales"][0]["coordinateTransformations"] = [{**usual, **way} for way in ways]
        file.write_text(json.dumps(document))
    for part in ("images", "tables", ""):
        zarr.create_group(path / part, zarr_format=2 if version == "0.4" else 3)
    return path


def write_plate(path: Path, wells: Sequence[str] = ("A/1", "B/2"), fields: int = 1) -> Path:
    """Write a plate of small 2D fields."""
    for well in wells:
        for i in range(fields):
            write_ome_zarr(path / well / str(i), np.ones((8, 8), np.uint8), "yx")
        write_group(path / well, {"well": {"images": [{"path": str(i)} for i in range(fields)]}})
    rows, columns = zip(*(well.split("/") for well in wells), strict=True)
    plate = {
        "rows": [{"name": r} for r in sorted(set(rows))],
        "columns": [{"name": c} for c in sorted(set(columns))],
        "wells": [
            {"path": w, "rowIndex": sorted(set(rows)).index(w.split("/")[0]),
             "columnIndex": sorted(set(columns)).index(w.split("/")[1])}
            for w in wells
        ],
    }  # fmt: skip
    return write_group(path, {"plate": plate})


def write_zip(folder: Path, inside: str = "") -> Path:
    """Write all files of a folder into ``FOLDER.zip``, perhaps in a folder `inside` it."""
    target = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            archive.write(file, Path(inside) / file.relative_to(folder))
    return target


def write_tiff(path: Path, array: NDArray[Any], kind: str = "plain", **more: Any) -> Path:
    """Write a TIFF file in one of the ways of `TIFF_KINDS`.

    Parameters
    ----------
    path : Path
        File to write.
    array : ndarray
        Pixels.
    kind : str
        A key of `TIFF_KINDS`.
    **more
        Further options of `tifffile.imwrite`.

    Returns
    -------
    Path
        The file.
    """
    options = {**TIFF_KINDS[kind], **more}
    if kind == "one strip":
        options.setdefault("rowsperstrip", array.shape[-2])
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, array, **options)
    return path


def write_picture(path: Path, array: NDArray[Any], kind: str = "png") -> Path:
    """A picture of shape (y, x) or (channel, y, x): ``png``, ``jpeg2k`` or ``jpeg`` (lossy)."""
    import imagecodecs

    last = np.ascontiguousarray(np.moveaxis(array, 0, -1) if array.ndim == 3 else array)
    if kind != "jpeg2k":
        encode = imagecodecs.png_encode if kind == "png" else imagecodecs.jpeg_encode
        path.write_bytes(encode(last))
    else:
        path.write_bytes(imagecodecs.jpeg2k_encode(last, reversible=True))
    return path


def add_header(path: Path, cards: Mapping[str, Any]) -> Path:
    """Put a FITS header into a JPEG 2000 file, as the solar archives do."""
    text = "".join(f"<{key}>{value}</{key}>" for key, value in cards.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?><meta><fits>{text}</fits></meta>'.encode()
    box = (len(xml) + 8).to_bytes(4, "big") + b"xml " + xml
    data = path.read_bytes()
    at = data.index(b"jp2c") - 4
    path.write_bytes(data[:at] + box + data[at:])
    return path


def truncate(path: Path, fraction: float = 0.5) -> Path:
    """Cut a file short, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def point_back(path: Path, page: int) -> Path:
    """Have page `page` of a TIFF follow its last one, so that the list of pages has no end."""
    with tifffile.TiffFile(path) as tiff:
        kind, places = tiff.tiff, [p.offset for p in tiff.pages]
        stream = tiff.filehandle
        stream.seek(places[-1])
        tags = np.frombuffer(stream.read(kind.tagnosize), f"{tiff.byteorder}u{kind.tagnosize}")
        end = places[-1] + kind.tagnosize + kind.tagsize * int(tags[0])
        order: Literal["little", "big"] = "little" if tiff.byteorder == "<" else "big"
    with path.open("r+b") as file:
        file.seek(end)
        file.write(places[page].to_bytes(kind.offsetsize, order))
    return path


__all__ = [
    "TIFF_KINDS",
    "add_header",
    "point_back",
    "truncate",
    "write_container",
    "write_group",
    "write_ome_zarr",
    "write_picture",
    "write_plate",
    "write_spatialdata",
    "write_tiff",
    "write_zip",
]
