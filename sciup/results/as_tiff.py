"""A finished result as OME-TIFF: its maps are the channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sciup.geometry import Box
from sciup.image import Float
from sciup.io._tiff_order import Address, MapOrder
from sciup.io._tiff_writer import Levels, Pages, ome_tiff_xml, write_ome_tiff
from sciup.results.contents import Contents, Sums
from sciup.results.encode import Encoding

Progress = Callable[[int, int], None]


def write(
    contents: Contents,
    work: Path,
    progress: Progress,
    facts: dict[str, Any],
    codes: Mapping[str, Encoding],
) -> Path:
    """Write ``result.ome.tif`` into a folder, with scratch files for the coarser levels."""
    layout = contents.layout
    order = MapOrder(layout.image.axes, layout.shape, layout.maps, layout.samples)
    pages = _pages(contents, order, codes)
    levels, sums, total = Levels(work, pages), Sums(contents.side), len(contents.parts)
    for done, (name, plane, box, values, stated) in enumerate(contents.shards(), start=1):
        levels.add(order.page(name, plane), box, values)
        sums.add(name, plane, stated)
        progress(done, 2 * total)
    facts["checksums"] = sums.as_json()
    image, path = layout.image, work / "result.ome.tif"
    known, told = image.metadata.get("axes") or {}, _note(contents, facts, codes)
    xml = ome_tiff_xml(contents.done.path.name, pages, image.grid, known, told)
    write_ome_tiff(path, pages, levels, xml)
    progress(2 * total, 2 * total)
    return path


def _pages(contents: Contents, order: MapOrder, codes: Mapping[str, Encoding]) -> Pages:
    """All pages of the TIFF, read from the result one tile at a time."""

    def read(page: Address, box: Box) -> Float:
        return contents.values(*order.plane(page), box)

    def stored(channel: int, values: Float) -> NDArray[Any]:
        return codes[order.parts[channel // order.channels][0]].stored(values)

    dtype = next(iter(codes.values())).dtype
    plane_shape = contents.layout.plane_shape
    return Pages(order.sizes, plane_shape, _names(contents, order), read, stored, dtype)


def _names(contents: Contents, order: MapOrder) -> list[str]:
    """Of all channels: the map, and the image's own channel where there are several."""
    layout = contents.layout
    known = layout.image.metadata.get("channels") or [{}] * order.channels
    own = [str(c.get("label") or i) for i, c in enumerate(known)]
    titles = [f"sample {k[0]}" if k else layout.title(name) for name, k in order.parts]
    return [
        f"{title} {label}" if order.channels > 1 else title for title in titles for label in own
    ]


def _note(
    contents: Contents, facts: dict[str, Any], codes: Mapping[str, Encoding]
) -> dict[str, Any]:
    """The annotation: with an encoding it is a copy, without one a result."""
    header = facts.pop("fits_header", None)
    encoding, psf = facts.pop("encoding", None), contents.psf
    about: dict[str, Any] = {"provenance": facts}
    if header is not None:
        about["fits_header"] = header
    if psf is not None:
        about["psf"] = psf.tolist()
    if any(code.dtype != "float32" for code in codes.values()):
        about["encoding"] = encoding
    return about


__all__ = ["write"]
